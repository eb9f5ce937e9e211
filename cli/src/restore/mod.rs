//! A table that was restored from a backup, made fit to be worked on again.
//!
//! The stream is ahead of such a table: it has what was committed after the backup. Worked on as it is, the table gives
//! numbers away again that the stream has under another content, and readers take the new events for copies. So each
//! record begins a new epoch, higher than any that it can have had:
//!
//! ```text
//! survey.rs  the heads and tombstones of the table; whether anybody works on it
//! told.rs    what the stream tells since the backup
//! plan.rs    pure: the epoch, what is to be done, and whether it was done before
//! raise.rs   one record after the other: each is claimed, and its new epoch begun in one conditional write
//! ```
//!
//! The new epoch of a cluster begins with a snapshot of what is stored, as what the head owes: the workers deliver it
//! before anything else. So it holds again that the stream, folded, is what is stored.
//!
//! This is the one place outside of the workers that writes state and events. It takes the claim as they do, and no
//! worker is to run meanwhile.

pub mod plan;
pub mod raise;
pub mod survey;
pub mod told;

use replicante_aws::{RestoreMark, Stream, Table};
use replicante_model::Timestamp;

use crate::error::CliError;
use crate::restore::plan::{Plan, Standing, standing};
use crate::restore::raise::{Raised, Raiser};
use crate::restore::survey::Survey;
use crate::restore::told::Told;

/// What a restored table is checked by.
#[derive(Clone, Debug)]
pub struct Check {
    /// The table.
    pub table: Table,
    /// The stream that it publishes to.
    pub stream: Stream,
    /// The `source` of the deployment's events.
    pub source: String,
    /// The point in time that the table was restored to.
    pub restored_to: Timestamp,
    /// Whether the stream's own times say nothing: those of a local run are those of its start.
    pub whole_stream: bool,
    /// Who asks.
    pub actor: String,
    /// Why, if it is done although it was done before.
    pub again: Option<String>,
}

impl Check {
    /// Looks at table and stream, and says what is to be done. Changes nothing.
    ///
    /// # Errors
    /// When the epochs were raised before, somebody works on the table, or table or stream can't be read.
    pub async fn plan(&self, now: Timestamp) -> Result<Plan, CliError> {
        let mark = self.table.restore_mark().await?;
        let standing = standing(mark.as_ref(), self.restored_to, self.again.is_some());
        if let Standing::Done(mark) = &standing {
            return Err(done_before(mark));
        }
        let survey = Survey::of(&self.table).await?;
        if let Some(problem) = survey.is_worked_on(self.restored_to, now) {
            return Err(CliError::Failed(problem));
        }
        let told = Told::read(&self.stream, self.restored_to, self.whole_stream).await?;
        Ok(Plan::new(standing, survey, told, self.restored_to, now))
    }

    /// Does what the plan says. When it ends half way, the next time goes on from there.
    ///
    /// # Errors
    /// Names the records that could not be raised.
    pub async fn carry_out(&self, plan: &Plan, now: Timestamp) -> Result<Raised, CliError> {
        let mark = match &plan.standing {
            Standing::Begun(mark) => mark.clone(),
            Standing::New(known) => {
                let mark = RestoreMark {
                    restored_to: self.restored_to,
                    began: now,
                    epoch: plan.epoch,
                    actor: self.actor.clone(),
                    again: self.again.clone(),
                    done: None,
                };
                if !self.table.mark_restore(&mark, known.as_ref()).await? {
                    let problem =
                        "somebody else began to raise the epochs at the same time: look at the table again";
                    return Err(CliError::Failed(problem.into()));
                }
                mark
            }
            Standing::Done(mark) => return Err(done_before(mark)),
        };
        let raiser = Raiser {
            table: &self.table,
            stream: &self.stream,
            source: &self.source,
            mark: &mark,
            told: &plan.told,
        };
        let raised = raiser.all(plan).await?;
        let after = Survey::of(&self.table).await?;
        let left = after.below(mark.epoch);
        if let Some(first) = left.first() {
            let problem = format!("{} records are not raised, {first} is the first", left.len());
            return Err(CliError::Failed(format!("{problem}: run it again, it goes on from there")));
        }
        let finished = RestoreMark { done: Some(Timestamp::now()), ..mark.clone() };
        self.table.mark_restore(&finished, Some(&mark)).await?;
        Ok(raised)
    }
}

fn done_before(mark: &RestoreMark) -> CliError {
    let RestoreMark { restored_to, epoch, actor, .. } = mark;
    let when = mark.done.unwrap_or(mark.began);
    CliError::Failed(format!(
        "the epochs of this table were raised to {epoch} on {when}, for the restore to {restored_to}, by {actor}. Once is \
         enough: every time is a restart for all readers. To do it all the same, say why: --again \"REASON\""
    ))
}
