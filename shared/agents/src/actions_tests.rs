use super::*;
use crate::recorded;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(recorded::folder().join(name)).unwrap()
}

fn read(known: Option<&NodeActions>, queue: &[u8], finished: &[u8]) -> NodeActions {
    let mut listing = Listing::of(known);
    listing.add_queue(queue).unwrap();
    listing.add_finished(finished).unwrap();
    listing.done()
}

/// Id, state and whether it is finished.
fn short(actions: &NodeActions) -> Vec<(&str, &str, bool)> {
    actions.known.iter().map(|(id, action)| (id.as_str(), action.state.as_str(), action.finished)).collect()
}

#[test]
fn every_recorded_list_is_read() {
    let mut read = 0;
    for (api, request) in [
        ("v1", "actions-queue"),
        ("v1", "actions-finished"),
        ("v2", "actions-queue"),
        ("v2", "actions-finished"),
    ] {
        for answer in recorded::answers(api, request) {
            if answer.status == Some(200) {
                Listing::of(None).add_queue(&answer.body).unwrap();
                Listing::of(None).add_finished(&answer.body).unwrap();
                read += 1;
            }
        }
    }
    assert!(read >= 20, "{read}");
}

#[test]
fn recorded_actions_of_version_1_are_read_with_their_details() {
    let found = read(None, &file("v1/actions/3b.queue-nonempty.json"), &file("v1/actions/6.finished.json"));
    assert_eq!(
        short(&found),
        [
            ("64a5102f-9b9d-479c-a62f-2c588e3f7d29", "NEW", false),
            ("80b0774d-1ca0-4f0a-919d-b9adc81b4aeb", "NEW", false),
            ("af876e5d-9805-4342-ae98-fe8596ed8de0", "DONE", true),
            ("e03b3d22-88c6-4c29-a0a8-c2f5d61fcefa", "NEW", false),
        ]
    );
    assert!(found.known.values().all(|action| action.kind == "agent.replicante.io/test.ping"));
    let text = |text: &str| Some(text.to_owned());
    let new = details_v1(&file("v1/actions/4b.info-new.json")).unwrap();
    assert_eq!((new.requester, new.finished_at), (text("AGENT_API"), None));
    let expected = ActionDetails {
        created_at: text("2026-11-23T03:54:59Z"),
        scheduled_at: text("2026-11-23T03:54:59Z"),
        finished_at: text("2026-11-23T03:55:00Z"),
        requester: text("CORE_API"),
        error: None,
    };
    assert_eq!(details_v1(&file("v1/actions/7.info-done.json")), Ok(expected));
}

#[test]
fn recorded_actions_of_version_2_are_read_with_their_details() {
    let found = read(None, &file("v2/actions/6.queue-running.json"), br#"{"actions":[]}"#);
    assert_eq!(short(&found), [("9494434f-59c4-45c2-8ecd-c51ed5d6f040", "RUNNING", false)]);
    let found = read(None, &file("v2/actions/2.queue.json"), &file("v2/actions/7.finished.json"));
    assert_eq!(
        short(&found),
        [
            ("8488252a-1ab0-4dce-bfa6-827d9f80604c", "FAILED", true),
            ("9494434f-59c4-45c2-8ecd-c51ed5d6f040", "DONE", true),
            ("b0fcf14e-6b54-4ff7-b0ba-375bac9a1ef2", "DONE", true),
        ],
        "an action in both lists is finished"
    );
    let failed = details_v2(&file("v2/actions/9.lookup-failed.json")).unwrap();
    assert_eq!(failed.error.as_deref(), Some("Test action failed as expected"));
    assert_eq!(failed.finished_at.as_deref(), Some("2026-11-23T04:26:58.110095024Z"));
    let new = details_v2(&file("v2/actions/3.lookup-new.json")).unwrap();
    assert_eq!(new.created_at.as_deref(), Some("2026-11-23T04:26:54.835141924Z"));
    assert_eq!(new.scheduled_at.as_deref(), Some("2026-11-23T04:26:54.835141897Z"));
    assert_eq!((new.finished_at, new.error, new.requester), (None, None, None));
}

#[test]
fn lists_are_bare_or_within_an_object_and_states_have_either_name() {
    let bare = br#"[{"id":"a","kind":"k","more":[{}],"state":"NEW"},{"id":"b","kind":"k","phase":"done"},
        {"id":"c","kind":"k","state":"FAILED"}]"#;
    let within = [br#"{"more":1,"actions":"#.as_slice(), bare, b"}"].concat();
    for body in [bare.as_slice(), &within] {
        let found = read(None, body, b"[]");
        assert_eq!(short(&found), [("a", "NEW", false), ("b", "done", true), ("c", "FAILED", true)]);
    }
    for other in [r#"{}"#, r#"{"actions":7}"#, r#"7"#, r#""x""#, r#"{"action":[]}"#] {
        assert_eq!(Listing::of(None).add_queue(other.as_bytes()), Err(Malformed::Shape), "{other}");
    }
    assert_eq!(Listing::of(None).add_queue(b"<html>"), Err(Malformed::NotJson));
}

#[test]
fn unknown_states_are_kept_and_the_list_tells_whether_they_are_an_end() {
    let found = read(None, br#"[{"id":"a","state":"PAUSED"},{"id":"b"}]"#, br#"[{"id":"c","phase":"GONE"}]"#);
    assert_eq!(short(&found), [("a", "PAUSED", false), ("b", "", false), ("c", "GONE", true)]);
}

#[test]
fn ids_that_are_none_are_left_out_and_words_are_cut() {
    let long = "x".repeat(65);
    let body = format!(
        r#"[{{"id":"../../x"}},{{"id":"{long}"}},{{"id":""}},{{"id":null}},{{}},7,"a",null,{{"id":"a?b"}},{{"id":"ok-1","kind":"{}"}}]"#,
        "k".repeat(300)
    );
    let found = read(None, body.as_bytes(), b"[]");
    assert_eq!(short(&found), [("ok-1", "", false)]);
    assert_eq!(found.known["ok-1"].kind.len(), MAX_ACTION_TEXT);
}

#[test]
fn of_endless_lists_those_that_were_known_are_found_and_the_same_others_whatever_the_order() {
    let entry = |id: usize| format!(r#"{{"id":"a{id:05}","state":"DONE"}}"#);
    let mut entries: Vec<String> = (0..2000).map(entry).collect();
    let forward = format!("[{}]", entries.join(","));
    entries.reverse();
    let backward = format!("[{}]", entries.join(","));
    let known = ["a01999", "a00007", "b"].map(|id| (id.to_owned(), ActionView::default()));
    let known = NodeActions { known: known.into(), more: false };
    let found = read(Some(&known), b"[]", forward.as_bytes());
    assert_eq!(found, read(Some(&known), b"[]", backward.as_bytes()));
    assert!(found.more && found.known.contains_key("a01999") && !found.known.contains_key("b"));
    assert_eq!(found.known.len(), MAX_ACTIONS + 2);
    let few = read(None, b"[]", format!("[{}]", entry(1)).as_bytes());
    assert!(!few.more);
}
