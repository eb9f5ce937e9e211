use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn collect(limits: Limits, pages: &[&str]) -> Result<SourceAnswer, Failure> {
    let mut collector = Collector::new(limits);
    for page in pages {
        collector.add_json(page.as_bytes())?;
    }
    Ok(collector.finish())
}

fn answer(clusters: Value) -> SourceAnswer {
    let page = json!({ "cursor": null, "clusters": clusters }).to_string();
    let answer = collect(Limits::default(), &[&page]).unwrap();
    // YAML is read by the same reader: whatever is tested here holds for both.
    let mut yaml = Collector::new(Limits::default());
    assert_eq!(yaml.add_yaml(&page), Ok(None));
    assert_eq!(yaml.finish(), answer);
    answer
}

fn nodes(answer: &SourceAnswer, cluster: &str) -> Vec<(String, String)> {
    answer.clusters[cluster].nodes.clone().into_iter().collect()
}

/// The reason why a record was set aside, beside a good one that stands.
fn reason(record: Value) -> String {
    let answer = answer(json!([record, { "cluster_id": "good", "nodes": ["http://a"] }]));
    assert_eq!(answer.clusters.keys().collect::<Vec<_>>(), ["good"]);
    let [rejected] = &answer.rejected[..] else { panic!("{:?}", answer.rejected) };
    format!("{}: {}", rejected.record, rejected.reason)
}

fn pair(id: &str, address: &str) -> (String, String) {
    (id.into(), address.into())
}

#[test]
fn nodes_are_urls_or_objects_and_their_identity_is_the_node_id_else_the_normalised_url() {
    let answer = answer(json!([{ "cluster_id": "a", "nodes": [
        "HTTP://Agent-1:80/", "http://agent-1",
        { "node_id": "n2", "agent_address": "http://agent-2:8000/", "node_class": "x", "node_group": null },
        { "node_id": null, "agent_address": "https://agent-3/agents/Three/" },
    ] }]));
    assert_eq!(
        nodes(&answer, "a"),
        [
            pair("http://agent-1", "http://agent-1"),
            pair("https://agent-3/agents/Three", "https://agent-3/agents/Three"),
            pair("n2", "http://agent-2:8000"),
        ]
    );
    assert!(answer.rejected.is_empty() && answer.repeated.is_empty());
}

#[test]
fn a_node_has_the_labels_that_its_object_gives_and_none_makes_it_wrong() {
    let mut many: serde_json::Map<String, Value> =
        (0..40).map(|n| (format!("n{n:02}"), json!("1"))).collect();
    many.insert("long".into(), json!("v".repeat(257)));
    let answer = answer(json!([{ "cluster_id": "a", "labels": { "of": "a cluster" }, "nodes": [
        { "node_id": "n1", "agent_address": "http://a", "labels": { "rack": "r1", "count": 5, "none": null, "": "x" } },
        { "node_id": "n2", "agent_address": "http://b", "labels": { "rack": "r2" }, "node_class": "kafka", "node_group": null },
        { "node_id": "n3", "agent_address": "http://c", "labels": many },
        { "node_id": "n4", "agent_address": "http://d", "labels": ["rack"], "node_class": 7, "node_group": "" },
        { "node_id": "n5", "agent_address": "http://e", "labels": null },
        "http://f",
    ] }]));
    assert!(answer.rejected.is_empty());
    let record = &answer.clusters["a"];
    assert_eq!(record.nodes.len(), 6);
    assert_eq!(record.labels.keys().collect::<Vec<_>>(), ["n1", "n2", "n3"], "absent where there are none");
    assert_eq!(json!(record.labels["n1"]), json!({ "rack": "r1" }));
    assert_eq!(json!(record.labels["n2"]), json!({ "rack": "r2", "node_class": "kafka" }));
    let most = replicante_model::labels::MAX_LABELS;
    assert!(record.labels["n3"].len() == most && !record.labels["n3"].contains_key("long"));
}

#[test]
fn the_labels_of_a_node_that_is_given_several_times_are_put_together_in_any_order() {
    let node = |labels: Value| json!({ "node_id": "n", "agent_address": "http://a", "labels": labels });
    let parts = [json!({ "rack": "r2", "zone": "eu" }), json!({ "rack": "r1" }), json!({})];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let nodes = order.map(|part| node(parts[part].clone()));
        let within = answer(json!([{ "cluster_id": "x", "nodes": nodes }]));
        let across = answer(nodes.iter().map(|node| json!({ "cluster_id": "x", "nodes": [node] })).collect());
        for answer in [within, across] {
            assert_eq!(json!(answer.clusters["x"].labels), json!({ "n": { "rack": "r1", "zone": "eu" } }));
        }
    }
}

