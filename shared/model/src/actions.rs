//! Actions: what agents were asked to do to their datastores, as their lists show it.
//!
//! What is known of them stands beside the view, not in it: the first contact with a node's actions is recorded
//! without events (else every action that an agent ever finished would be news), so folding the events can't give
//! it back. What holds instead: [`apply`] of a commit's changes to what was known before gives every action that is
//! not finished as it is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::record::NodeId;

/// The most actions of a node that are known at a time.
pub const MAX_ACTIONS: usize = 256;
/// The longest id of an action, in bytes. Agents use UUIDs; an action with another id than [`is_id`] is left out.
pub const MAX_ACTION_ID: usize = 64;
/// The longest kind or other word of an action, in bytes; longer ones are cut.
pub const MAX_ACTION_TEXT: usize = 200;

/// The id of an action: unique on its agent.
pub type ActionId = String;

/// What an agent tells of an action when it is asked for it. All empty where it was not asked, or did not tell.
///
/// Arguments, results and metadata are left out: they may be large and may hold secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionDetails {
    /// When it was made, in the agent's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When the agent took it, in the agent's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<String>,
    /// When it finished, in the agent's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// Who asked for it: `CORE_API`, `AGENT_API`. Version 1 alone tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// Why it failed. Version 2 alone tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One action as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionView {
    /// What is to be done, like `agent.replicante.io/test.ping`.
    pub kind: String,
    /// How far it is, in the agent's word: `NEW`, `RUNNING`, `DONE`, `FAILED` or one yet to come.
    pub state: String,
    /// Whether it has come to its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub finished: bool,
    /// What the agent told of it when it last changed.
    #[serde(flatten)]
    pub details: ActionDetails,
}

/// The actions of one node: what an agent lists, or what is kept of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeActions {
    /// By id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub known: BTreeMap<ActionId, ActionView>,
    /// Whether the agent lists more than these. A finished action that is not among them may then be one that had
    /// to make room: it is no news.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// What a poll heard of a node's actions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "heard", rename_all = "snake_case")]
pub enum ActionsReport {
    /// Nothing: a call failed, or there was no time for it. What is known stays.
    #[default]
    Unknown,
    /// They are switched off: the node has no actions.
    Off,
    /// What the agent lists. Those that were known are all in it, as far as they are still listed.
    Listed(NodeActions),
}

/// Whether it is an id as agents give them: it is safe within the path of an URL.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ACTION_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// What is known of a node's actions after a report. `None` before the first contact, and while they are off.
pub fn take(old: Option<NodeActions>, report: &ActionsReport) -> Option<NodeActions> {
    match report {
        ActionsReport::Unknown => old,
        ActionsReport::Off => None,
        ActionsReport::Listed(listed) => Some(keep(old.as_ref(), listed)),
    }
}

/// At most [`MAX_ACTIONS`] of the listed actions: first what was seen unfinished, so that its end is told; then what
/// else is unfinished; then the finished ones that were known, so that the same lists keep the same actions.
fn keep(old: Option<&NodeActions>, listed: &NodeActions) -> NodeActions {
    let was = |id: &str| old.and_then(|old| old.known.get(id));
    let mut ranked: Vec<(u8, &ActionId, &ActionView)> = Vec::with_capacity(listed.known.len());
    for (id, action) in &listed.known {
        let rank = match was(id) {
            Some(before) if !(before.finished && action.finished) => 0,
            None if !action.finished => 1,
            Some(_) => 2,
            None => 3,
        };
        ranked.push((rank, id, action));
    }
    ranked.sort_unstable_by_key(|(rank, id, _)| (*rank, *id));
    let more = listed.more || ranked.len() > MAX_ACTIONS;
    let kept = ranked.into_iter().take(MAX_ACTIONS).map(|(_, id, action)| {
        let mut action = action.clone();
        if action.details == ActionDetails::default()
            && let Some(before) = was(id)
        {
            action.details.clone_from(&before.details);
        }
        (id.clone(), action)
    });
    NodeActions { known: kept.collect(), more }
}

