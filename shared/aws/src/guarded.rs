//! The guarded acts: claim, raise what is done, commit, release. Every condition of the protocol on a head
//! stands in this file.

use aws_sdk_dynamodb::types::ReturnValue;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::{Head, MAX_LEASE};
use replicante_protocol::machine::{Commit, Release};
use replicante_protocol::task::Task;
use std::time::Duration;

use crate::calls::{Item, Write};
use crate::error::{AwsError, FenceError};
use crate::expression::{Expression, flag, number, text, time};
use crate::heads::{body_attribute, from_item, key};
use crate::table::Table;

/// A claim that was refused, or whose call failed.
#[derive(Debug)]
pub enum ClaimError {
    /// Refused, by this head or because there is none.
    Refused(Option<Box<Head>>),
    /// The call failed; whether the claim took effect is not known.
    Aws(AwsError),
}

/// Chunks that could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A chunk is absent or carries another fence: someone else has moved on.
    #[error("chunk {0} does not carry the fence that the head names")]
    Mismatch(String),
    /// The call failed, or the body can't be read.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl Table {
    /// Claims a record: takes the lease, raises the fence, and returns the whole head as it is now.
    ///
    /// # Errors
    /// [`ClaimError::Refused`] when another holds it, or the task was done before.
    pub async fn claim(
        &self,
        task: &Task,
        holder: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Head, ClaimError> {
        let mut update = Expression::default();
        update
            .add("fence", 1)
            .set("lease_until", time(now.plus(lease)))
            .set("holder", text(holder))
            .condition("attribute_exists(#pk)", &["pk"])
            .condition("#lease_until <= :now OR #lease_until > :far", &["lease_until"])
            .value(":now", time(now))
            .value(":far", time(now.plus(MAX_LEASE)));
        if let Some(stamp) = task.stamp {
            update
                .condition("#owed = :yes OR #done_due < :stamp", &["owed", "done_due"])
                .value(":yes", flag(true))
                .value(":stamp", time(stamp));
        }
        let action = || format!("claiming {}", task.record);
        let sent = self.update(key(&task.record), update, ReturnValue::AllNew, action).await;
        let read = |item: &Item| from_item(task.record.kind, item).map_err(ClaimError::Aws);
        match sent.map_err(ClaimError::Aws)? {
            Write::Done(Some(item)) => read(&item),
            Write::Done(None) => Err(ClaimError::Aws(AwsError::stored(action(), "it returned no head"))),
            Write::Refused(item) => {
                Err(ClaimError::Refused(item.as_ref().map(read).transpose()?.map(Box::new)))
            }
        }
    }

    /// Raises `done_due` to a discarded task's stamp; only ever raised.
    ///
    /// # Errors
    /// When the table can't be written.
    pub async fn raise_done(&self, record: &RecordName, stamp: Timestamp) -> Result<(), AwsError> {
        let mut update = Expression::default();
        update
            .set("done_due", time(stamp))
            .condition("attribute_exists(#pk)", &["pk"])
            .condition("#done_due < :stamp", &["done_due"])
            .value(":stamp", time(stamp));
        self.update_head(record, update, "raising what is done of").await.map(|_| ())
    }

    /// Commits: names the new slot, and sets sequence, `owed` and summary, on condition that the fence is ours.
    ///
    /// # Errors
    /// [`FenceError::TakenOver`] when it is not.
    pub async fn commit(
        &self,
        record: &RecordName,
        fence: u64,
        commit: &Commit,
        summary: Option<&str>,
    ) -> Result<(), FenceError> {
        let mut update = Expression::default();
        update
            .set("body", body_attribute(&commit.body))
            .set("sequence", number(commit.sequence))
            .set("owed", flag(commit.owed))
            .set("published", number(commit.published));
        if let Some(summary) = summary {
            update.set("summary", text(summary));
        }
        fenced(&mut update, fence);
        match self.update_head(record, update, "committing").await? {
            Ok(()) => Ok(()),
            Err(_) => Err(FenceError::TakenOver),
        }
    }

    /// Releases: the lease to zero, and what is known by now, on condition that the fence is ours.
    ///
    /// # Errors
    /// [`FenceError::TakenOver`] when it is not.
    pub async fn release(
        &self,
        record: &RecordName,
        fence: u64,
        release: &Release,
        summary: Option<&str>,
        now: Timestamp,
    ) -> Result<(), FenceError> {
        // `done_due` is only ever raised. One that was raised past our stamp meanwhile refuses the first
        // attempt, and the second leaves it alone.
        for done in [release.done, None] {
            let mut update = Expression::default();
            update.set("lease_until", time(Timestamp::ZERO));
            if let Some(summary) = summary {
                update.set("summary", text(summary));
            }
            if let Some(published) = release.published {
                update.set("published", number(published));
            }
            if release.clear_owed {
                update.set("owed", flag(false));
            }
            if release.due_at_once {
                update.set("due", time(now));
            }
            if let Some(stamp) = done {
                update
                    .set("done_due", time(stamp))
                    .condition("#done_due <= :stamp", &["done_due"])
                    .value(":stamp", time(stamp));
            }
            fenced(&mut update, fence);
            match self.update_head(record, update, "releasing").await? {
                Ok(()) => return Ok(()),
                Err(Some(head)) if head.fence == fence && done.is_some() => {}
                Err(_) => return Err(FenceError::TakenOver),
            }
        }
        Ok(())
    }
}

/// The condition that every guarded write after the claim carries.
fn fenced(update: &mut Expression, fence: u64) {
    update
        .condition("attribute_exists(#pk)", &["pk"])
        .condition("#fence = :fence", &["fence"])
        .value(":fence", number(fence));
}