#[test]
fn a_display_name_is_kept_cut_or_absent() {
    let answer = answer(json!([
        { "cluster_id": "a", "display_name": "Orders", "nodes": [] },
        { "cluster_id": "b", "display_name": null, "nodes": [] },
        { "cluster_id": "c", "display_name": "", "nodes": [] },
        { "cluster_id": "d", "display_name": "ü".repeat(1000), "nodes": [] },
    ]));
    let name = |id: &str| answer.clusters[id].display_name.clone();
    assert_eq!((name("a").as_deref(), name("b"), name("c")), (Some("Orders"), None, None));
    assert_eq!(name("d").unwrap().len(), 1024);
}

#[test]
fn one_bad_record_is_set_aside_with_its_reason_and_the_rest_stands() {
    let node = |node: Value| reason(json!({ "cluster_id": "a", "nodes": ["http://ok", node] }));
    for (shown, expected) in [
        (reason(json!({ "nodes": [] })), "(no cluster_id): no cluster_id"),
        (reason(json!({ "cluster_id": null, "nodes": [] })), "(no cluster_id): no cluster_id"),
        (reason(json!({ "cluster_id": " ", "nodes": [] })), "(no cluster_id): the cluster id is empty"),
        (
            reason(json!({ "cluster_id": 5, "nodes": [] })),
            "(no cluster_id): cluster_id is a number: expected text",
        ),
        (reason(json!({ "cluster_id": "a" })), "a: no nodes"),
        (reason(json!({ "cluster_id": "a", "nodes": null })), "a: no nodes"),
        (reason(json!({ "cluster_id": "a", "nodes": "http://a" })), "a: nodes is text: expected a list"),
        (
            reason(json!({ "cluster_id": "a", "display_name": [1], "nodes": [] })),
            "a: display_name is a list: expected text",
        ),
        (reason(json!("http://a")), "(no cluster_id): the record is text: expected an object"),
        (reason(json!([[], {}])), "(no cluster_id): the record is a list: expected an object"),
        (reason(json!(null)), "(no cluster_id): the record is null: expected an object"),
        (node(json!(true)), "a: a node is true or false: expected a URL or an object"),
        (node(json!({ "node_id": "x" })), "a: no agent_address"),
        (
            node(json!({ "node_id": {}, "agent_address": "http://a" })),
            "a: node_id is an object: expected text",
        ),
        (node(json!({ "node_id": "", "agent_address": "http://a" })), "a: a node_id is empty"),
        (
            node(json!({ "node_id": "x".repeat(257), "agent_address": "http://a" })),
            "a: the identity of a node has more than 256 bytes",
        ),
        (
            node(json!(format!("http://a/{}", "x".repeat(300)))),
            "a: the identity of a node has more than 256 bytes",
        ),
        (
            node(json!("agent:8000")),
            "a: the address `agent:8000` is no URL of an agent: expected http:// or https:// and a host",
        ),
        (node(json!("http://me:hunter2@a")), "a: an address holds a user or a password: expected none"),
        (
            node(json!("http://a/?b")),
            "a: the address `http://a/?b` has a query or a fragment: expected a base URL",
        ),
    ] {
        assert_eq!(shown, expected);
    }
    let long = reason(json!({ "cluster_id": "x".repeat(161), "nodes": [] }));
    assert_eq!(
        long,
        format!(
            "{}: the cluster id is too long: 161 bytes once percent-encoded, at most 160 are allowed",
            "x".repeat(160)
        )
    );
}

#[test]
fn records_without_an_id_are_one_whatever_their_place() {
    let good = json!({ "cluster_id": "good", "nodes": [] });
    let found = answer(json!([{ "nodes": [] }, good, "x", {}]));
    let reason = "2 records: no cluster_id; the record is text: expected an object";
    assert_eq!(found.rejected, [RejectedRecord { record: "(no cluster_id)".into(), reason: reason.into() }]);
    assert_eq!(found, answer(json!([{}, "x", { "nodes": [] }, good])));
}

#[test]
fn of_two_display_names_the_one_that_sorts_first_counts() {
    let named = |name: Option<&str>| json!({ "cluster_id": "a", "display_name": name, "nodes": [] });
    let name = |names: [Option<&str>; 3]| {
        answer(names.map(named).into_iter().collect()).clusters["a"].display_name.clone()
    };
    assert_eq!(name([Some("y"), Some("x"), None]).as_deref(), Some("x"));
    assert_eq!(name([None, Some("x"), Some("y")]).as_deref(), Some("x"));
}

