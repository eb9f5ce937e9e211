//! Tasks: one message in a queue, "run this discovery" or "refresh this cluster".

use replicante_model::event::Cause;
use replicante_model::{RecordName, Timestamp};
use serde::{Deserialize, Serialize};

/// One task, as the JSON body of its message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The record to work on.
    #[serde(flatten)]
    pub record: RecordName,
    /// The due time that it was sent for: what makes a second delivery a duplicate. Absent for manual tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Timestamp>,
    /// Why it was sent.
    #[serde(default)]
    pub cause: Cause,
    /// Who asked, for manual tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

impl Task {
    /// The task of a scheduler for a record that is due.
    pub fn scheduled(record: RecordName, stamp: Timestamp) -> Self {
        Task { record, stamp: Some(stamp), cause: Cause::Schedule, actor: None }
    }

    /// A task that somebody asked for.
    pub fn manual(record: RecordName, actor: impl Into<String>) -> Self {
        Task { record, stamp: None, cause: Cause::Manual, actor: Some(actor.into()) }
    }

    /// The task that goes on where this one left off: nobody queued it, so nothing marks it as done.
    #[must_use]
    pub fn continued(self) -> Self {
        Task { stamp: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_reads_back_from_its_message() {
        let task = Task::scheduled(RecordName::cluster("default", "orders"), Timestamp(5));
        let json = serde_json::to_string(&task).unwrap();
        assert_eq!(
            json,
            r#"{"kind":"cluster","namespace":"default","id":"orders","stamp":5,"cause":"schedule"}"#
        );
        assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
        let manual = Task::manual(RecordName::discovery("default", "fleet"), "ann");
        assert_eq!(serde_json::from_str::<Task>(&serde_json::to_string(&manual).unwrap()).unwrap(), manual);
    }
}
