//! Answers of agents, both protocols.

use std::collections::BTreeMap;

use replicante_agents::actions::{Listing, details_v1, details_v2};
use replicante_agents::{reason, v1, v2};
use replicante_model::actions::{MAX_ACTION_TEXT, MAX_ACTIONS, is_id};
use replicante_model::observation::{MAX_ATTRIBUTES, MAX_REASON, MAX_TEXT, ShardReport};
use serde_json::{Value, json};

use crate::choices::Choices;
use crate::{damage, known};

/// The bodies that real agents sent.
pub fn recorded() -> &'static [Vec<u8>] {
    known::agents()
}

/// Every parser takes any body, and what comes of it is within its bounds.
pub fn check(body: &[u8]) {
    let _ = v1::agent(body);
    if let Ok(store) = v1::datastore(body) {
        assert!(store.cluster_id.len() <= MAX_TEXT && store.node.version.len() <= MAX_TEXT);
        assert!(store.display_name.is_none_or(|name| name.len() <= MAX_TEXT));
    }
    bounded(v1::shards(body).unwrap_or_default());
    if let Ok(node) = v2::node(body) {
        assert!(node.node.attributes.len() <= MAX_ATTRIBUTES);
        assert!(node.node.attributes.values().all(|value| value.len() <= MAX_TEXT));
        assert!(node.node.condition.is_none_or(|condition| condition.len() <= MAX_TEXT));
    }
    let _ = v2::store(body);
    bounded(v2::shards(body, "mongo.replica", "c").unwrap_or_default());
    bounded(v2::shards(body, "another.store", "c").unwrap_or_default());
    let mut listing = Listing::of(None);
    let _ = (listing.add_queue(body), listing.add_finished(body));
    let listed = listing.done().known;
    assert!(listed.len() <= 2 * MAX_ACTIONS && listed.keys().all(|id| is_id(id)));
    assert!(listed.values().all(|action| action.kind.len() <= MAX_ACTION_TEXT));
    for details in [details_v1(body), details_v2(body)].into_iter().flatten() {
        assert!(details.created_at.is_none_or(|text| text.len() <= MAX_ACTION_TEXT));
        assert!(details.error.is_none_or(|text| text.len() <= MAX_ACTION_TEXT));
    }
    let reason = reason::of_answer("shards", 500, body);
    assert!(reason.len() <= MAX_REASON && !reason.contains('\n'), "{reason}");
}

fn bounded(shards: BTreeMap<String, ShardReport>) {
    for (id, report) in shards {
        assert!(!id.is_empty() && id.len() <= MAX_TEXT);
        for offset in [report.commit_offset, report.lag].into_iter().flatten() {
            assert!(offset.unit.len() <= MAX_TEXT);
        }
    }
}

/// A recorded answer with something wrong in it.
pub fn damaged(choices: &mut Choices<'_>) {
    if choices.once_in(4) {
        let mut body = choices.one_of(known::agents()).clone();
        damage::bytes(&mut body, choices);
        return check(&body);
    }
    let mut answer = choices.one_of(known::agents_json()).clone();
    damage::document(&mut answer, choices);
    check(&damage::text(&answer, choices));
}

/// One entry of a list that is wrong takes no other with it.
pub fn one_bad_entry(choices: &mut Choices<'_>) {
    let place = choices.below(4);
    let with = |good: &[Value; 3], bad: &Value| {
        let mut list = good.to_vec();
        list.insert(place, bad.clone());
        list
    };
    let offset = json!({ "unit": { "unit": "zxid" }, "value": 7 });
    let shard = |id: &str| json!({ "commit_offset": offset, "id": id, "lag": null, "role": "Secondary" });
    let good = ["s1", "s2", "s3"].map(shard);
    let mut bad = shard("bad");
    damage::document(&mut bad, choices);
    let body = |list: &[Value]| json!({ "shards": list }).to_string().into_bytes();
    let parsers: [fn(&[u8]) -> _; 2] = [v1::shards, |body| v2::shards(body, "another.store", "c")];
    for parse in parsers {
        let alone = parse(&body(&good)).unwrap();
        let mut beside = parse(&body(&with(&good, &bad))).unwrap();
        beside.retain(|id, _| good.iter().any(|shard| shard["id"] == **id));
        assert_eq!(beside, alone, "beside {bad}");
    }

    let action = |id: &str| json!({ "id": id, "kind": "example.com/test", "state": "NEW" });
    let good = ["a1", "a2", "a3"].map(action);
    let mut bad = action("bad");
    damage::document(&mut bad, choices);
    let listed = |list: &[Value]| {
        let mut listing = Listing::of(None);
        listing.add_queue(json!(list).to_string().as_bytes()).unwrap();
        listing.add_finished(json!({ "actions": list }).to_string().as_bytes()).unwrap();
        listing.done().known
    };
    let mut beside = listed(&with(&good, &bad));
    beside.retain(|id, _| good.iter().any(|action| action["id"] == **id));
    assert_eq!(beside, listed(&good), "beside {bad}");
}

/// Either of both, as the first choice says.
pub fn some_damage(choices: &mut Choices<'_>) {
    match choices.below(2) {
        0 => damaged(choices),
        _ => one_bad_entry(choices),
    }
}
