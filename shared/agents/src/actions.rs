//! The actions of an agent, the same in both protocols but for words.
//!
//! Two lists, the queue first: an action that finishes between the two requests is in both, never in neither. The
//! details of an action are asked for when it is new or has changed. Nothing that fails here says anything of the
//! node: what is known of its actions then stays.

use std::collections::BTreeMap;
use std::fmt;

use replicante_model::actions::{
    ActionDetails, ActionId, ActionView, ActionsReport, MAX_ACTION_TEXT, MAX_ACTIONS, NodeActions, changed,
    is_id,
};
use replicante_model::observation::cut;
use replicante_model::record::AgentApi;
use replicante_outbound::Fetched;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::liberal::{Entries, EntriesOf, Malformed, Piece, read_into, read_object};
use crate::node::NodePoll;
use crate::v2;

/// Where the unfinished actions are. 404 with an empty body says that actions are switched off.
pub const QUEUE: &str = v2::ACTIONS_QUEUE;
/// Where the finished actions are.
pub const FINISHED: &str = "actions/finished";
/// The most requests for details of one node's actions in one refresh. Further changes are told without.
pub const MAX_DETAILS: usize = 16;

impl NodePoll<'_> {
    /// Asks for the actions, within the time that is left of the node's.
    pub(crate) async fn actions(&self, api: AgentApi) -> ActionsReport {
        let mut listing = Listing::of(self.target.actions);
        match self.fetch(QUEUE).await {
            Ok(Fetched { status: 404, body, .. }) if body.is_empty() => return ActionsReport::Off,
            Ok(Fetched { status: 200, body, .. }) if listing.add_queue(&body).is_ok() => {}
            _ => return ActionsReport::Unknown,
        }
        match self.fetch(FINISHED).await {
            Ok(Fetched { status: 200, body, .. }) if listing.add_finished(&body).is_ok() => {}
            _ => return ActionsReport::Unknown,
        }
        let mut listed = listing.done();
        self.ask_details(api, &mut listed).await;
        ActionsReport::Listed(listed)
    }

    async fn ask_details(&self, api: AgentApi, listed: &mut NodeActions) {
        for id in changed(self.target.actions, listed).into_iter().take(MAX_DETAILS) {
            let (endpoint, parse): (_, fn(&[u8]) -> _) = match api {
                AgentApi::V1 => (format!("actions/info/{id}"), details_v1),
                AgentApi::V2 => (format!("action/{id}"), details_v2),
            };
            // An agent that is silent now would be so for the next action too.
            let Ok(answer) = self.fetch(&endpoint).await else { return };
            if answer.status == 200
                && let Ok(details) = parse(&answer.body)
                && let Some(action) = listed.known.get_mut(&id)
            {
                action.details = details;
            }
        }
    }
}

/// What both lists tell, as they are read. Those that were known are all taken in; of others no more than could be
/// kept, the first by id, whatever the order of a list.
#[derive(Debug)]
pub struct Listing<'k> {
    known: Option<&'k NodeActions>,
    seen: BTreeMap<ActionId, ActionView>,
    queued: BTreeMap<ActionId, ActionView>,
    finished: BTreeMap<ActionId, ActionView>,
    more: bool,
}

impl<'k> Listing<'k> {
    /// An empty one, given what was known before.
    pub fn of(known: Option<&'k NodeActions>) -> Self {
        let (seen, queued, finished) = Default::default();
        Listing { known, seen, queued, finished, more: false }
    }

    /// Reads the answer of [`QUEUE`].
    ///
    /// # Errors
    /// When the body is no JSON or has no list.
    pub fn add_queue(&mut self, body: &[u8]) -> Result<(), Malformed> {
        read_into(body, Answer { listing: self, finished: false })
    }

    /// Reads the answer of [`FINISHED`]. An action that is in both lists is finished.
    ///
    /// # Errors
    /// When the body is no JSON or has no list.
    pub fn add_finished(&mut self, body: &[u8]) -> Result<(), Malformed> {
        read_into(body, Answer { listing: self, finished: true })
    }

    /// What was listed.
    pub fn done(mut self) -> NodeActions {
        self.seen.append(&mut self.queued);
        self.seen.append(&mut self.finished);
        NodeActions { known: self.seen, more: self.more }
    }

