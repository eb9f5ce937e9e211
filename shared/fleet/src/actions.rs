//! The actions of both protocols, as the agents were recorded: field by field, in their order.

use replicante_model::record::AgentApi;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Endpoint, Place};
use crate::world::{Action, ActionsMode};

/// When every action was made and taken, and when those that are finished were.
const TIMES: [&str; 2] = ["2026-01-02T03:54:59Z", "2026-01-02T03:55:00Z"];

#[derive(Serialize)]
struct ListedV2<'a> {
    id: &'a str,
    kind: &'a str,
    phase: &'a str,
}

#[derive(Serialize)]
struct ListV2<'a> {
    actions: Vec<ListedV2<'a>>,
}

#[derive(Serialize)]
struct InfoV1<'a> {
    action: ActionV1<'a>,
    history: Vec<HistoryV1<'a>>,
}

#[derive(Serialize)]
struct ActionV1<'a> {
    args: Value,
    created_ts: &'static str,
    finished_ts: Option<&'static str>,
    headers: Value,
    id: &'a str,
    kind: &'a str,
    requester: &'static str,
    scheduled_ts: &'static str,
    state: &'a str,
    state_payload: Option<&'a str>,
}

#[derive(Serialize)]
struct HistoryV1<'a> {
    action_id: &'a str,
    timestamp: &'static str,
    state: &'a str,
    state_payload: Option<&'a str>,
}

#[derive(Serialize)]
struct InfoV2<'a> {
    args: Value,
    created_time: &'static str,
    finished_time: Option<&'static str>,
    id: &'a str,
    kind: &'a str,
    metadata: Value,
    scheduled_time: &'static str,
    state: StateV2<'a>,
}

#[derive(Serialize)]
struct StateV2<'a> {
    error: Option<ErrorV2>,
    payload: Option<&'a str>,
    phase: &'a str,
}

#[derive(Serialize)]
struct ErrorV2 {
    error_msg: &'static str,
    error_backtrace: &'static str,
}

fn is_finished(action: &Action) -> bool {
    !matches!(&*action.state, "NEW" | "RUNNING")
}

/// What an agent that is up answers when it is asked for its actions.
pub(crate) fn answer(place: &Place<'_>, api: AgentApi, endpoint: Endpoint) -> Answer {
    match place.node.actions_mode {
        ActionsMode::Off => return Answer::not_found(),
        ActionsMode::Hanging => return Answer::Hang,
        ActionsMode::Failing => {
            return Answer::json(500, &json!({"error": "the store of actions is locked"}));
        }
        ActionsMode::Listed | ActionsMode::Reversed => {}
    }
    if endpoint == Endpoint::ActionInfo {
        return info(place, api);
    }
    let finished = endpoint == Endpoint::ActionsFinished;
    let mut actions: Vec<&Action> =
        place.node.actions.iter().filter(|action| is_finished(action) == finished).collect();
    let newest_first = (api == AgentApi::V1) != (place.node.actions_mode == ActionsMode::Reversed);
    if finished && newest_first {
        actions.reverse();
    }
    if api == AgentApi::V1 {
        return Answer::json(200, &actions);
    }
    let listed = actions.into_iter().map(|Action { id, kind, state }| ListedV2 { id, kind, phase: state });
    Answer::json(200, &ListV2 { actions: listed.collect() })
}

fn info(place: &Place<'_>, api: AgentApi) -> Answer {
    let path = match api {
        AgentApi::V1 => "/api/unstable/actions/info/",
        AgentApi::V2 => "/api/unstable/action/",
    };
    let id = place.path.strip_prefix(path);
    let Some(action) = place.node.actions.iter().find(|action| Some(&*action.id) == id) else {
        return Answer::not_found();
    };
    let Action { id, kind, state } = action;
    let [taken, end] = TIMES;
    let finished = is_finished(action).then_some(end);
    match api {
        AgentApi::V1 => {
            let entry = |timestamp, state| HistoryV1 { action_id: id, timestamp, state, state_payload: None };
            let mut history: Vec<_> = finished.map(|end| entry(end, state)).into_iter().collect();
            history.push(entry(taken, "NEW"));
            let action = ActionV1 {
                args: json!({}),
                created_ts: taken,
                finished_ts: finished,
                headers: json!({}),
                id,
                kind,
                requester: "CORE_API",
                scheduled_ts: taken,
                state,
                state_payload: None,
            };
            Answer::json(200, &InfoV1 { action, history })
        }
        AgentApi::V2 => {
            let error = ErrorV2 { error_msg: "Test action failed as expected", error_backtrace: "" };
            let error = (state == "FAILED").then_some(error);
            let state = StateV2 { error, payload: None, phase: state };
            let (args, metadata) = (json!(null), json!({}));
            let (created_time, scheduled_time) = (taken, taken);
            let finished_time = finished;
            let info =
                InfoV2 { args, created_time, finished_time, id, kind, metadata, scheduled_time, state };
            Answer::json(200, &info)
        }
    }
}
