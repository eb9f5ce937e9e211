//! The guarded acts on a head: claim, raise what is done, commit, release.

use aws_sdk_dynamodb::types::ReturnValue;
use replicante_model::{RecordName, Timestamp};
use replicante_protocol::head::{Head, MAX_LEASE};
use replicante_protocol::machine::{Commit, Release};
use replicante_protocol::task::Task;
use std::time::Duration;

use crate::calls::{Item, Write};
use crate::error::{AwsError, FenceError};
use crate::expression::{Change, Guard, flag, number, text, time};
use crate::head_item::{body_attribute, from_item, key};
use crate::heads::HeadWrite;
use crate::table::Table;

/// A claim that was refused, or whose call failed.
#[derive(Debug)]
pub enum ClaimError {
    /// Refused, by this head or because there is none.
    Refused(Option<Box<Head>>),
    /// The call failed; whether the claim took effect is not known.
    Aws(AwsError),
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
        let mut guard = Guard::exists()
            .on("#lease_until <= :now OR #lease_until > :far", &["lease_until"])
            .with(":now", time(now))
            .with(":far", time(now.plus(MAX_LEASE)));
        if let Some(stamp) = task.stamp {
            guard = guard
                .on("#owed = :yes OR #done_due < :stamp", &["owed", "done_due"])
                .with(":yes", flag(true))
                .with(":stamp", time(stamp));
        }
        let change = Change::on(guard)
            .add("fence", 1)
            .set("lease_until", time(now.plus(lease)))
            .set("holder", text(holder));
        let action = || format!("claiming {}", task.record);
        let sent = self.update(key(&task.record), change, ReturnValue::AllNew, action).await;
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
        let guard = Guard::exists().on("#done_due < :stamp", &["done_due"]).with(":stamp", time(stamp));
        let change = Change::on(guard).set("done_due", time(stamp));
        self.update_head(record, change, "raising what is done of").await.map(|_| ())
    }

    /// Commits: names the new slot, and sets sequence, `owed` and summary, and the last change of the object that it tells, on
    /// condition that the fence is ours.
    ///
    /// # Errors
    /// [`FenceError::TakenOver`] when it is not.
    pub async fn commit(
        &self,
        record: &RecordName,
        fence: u64,
        commit: &Commit,
        summary: Option<&str>,
        told: Option<u64>,
    ) -> Result<(), FenceError> {
        let change = Change::on(Guard::fence(fence))
            .set("body", body_attribute(&commit.body))
            .set("sequence", number(commit.sequence))
            .set("owed", flag(commit.owed))
            .set("published", number(commit.published))
            .set_some("summary", summary.map(text))
            .set_some("told", told.map(number));
        match self.update_head(record, change, "committing").await? {
            HeadWrite::Done => Ok(()),
            HeadWrite::Refused(_) => Err(FenceError::TakenOver),
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
            let mut guard = Guard::fence(fence);
            if let Some(stamp) = done {
                guard = guard.on("#done_due <= :stamp", &["done_due"]).with(":stamp", time(stamp));
            }
            let change = Change::on(guard)
                .set("lease_until", time(Timestamp::ZERO))
                .set_some("summary", summary.map(text))
                .set_some("published", release.published.map(number))
                .set_some("owed", release.clear_owed.then(|| flag(false)))
                .set_some("due", release.due_at_once.then(|| time(now)))
                .set_some("done_due", done.map(time));
            match self.update_head(record, change, "releasing").await? {
                HeadWrite::Done => return Ok(()),
                HeadWrite::Refused(Some(head)) if head.fence == fence && done.is_some() => {}
                HeadWrite::Refused(_) => return Err(FenceError::TakenOver),
            }
        }
        Ok(())
    }
}
