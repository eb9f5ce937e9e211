use proptest::prelude::*;
use replicante_model::record::RejectedRecord;
use replicante_objects::Limits;
use serde_json::{Value, json};

use super::*;
use crate::address::normalise;

/// Settings as an object stores them.
fn source(settings: Value) -> Prometheus {
    let mut all = json!({ "url": "http://sd/targets", "cluster_label": "cluster" });
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn parse(answer: Value) -> SourceAnswer {
    source(json!({ "display_name_label": "title" })).parse(answer.to_string().as_bytes()).unwrap()
}

/// Why records were set aside.
fn rejected(answer: Value) -> Vec<(String, String)> {
    parse(answer).rejected.into_iter().map(|rejected| (rejected.record, rejected.reason)).collect()
}

#[test]
fn the_groups_of_a_label_are_one_cluster_and_that_is_not_reported() {
    // The form of Prometheus' own documentation, with labels of ours.
    let answer = parse(json!([
        { "targets": ["10.0.10.2:9100", "10.0.10.3:9100"], "labels": { "__meta_dc": "london", "cluster": "orders" } },
        { "targets": ["10.0.40.2:9100"], "labels": { "cluster": "billing", "title": "Billing" } },
        { "targets": ["Agent.Example:80", "10.0.10.3:9100"], "labels": { "cluster": "orders", "title": "Orders" } },
        { "targets": [], "labels": { "cluster": "empty" } },
    ]));
    assert_eq!(answer.clusters.keys().collect::<Vec<_>>(), ["billing", "empty", "orders"]);
    let orders = &answer.clusters["orders"];
    let addresses = ["http://10.0.10.2:9100", "http://10.0.10.3:9100", "http://agent.example"];
    assert_eq!(orders.nodes.keys().collect::<Vec<_>>(), addresses);
    assert_eq!(orders.nodes.values().collect::<Vec<_>>(), addresses, "a target has no other name");
    assert_eq!(orders.display_name.as_deref(), Some("Orders"));
    assert!(answer.repeated.is_empty() && answer.rejected.is_empty());
}

#[test]
fn the_other_labels_of_a_group_are_those_of_its_targets() {
    let answer = parse(json!([
        { "targets": ["a:1", "b:1"], "labels": {
            "__meta_dc": "london", "__address__": "x", "cluster": "orders", "title": "Orders", "rack": "r2", "n": 5, "e": "",
        } },
        { "targets": ["b:1"], "labels": { "cluster": "orders", "rack": "r1", "zone": "eu" } },
        { "targets": ["c:1"], "labels": { "cluster": "orders" } },
    ]));
    let labels = json!(answer.clusters["orders"].labels);
    let expected = json!({ "http://a:1": { "rack": "r2" }, "http://b:1": { "rack": "r1", "zone": "eu" } });
    assert_eq!(
        labels, expected,
        "what names the cluster is the cluster's, and of two values the first counts"
    );
    assert!(answer.rejected.is_empty(), "no label makes a record wrong");
}

#[test]
fn labels_that_stand_once_and_would_be_kept_for_too_many_targets_are_left_out_and_that_is_told() {
    let group = |targets: usize, labels: usize| {
        let mut all: serde_json::Map<String, Value> =
            (0..labels).map(|n| (format!("{n:0>63}"), json!("v".repeat(256)))).collect();
        all.insert("cluster".into(), json!(format!("c{targets}")));
        json!({ "targets": (0..targets).map(|n| format!("a{n}:1")).collect::<Vec<_>>(), "labels": all })
    };
    // 32 labels of 335 bytes each: 6,260 nodes have just less than 64 MiB.
    let answer = parse(json!([group(6_000, 32), group(100, 32)]));
    assert_eq!(answer.clusters["c6000"].labels.len() + answer.clusters["c100"].labels.len(), 6_100);
    assert!(answer.rejected.is_empty());
    for order in [[6_000, 100, 300], [300, 6_000, 100]] {
        let answer = parse(json!(order.map(|targets| group(targets, 32))));
        assert!(answer.clusters.values().all(|record| record.labels.is_empty()), "all or none, in any order");
        assert_eq!(answer.clusters.values().map(|record| record.nodes.len()).sum::<usize>(), 6_400);
        let told = [RejectedRecord {
            record: "(labels)".into(),
            reason: "the labels of all nodes have more than 64 MiB: none of them is kept".into(),
        }];
        assert_eq!(answer.rejected, told);
    }
}

#[test]
fn the_label_of_the_settings_names_the_cluster() {
    let source = source(json!({ "cluster_label": "service" }));
    let groups = br#"[{"targets": ["a:1"], "labels": {"cluster": "other", "service": "orders"}}]"#;
    assert_eq!(source.parse(groups).unwrap().clusters.keys().collect::<Vec<_>>(), ["orders"]);
}

#[test]
fn scheme_and_prefix_make_the_address() {
    let source = source(json!({ "scheme": "https", "path_prefix": "/agent/" }));
    let answer =
        source.parse(br#"[{"targets": ["a", "b:443", "[::1]:8"], "labels": {"cluster": "c"}}]"#).unwrap();
    let nodes: Vec<&String> = answer.clusters["c"].nodes.keys().collect();
    assert_eq!(nodes, ["https://[::1]:8/agent", "https://a/agent", "https://b/agent"]);
}

#[test]
fn what_is_no_record_of_a_cluster_is_set_aside_with_its_reason() {
    let nameless = |reason: &str| vec![("(no cluster_id)".to_owned(), reason.to_owned())];
    for (group, reason) in [
        (json!({ "targets": ["a:1"] }), "no label `cluster`"),
        (json!({ "targets": ["a:1"], "labels": { "other": "x" } }), "no label `cluster`"),
        (json!({ "targets": ["a:1"], "labels": { "cluster": "" } }), "no label `cluster`"),
        (
            json!({ "targets": ["a:1"], "labels": { "cluster": 5 } }),
            "label `cluster` is a number: expected text",
        ),
        (json!({ "targets": ["a:1"], "labels": ["cluster"] }), "labels is a list: expected an object"),
        (json!("a:1"), "the target group is text: expected an object"),
    ] {
        assert_eq!(rejected(json!([group])), nameless(reason));
    }
    for (group, reason) in [
        (json!({ "labels": { "cluster": "c" } }), "no targets"),
        (json!({ "targets": "a:1", "labels": { "cluster": "c" } }), "targets is text: expected a list"),
        (json!({ "targets": [5], "labels": { "cluster": "c" } }), "a target is a number: expected text"),
        (
            json!({ "targets": ["http://a:1"], "labels": { "cluster": "c" } }),
            "a target is `http://a:1`: expected host:port",
        ),
        (
            json!({ "targets": ["a:1/b"], "labels": { "cluster": "c" } }),
            "a target is `a:1/b`: expected host:port",
        ),
        (json!({ "targets": [""], "labels": { "cluster": "c" } }), "a target is ``: expected host:port"),
    ] {
        assert_eq!(rejected(json!([group])), [("c".to_owned(), reason.to_owned())]);
    }
    for target in ["me:secret@a:1", "a:1?b", "a:1#b", "a:99999", "a b"] {
        let found = rejected(json!([{ "targets": [target], "labels": { "cluster": "c" } }]));
        assert!(found.len() == 1 && !found[0].1.contains("secret"), "{target}: {found:?}");
    }
    let twice = br#"[{"targets": ["a:1"], "labels": {"cluster": "a", "cluster": "b"}},
                     {"targets": ["a:1"], "targets": [], "labels": {"cluster": "a"}}]"#;
    let answer = source(json!({})).parse(twice).unwrap();
    assert_eq!(answer.rejected[0].reason, "a label is given twice; targets is given twice");
}

#[test]
fn what_is_no_list_of_groups_fails_the_run() {
    for (body, reason) in [
        ("{}", "the answer is an object: expected a list of target groups"),
        ("null", "the answer is null: expected a list of target groups"),
        ("\"a\"", "the answer is text: expected a list of target groups"),
    ] {
        assert_eq!(source(json!({})).parse(body.as_bytes()), Err(Failure::Shape(reason.into())));
    }
    for body in ["", "[", "[{]", "<html>", "[] []", "[{\"targets\": [\"a"] {
        let failure = source(json!({})).parse(body.as_bytes()).unwrap_err();
        assert!(matches!(failure, Failure::Malformed { format: "JSON", .. }), "{body}: {failure}");
    }
    assert_eq!(source(json!({})).parse(b" [] ").unwrap(), SourceAnswer::default(), "an empty list is whole");
}

#[test]
fn limits_hold_for_clusters_and_nodes_and_groups_of_one_cluster_count_once() {
    let group =
        |cluster: &str, target: &str| json!({ "targets": [target], "labels": { "cluster": cluster } });
    let parse = |limits: Limits, groups: &[Value]| {
        let mut source = source(json!({}));
        source.endpoint.limits = limits;
        source.parse(json!(groups).to_string().as_bytes()).map_err(|failure| failure.to_string())
    };
    let two = Limits { clusters: 2, nodes: 2, ..Limits::default() };
    let fits = [group("a", "a:1"), group("b", "b:1"), group("a", "a:2"), group("b", "b:1")];
    assert_eq!(parse(two.clone(), &fits).unwrap().clusters["a"].nodes.len(), 2);
    let clusters = [group("a", "a:1"), group("b", "b:1"), group("c", "c:1")];
    assert_eq!(
        parse(two.clone(), &clusters).unwrap_err(),
        "more than 2 records of clusters, the limit `clusters`"
    );
    let bad = [group("a", "a:1"), json!(1), json!(2)];
    assert_eq!(
        parse(two.clone(), &bad).unwrap_err(),
        "more than 2 records of clusters, the limit `clusters`"
    );
    let nodes = [group("a", "a:1"), group("a", "a:2"), group("a", "a:3")];
    assert_eq!(
        parse(two.clone(), &nodes).unwrap_err(),
        "more than 2 nodes in one cluster, the limit `nodes`"
    );
    let one = [json!({ "targets": ["a:1", "a:2", "a:3"], "labels": { "cluster": "a" } })];
    assert_eq!(parse(two, &one).unwrap_err(), "more than 2 nodes in one cluster, the limit `nodes`");
    let all = Limits { total_nodes: 3, ..Limits::default() };
    assert_eq!(parse(all, &fits).unwrap_err(), "more than 3 nodes in all clusters, the limit `total_nodes`");
}

/// JSON that is near to an answer.
fn near() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|value| json!(value)),
        "[a-z0-9:./@\\[\\]]{0,9}".prop_map(|value| json!(value)),
        Just(json!("cluster")),
    ];
    leaf.prop_recursive(4, 32, 4, |below| {
        let key = prop_oneof![Just("targets"), Just("labels"), Just("cluster"), Just("title"), Just("x")];
        prop_oneof![
            prop::collection::vec(below.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, below), 0..4).prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn no_body_makes_the_reader_panic(body in any::<Vec<u8>>()) {
        let _ = source(json!({})).parse(&body);
    }

    #[test]
    fn no_answer_that_is_near_to_one_makes_it_panic_and_what_it_gives_is_in_normal_form(groups in near(), cut in 0..400usize) {
        let text = groups.to_string();
        let source = source(json!({ "display_name_label": "title" }));
        let _ = source.parse(&text.as_bytes()[..cut.min(text.len())]);
        if let Ok(answer) = source.parse(text.as_bytes()) {
            for record in answer.clusters.values() {
                for (id, address) in &record.nodes {
                    prop_assert_eq!(&normalise(address).unwrap(), address);
                    prop_assert_eq!(id, address);
                }
            }
        }
    }
}