#[test]
fn a_field_given_twice_makes_a_bad_record() {
    let page = r#"{"clusters": [{"cluster_id": "a", "nodes": [], "nodes": []},
        {"cluster_id": "b", "nodes": [{"agent_address": "http://a", "agent_address": "http://b"}]},
        {"cluster_id": "c", "nodes": [{"agent_address": "http://a", "labels": {}, "labels": {}}]}]}"#;
    let answer = collect(Limits::default(), &[page]).unwrap();
    let mut yaml = Collector::new(Limits::default());
    assert_eq!(yaml.add_yaml(page), Ok(None));
    assert_eq!(yaml.finish(), answer);
    let reasons: Vec<&str> = answer.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    let twice =
        ["nodes is given twice", "agent_address of a node is given twice", "labels of a node is given twice"];
    assert_eq!(reasons, twice);
    assert!(answer.clusters.is_empty());
}

#[test]
fn the_same_cluster_twice_has_the_nodes_of_both_and_is_reported() {
    let pages = [
        r#"{"clusters": [{"cluster_id": "b", "nodes": ["http://b1"]}, {"cluster_id": "a", "nodes": []}]}"#,
        r#"{"clusters": [{"cluster_id": "b", "display_name": "first", "nodes": ["http://b2", "http://b1"]},
                         {"cluster_id": "b", "display_name": "second", "nodes": []}]}"#,
    ];
    let answer = collect(Limits::default(), &pages).unwrap();
    assert_eq!(nodes(&answer, "b"), [pair("http://b1", "http://b1"), pair("http://b2", "http://b2")]);
    assert_eq!(answer.clusters["b"].display_name.as_deref(), Some("first"));
    assert_eq!(answer.repeated, ["b"]);
    assert!(answer.rejected.is_empty());
}

#[test]
fn a_node_with_several_addresses_has_the_one_that_sorts_first_and_is_reported_once() {
    let node = |address: &str| json!({ "node_id": "n", "agent_address": address });
    let expected = "node `n` has several addresses: the one that sorts first is used";
    for order in [["http://a", "http://b", "http://c"], ["http://c", "http://b", "http://a"]] {
        let within = answer(json!([{ "cluster_id": "x", "nodes": order.map(node) }]));
        let across = answer(
            order.iter().map(|address| json!({ "cluster_id": "x", "nodes": [node(address)] })).collect(),
        );
        for answer in [within, across] {
            assert_eq!(nodes(&answer, "x"), [pair("n", "http://a")]);
            assert_eq!(answer.rejected, [RejectedRecord { record: "x".into(), reason: expected.into() }]);
        }
    }
}

#[test]
fn what_was_set_aside_is_ordered_and_each_once() {
    let bad = |id: &str| json!({ "cluster_id": id, "nodes": [1] });
    let answer = answer(json!([bad("b"), bad("a"), bad("b"), 5]));
    let records: Vec<&str> = answer.rejected.iter().map(|rejected| rejected.record.as_str()).collect();
    assert_eq!(records, ["(no cluster_id)", "a", "b"]);
}