    fn add(&mut self, listed: &Listed<'_>, finished: bool) {
        let id = listed.id.text();
        if !is_id(&id) {
            return;
        }
        let word = |piece: &Piece<'_>| cut(&piece.variant().0, MAX_ACTION_TEXT).to_owned();
        let state = word(if listed.state == Piece::Null { &listed.phase } else { &listed.state });
        let ended = ["DONE", "FAILED"].iter().any(|end| state.eq_ignore_ascii_case(end));
        let finished = finished || ended;
        let action = ActionView { kind: word(&listed.kind), state, finished, ..ActionView::default() };
        if self.known.is_some_and(|known| known.known.contains_key(&id)) {
            self.seen.insert(id, action);
            return;
        }
        let list = if finished { &mut self.finished } else { &mut self.queued };
        list.insert(id, action);
        if list.len() > MAX_ACTIONS {
            list.pop_last();
            self.more = true;
        }
    }
}

/// A list of actions: `{"actions": [...]}`, or bare.
struct Answer<'l, 'k> {
    listing: &'l mut Listing<'k>,
    finished: bool,
}

impl<'de> DeserializeSeed<'de> for Answer<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Answer<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of actions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(listed) = list.next_element_seed(EntriesOf(Listed::default()))? {
            self.listing.add(&listed, self.finished);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Answer { listing, finished } = self;
        let mut found = false;
        while let Some(Piece::Text(name)) = object.next_key()? {
            if name == "actions" {
                found = true;
                object.next_value_seed(Answer { listing, finished })?;
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        if found { Ok(()) } else { Err(serde::de::Error::missing_field("actions")) }
    }
}

/// One entry of a list.
#[derive(Default)]
struct Listed<'a> {
    id: Piece<'a>,
    kind: Piece<'a>,
    /// Version 1's word.
    state: Piece<'a>,
    /// Version 2's word.
    phase: Piece<'a>,
}

impl<'de> Entries<'de> for Listed<'de> {
    fn entry<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        let place = match name {
            "id" => &mut self.id,
            "kind" => &mut self.kind,
            "state" => &mut self.state,
            "phase" => &mut self.phase,
            _ => return object.next_value::<IgnoredAny>().map(drop),
        };
        *place = object.next_value()?;
        Ok(())
    }
}

#[derive(Deserialize)]
struct InfoV1<'a> {
    #[serde(borrow)]
    action: ActionV1<'a>,
}

#[derive(Deserialize)]
struct ActionV1<'a> {
    #[serde(borrow, default)]
    created_ts: Piece<'a>,
    #[serde(borrow, default)]
    scheduled_ts: Piece<'a>,
    #[serde(borrow, default)]
    finished_ts: Piece<'a>,
    #[serde(borrow, default)]
    requester: Piece<'a>,
}

#[derive(Deserialize)]
struct ActionV2<'a> {
    #[serde(borrow, default)]
    created_time: Piece<'a>,
    #[serde(borrow, default)]
    scheduled_time: Piece<'a>,
    #[serde(borrow, default)]
    finished_time: Piece<'a>,
    #[serde(borrow, default)]
    state: Piece<'a>,
}

fn word(piece: &Piece<'_>) -> Option<String> {
    piece.some_text().map(|text| cut(&text, MAX_ACTION_TEXT).to_owned())
}

/// Reads the answer of `actions/info/<id>`, version 1.
///
/// # Errors
/// When the body is no JSON or tells no action.
pub fn details_v1(body: &[u8]) -> Result<ActionDetails, Malformed> {
    let action = read_object::<InfoV1<'_>>(body)?.action;
    Ok(ActionDetails {
        created_at: word(&action.created_ts),
        scheduled_at: word(&action.scheduled_ts),
        finished_at: word(&action.finished_ts),
        requester: word(&action.requester),
        error: None,
    })
}

/// Reads the answer of `action/<id>`, version 2.
///
/// # Errors
/// When the body is no JSON object.
pub fn details_v2(body: &[u8]) -> Result<ActionDetails, Malformed> {
    let action: ActionV2<'_> = read_object(body)?;
    let error = action.state.get("error");
    Ok(ActionDetails {
        created_at: word(&action.created_time),
        scheduled_at: word(&action.scheduled_time),
        finished_at: word(&action.finished_time),
        requester: None,
        error: word(error.get("error_msg")).or_else(|| word(error)),
    })
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