/// The ids of the actions that changed, or are new: those whose details are worth a request.
pub fn changed(old: Option<&NodeActions>, listed: &NodeActions) -> Vec<ActionId> {
    let mut changes = Vec::new();
    diff_node(&NodeId::new(), old, Some(&keep(old, listed)), &mut changes);
    let mut ids: Vec<ActionId> = Vec::new();
    for change in changes {
        let (Change::ActionNew { action, .. }
        | Change::ActionChanged { action, .. }
        | Change::ActionFinished { action, .. }) = change
        else {
            continue;
        };
        // A finished action that is new is told by two changes, one after the other.
        if ids.last() != Some(&action) {
            ids.push(action);
        }
    }
    ids
}

/// The changes from what was known to what is known, by node.
pub fn diff(old: &BTreeMap<NodeId, NodeActions>, new: &BTreeMap<NodeId, NodeActions>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (node, known) in old {
        diff_node(node, Some(known), new.get(node), &mut changes);
    }
    changes
}

/// Like an agent that starts as down, an action starts as unfinished: one that was never seen so is new, and then
/// finished. Without `old` it is the first contact, which is no news.
fn diff_node(node: &NodeId, old: Option<&NodeActions>, new: Option<&NodeActions>, changes: &mut Vec<Change>) {
    let Some(old) = old else { return };
    let forgets = old.more || new.is_some_and(|new| new.more);
    for (id, after) in new.iter().flat_map(|new| &new.known) {
        let (node, action, after) = (node.clone(), id.clone(), after.clone());
        match old.known.get(id).cloned() {
            Some(before) if before == after => {}
            Some(before) if after.finished && !before.finished => {
                changes.push(Change::ActionFinished { node, action, before, after });
            }
            Some(before) => changes.push(Change::ActionChanged { node, action, before, after }),
            None if !after.finished => changes.push(Change::ActionNew { node, action, after }),
            None if forgets => {}
            None => {
                let before = ActionView { finished: false, ..after.clone() };
                changes.push(Change::ActionNew {
                    node: node.clone(),
                    action: action.clone(),
                    after: before.clone(),
                });
                changes.push(Change::ActionFinished { node, action, before, after });
            }
        }
    }
    for (id, before) in old.known.iter().filter(|(_, before)| !before.finished) {
        if !new.is_some_and(|new| new.known.contains_key(id)) {
            changes.push(Change::ActionLost {
                node: node.clone(),
                action: id.clone(),
                before: before.clone(),
            });
        }
    }
}

/// Applies one change to what is known. Changes of other things than actions are passed over.
pub fn apply(actions: &mut BTreeMap<NodeId, NodeActions>, change: &Change) {
    match change {
        Change::ActionNew { node, action, after }
        | Change::ActionChanged { node, action, after, .. }
        | Change::ActionFinished { node, action, after, .. } => {
            actions.entry(node.clone()).or_default().known.insert(action.clone(), after.clone());
        }
        Change::ActionLost { node, action, .. } => {
            if let Some(known) = actions.get_mut(node) {
                known.known.remove(action);
            }
        }
        Change::NodeRemoved { node, .. } => drop(actions.remove(node)),
        Change::ClusterRemoved { .. } => actions.clear(),
        _ => {}
    }
}

/// What is known once a commit took only some of the changes that lead from `old` to `new`, `left` being those that
/// it did not take: nodes that are not all told keep what they had, and the next refresh goes on from there.
pub(crate) fn hold_back(
    old: &BTreeMap<NodeId, NodeActions>,
    new: &mut BTreeMap<NodeId, NodeActions>,
    taken: &[Change],
    left: &[Change],
) {
    let mut told = old.clone();
    taken.iter().for_each(|change| apply(&mut told, change));
    for node in left.iter().filter_map(|change| change.about().0) {
        match told.get(node) {
            Some(known) => new.insert(node.to_owned(), known.clone()),
            None => new.remove(node),
        };
    }
}