#[test]
fn what_is_no_list_of_clusters_fails() {
    for (page, problem) in [
        ("{}", "the answer has no clusters: expected a list, which may be empty"),
        (r#"{"cursor": null}"#, "the answer has no clusters: expected a list, which may be empty"),
        (r#"{"clusters": null}"#, "clusters is null: expected a list"),
        (r#"{"clusters": {"a": {}}}"#, "clusters is an object: expected a list"),
        (r#"{"clusters": [], "clusters": []}"#, "clusters is given twice"),
        (r#"{"clusters": [], "cursor": 5, "x": {}}"#, "the cursor is a number: expected text or null"),
        (r#"{"cursor": null, "cursor": "a", "clusters": []}"#, "cursor is given twice"),
        ("[]", "the answer is a list: expected an object"),
        ("null", "the answer is null: expected an object"),
        (r#""<html>""#, "the answer is text: expected an object"),
    ] {
        assert_eq!(collect(Limits::default(), &[page]), Err(Failure::Shape(problem.into())), "{page}");
    }
    let long = json!({ "cursor": "x".repeat(5000), "clusters": [] }).to_string();
    assert!(matches!(collect(Limits::default(), &[&long]), Err(Failure::Shape(_))));
}

#[test]
fn an_empty_list_is_an_answer_and_a_missing_cursor_is_the_last() {
    assert_eq!(collect(Limits::default(), &[r#"{"clusters": [], "more": 1}"#]), Ok(SourceAnswer::default()));
    let mut collector = Collector::new(Limits::default());
    assert_eq!(collector.add_json(br#"{"clusters": []}"#), Ok(None));
    assert_eq!(collector.add_json(br#"{"clusters": [], "cursor": "a"}"#), Ok(Some("a".into())));
}

#[test]
fn malformed_json_fails_whatever_it_began_with() {
    for page in [
        "",
        "<html>",
        "{",
        r#"{"clusters": [{"cluster_id": "a", "nodes": []}"#,
        r#"{"clusters": []} x"#,
        "\u{feff}{}",
    ] {
        assert!(
            matches!(collect(Limits::default(), &[page]), Err(Failure::Malformed { format: "JSON", .. })),
            "{page}"
        );
    }
    let deep = format!(r#"{{"clusters": [{}{}]}}"#, "[".repeat(5000), "]".repeat(5000));
    // What is skipped is skipped without recursion: deep, but harmless.
    let _ = collect(Limits::default(), &[&deep]);
}

#[test]
fn limits_hold_for_records_and_nodes_over_all_pages_and_exactly_the_limit_is_allowed() {
    let page = |ids: &[&str], nodes: &[&str]| {
        let records: Vec<Value> = ids.iter().map(|id| json!({ "cluster_id": id, "nodes": nodes })).collect();
        json!({ "clusters": records }).to_string()
    };
    let limits = || Limits { clusters: 2, nodes: 2, ..Limits::default() };
    let limit = |outcome: Result<SourceAnswer, Failure>| match outcome {
        Err(Failure::Limit { limit, most: 2, .. }) => limit,
        other => panic!("{other:?}"),
    };
    let two = page(&["a", "b"], &["http://a", "http://b"]);
    assert_eq!(collect(limits(), &[&two]).unwrap().clusters.len(), 2);
    assert_eq!(limit(collect(limits(), &[&two, &page(&["c"], &[])])), "clusters");
    // Records that are repeated or set aside cost as much as others.
    assert_eq!(limit(collect(limits(), &[&page(&["a", "a", "a"], &[])])), "clusters");
    assert_eq!(limit(collect(limits(), &[r#"{"clusters": [1, 2, 3]}"#])), "clusters");
    assert_eq!(limit(collect(limits(), &[&page(&["a"], &["http://a", "http://a", "http://b"])])), "nodes");
    assert_eq!(limit(collect(limits(), &[&page(&["a"], &["1", "2", "3"])])), "nodes");
    let one = |node: &str| page(&["a"], &[node]);
    let wide = Limits { clusters: 9, ..limits() };
    assert_eq!(limit(collect(wide, &[&one("http://a"), &one("http://b"), &one("http://c")])), "nodes");
}

#[test]
fn all_pages_together_have_limits_of_bytes_and_nodes_and_exactly_the_limit_is_allowed() {
    let page = |id: &str| {
        json!({ "clusters": [{ "cluster_id": id, "nodes": ["http://a", "http://b"] }] }).to_string()
    };
    let pages = [&*page("a"), &*page("b")];
    let bytes = pages.iter().map(|page| page.len() as u64).sum();
    let limits = Limits { total_bytes: bytes, total_nodes: 4, ..Limits::default() };
    assert_eq!(collect(limits.clone(), &pages).unwrap().clusters.len(), 2);
    let reason = |limits: Limits| collect(limits, &pages).unwrap_err().to_string();
    let fewer = Limits { total_bytes: bytes - 1, ..limits.clone() };
    assert_eq!(reason(fewer), format!("more than {} bytes in all pages, the limit `total_bytes`", bytes - 1));
    let fewer = Limits { total_nodes: 3, ..limits };
    assert_eq!(reason(fewer), "more than 3 nodes in all clusters, the limit `total_nodes`");
}

#[test]
fn a_hundred_thousand_clusters_are_an_answer() {
    let records: Vec<String> = (0..100_000)
        .map(|index| format!(r#"{{"cluster_id":"c{index}","nodes":["http://10.0.0.1:8000/{index}"]}}"#))
        .collect();
    let page = format!(r#"{{"cursor":null,"clusters":[{}]}}"#, records.join(","));
    let answer = collect(Limits::default(), &[&page]).unwrap();
    assert_eq!(answer.clusters.len(), 100_000);
    // In a file as well: the reader's bounds for configuration are narrower.
    let mut yaml = Collector::new(Limits::default());
    assert_eq!(yaml.add_yaml(&page), Ok(None));
    assert_eq!(yaml.finish(), answer);
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut bomb = "x0: &x0 [a,a,a,a,a,a,a,a,a,a]\n".to_string();
    for level in 1..10 {
        let below = format!("*x{},", level - 1).repeat(10);
        bomb += &format!("x{level}: &x{level} [{below}]\n");
    }
    bomb += "clusters: [*x9]\n";
    let outcome = Collector::new(Limits::default()).add_yaml(&bomb);
    assert!(matches!(outcome, Err(Failure::Malformed { format: "YAML", .. })), "{outcome:?}");
}

/// Values that are nearly an answer.
fn nearly() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(http://)?[a-zA-Z0-9:/.@?ü\u{0}-]{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("cursor".to_string()),
        Just("clusters".into()),
        Just("cluster_id".into()),
        Just("display_name".into()),
        Just("nodes".into()),
        Just("node_id".into()),
        Just("agent_address".into()),
        Just("labels".into()),
        "[a-zü ]{0,3}",
    ];
    leaf.prop_recursive(5, 64, 6, move |below| {
        prop_oneof![
            proptest::collection::vec(below.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), below, 0..6)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

#[test]
fn a_node_of_several_addresses_is_reported_alike_whatever_the_order() {
    let record = |nodes: &[(&str, &str)]| {
        let node =
            |(id, host): &(&str, &str)| json!({ "node_id": id, "agent_address": format!("http://{host}") });
        json!({ "cluster_id": "b", "nodes": nodes.iter().map(node).collect::<Vec<_>>() })
    };
    let records = [record(&[("a", "a")]), record(&[("b", "a")]), record(&[("b", "b"), ("a", "b")])];
    let answer = |order: [usize; 3]| {
        let page = json!({ "clusters": order.map(|index| &records[index]) }).to_string();
        collect(Limits::default(), &[&page]).unwrap().rejected
    };
    let once = answer([0, 1, 2]);
    assert_eq!(once.len(), 1, "{once:?}");
    assert!(once[0].reason.starts_with("node `a` has several addresses"), "{once:?}");
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(answer(order), once, "{order:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in any::<Vec<u8>>()) {
        let _ = Collector::new(Limits::default()).add_json(&bytes);
        let _ = Collector::new(Limits::default()).add_yaml(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn every_list_of_records_is_an_answer_whatever_the_records_hold(records in proptest::collection::vec(nearly(), 0..6)) {
        let count = records.len();
        let page = json!({ "clusters": records }).to_string();
        let answer = collect(Limits::default(), &[&page]).unwrap();
        prop_assert!(answer.clusters.len() <= count && answer.rejected.len() <= count);
        prop_assert!(answer.rejected.iter().all(|rejected| rejected.reason.chars().count() <= 200));
        let mut yaml = Collector::new(Limits::default());
        prop_assert_eq!(yaml.add_yaml(&page), Ok(None));
    }

    #[test]
    fn no_json_makes_the_parser_panic(value in nearly()) {
        let _ = collect(Limits::default(), &[&value.to_string()]);
    }

    #[test]
    fn the_order_of_an_answer_makes_no_difference(
        records in proptest::collection::vec(
            ("[ab]?", "[xy]?", proptest::collection::vec(("[ab]", "[ab]", "[rs]?"), 0..3)),
            0..6,
        )
    ) {
        let record = |(id, name, nodes): &(String, String, Vec<(String, String, String)>)| {
            let node = |(id, host, rack): &(String, String, String)| json!({
                "node_id": id, "agent_address": format!("http://{host}"), "labels": { "rack": rack },
            });
            json!({ "cluster_id": id, "display_name": name, "nodes": nodes.iter().map(node).collect::<Vec<_>>() })
        };
        let forth: Value = records.iter().map(record).collect();
        let back: Value = records.iter().rev().map(record).collect();
        prop_assert_eq!(answer(forth), answer(back));
    }
}

#[test]
fn the_example_of_the_repository_is_an_answer() {
    let answer = collect(Limits::default(), &[include_str!("../../../examples/clusters.json")]).unwrap();
    assert_eq!(answer.clusters.keys().collect::<Vec<_>>(), ["billing", "orders"]);
    assert!(answer.rejected.is_empty());
}
