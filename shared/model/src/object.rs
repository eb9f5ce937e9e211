//! Changes of objects: who applied or deleted which. The command line leaves each beside the object, and the worker of the
//! object's record tells it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::change::Change;
use crate::event::{Cause, Sealed, Sealer, TooLarge};
use crate::name::Kind;
use crate::time::Timestamp;

/// The most bytes of both specifications of a change, as JSON. Larger ones are left out.
pub const MAX_SPECS: usize = 64 * 1024;

/// A change of an object, as its event tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChange {
    /// What the object is about: a discovery, or what overrides it for a cluster.
    pub kind: Kind,
    /// The number of the change: that of the object which it stored. Each later change has a higher one, also of an object
    /// that was deleted and applied again.
    pub version: u64,
    /// When it was applied or deleted, by the clock of who did.
    #[serde(with = "crate::time::as_text")]
    pub at: Timestamp,
    /// The specification before; null when there was no object, or it is left out.
    pub before: Option<Map<String, Value>>,
    /// The specification after; null when there is no object any more, or it is left out.
    pub after: Option<Map<String, Value>>,
    /// Whether both are left out, since they are too large.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
}

/// A change of an object, and who made it: what is left for the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Who applied or deleted it.
    pub actor: String,
    /// What the event tells.
    #[serde(flatten)]
    pub change: Change,
}

impl Audit {
    /// What is left of a change, from one specification to another, as users write them.
    pub fn of(
        kind: Kind,
        version: u64,
        at: Timestamp,
        actor: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Self {
        let is_deleted = after.is_none();
        let bytes = |spec: &Option<Value>| spec.as_ref().map_or(0, |spec| spec.to_string().len());
        let left_out = bytes(&before) + bytes(&after) > MAX_SPECS;
        let shown = |spec: Option<Value>| spec.filter(|_| !left_out).and_then(shown);
        let change = ObjectChange { kind, version, at, before: shown(before), after: shown(after), left_out };
        let change = if is_deleted { Change::ObjectDeleted(change) } else { Change::ObjectApplied(change) };
        Audit { actor: actor.into(), change }
    }
}

/// A specification as it may be shown to all who read events.
fn shown(mut spec: Value) -> Option<Map<String, Value>> {
    hide_queries(&mut spec);
    match spec {
        Value::Object(spec) => Some(spec),
        _ => None,
    }
}

/// Cuts the query off each URL: it may hold a key. Whatever else is secret is a reference.
fn hide_queries(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("http://") || text.starts_with("https://") => {
            if let Some(query) = text.find('?') {
                text.truncate(query);
                text.push_str("?...");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide_queries),
        Value::Object(fields) => fields.values_mut().for_each(hide_queries),
        _ => {}
    }
}

/// Seals changes of objects, in order, each as asked for by who made it, not earlier than the record's last event.
///
/// # Errors
/// [`TooLarge`] for an event that the stream would refuse.
pub fn tell(audits: &[Audit], sealer: &Sealer<'_>, last_event: Timestamp) -> Result<Vec<Sealed>, TooLarge> {
    let time = sealer.time.max(last_event);
    let mut told = Vec::with_capacity(audits.len());
    for audit in audits {
        let sequence = sealer.sequence + told.len() as u64;
        let sealer =
            Sealer { sequence, time, cause: Cause::Manual, actor: Some(&audit.actor), ..sealer.clone() };
        told.extend(sealer.seal([&audit.change], 1, usize::MAX)?);
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::name::RecordName;
    use serde_json::json;

    fn change(before: Option<&Value>, after: Option<&Value>) -> Audit {
        Audit::of(Kind::Discovery, 7, Timestamp(5), "ann", before.cloned(), after.cloned())
    }

    fn of(audit: &Audit) -> &ObjectChange {
        match &audit.change {
            Change::ObjectApplied(change) | Change::ObjectDeleted(change) => change,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_change_holds_the_specifications_and_reads_back_as_it_was_stored() {
        let (old, new) = (json!({ "interval": "1m" }), json!({ "interval": "30s" }));
        for (before, after, name) in [
            (None, Some(&new), "object.applied"),
            (Some(&old), Some(&new), "object.applied"),
            (Some(&old), None, "object.deleted"),
        ] {
            let audit = change(before, after);
            assert_eq!(audit.change.name(), name);
            let value = |spec: &Option<Map<String, Value>>| spec.clone().map(Value::Object);
            assert_eq!(
                (value(&of(&audit).before), value(&of(&audit).after)),
                (before.cloned(), after.cloned())
            );
            let json = serde_json::to_string(&audit).unwrap();
            assert_eq!(serde_json::from_str::<Audit>(&json).unwrap(), audit);
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let spec = json!({ "source": { "http": { "url": "https://inventory/v1?key=abc", "headers": { "x": "env:A" } } },
            "of": ["http://a?b", "text?"] });
        let audit = change(None, Some(&spec));
        let shown = json!({ "source": { "http": { "url": "https://inventory/v1?...", "headers": { "x": "env:A" } } },
            "of": ["http://a?...", "text?"] });
        assert_eq!(of(&audit).after.clone().map(Value::Object), Some(shown));
    }

    #[test]
    fn specifications_that_are_too_large_are_left_out_and_it_says_so() {
        let spec = |bytes: usize| json!({ "text": "x".repeat(bytes) });
        let fits = change(Some(&spec(MAX_SPECS / 4)), Some(&spec(MAX_SPECS / 2)));
        assert!(!of(&fits).left_out && of(&fits).before.is_some());
        let large = change(Some(&spec(MAX_SPECS / 2)), Some(&spec(MAX_SPECS / 2)));
        let expected = ObjectChange { before: None, after: None, left_out: true, ..of(&large).clone() };
        assert_eq!(*of(&large), expected);
        assert_eq!(large.change.name(), "object.applied");
    }

    #[test]
    fn each_change_is_told_as_its_own_actors_one_after_the_other() {
        let record = RecordName::discovery("default", "fleet");
        let sealer = Sealer {
            source: "/replicante/test",
            record: &record,
            epoch: 1,
            sequence: 4,
            time: Timestamp(9),
            cause: Cause::Schedule,
            actor: None,
            maintenance: None,
        };
        let bob = Audit { actor: "bob".into(), ..change(Some(&json!({})), None) };
        let told = tell(&[change(None, Some(&json!({}))), bob], &sealer, Timestamp(11)).unwrap();
        let read = |sealed: &Sealed| serde_json::from_slice::<Event>(&sealed.bytes).unwrap();
        let events: Vec<Event> = told.iter().map(read).collect();
        let seen: Vec<_> = events.iter().map(|event| (event.position(), event.actor.as_deref())).collect();
        assert_eq!(seen, [(Some((1, 5)), Some("ann")), (Some((1, 6)), Some("bob"))]);
        let last = Timestamp(11).rfc3339();
        assert!(events.iter().all(|event| event.cause == Cause::Manual && event.time == last));
        assert_eq!(told.iter().map(|sealed| sealed.sequence).collect::<Vec<_>>(), [5, 6]);
    }
}
