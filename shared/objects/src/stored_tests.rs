use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use replicante_model::record::{AgentApi, AgentSettings, ClusterIdCheck, TlsSettings};
use serde_json::json;

use super::*;
use crate::discovery::{RefreshSpec, RemovalSpec};
use crate::http::{HttpMethod, HttpSource};
use crate::reference::{HeaderValue, Reference};
use crate::source::{FileSource, Limits, SourceSpec};

fn span() -> impl Strategy<Value = Duration> {
    (0..1u64 << 40).prop_map(Duration::from_millis)
}

fn metadata() -> impl Strategy<Value = Metadata> {
    ("[A-Za-z0-9._-]{1,63}", "[A-Za-z0-9._-]{1,63}")
        .prop_map(|(namespace, name)| Metadata { namespace, name })
}

fn tls() -> impl Strategy<Value = TlsSettings> {
    (option::of("env:[A-Z]{1,9}"), option::of("file:/[a-z]{1,9}"))
        .prop_map(|(ca_bundle, client_certificate)| TlsSettings { ca_bundle, client_certificate })
}

fn limits() -> impl Strategy<Value = Limits> {
    any::<[u64; 6]>().prop_map(|[pages, bytes, total_bytes, clusters, nodes, total_nodes]| Limits {
        pages,
        bytes,
        total_bytes,
        clusters,
        nodes,
        total_nodes,
    })
}

/// Without floats: serde_json reads them back within one unit in the last place alone.
fn body() -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        ".{0,9}".prop_map(|value| json!(value)),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |below| {
        prop_oneof![
            vec(below.clone(), 0..4).prop_map(serde_json::Value::from),
            btree_map(".{0,5}", below, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    });
    btree_map(".{0,5}", value, 0..4).prop_map(|map: BTreeMap<_, _>| map.into_iter().collect())
}

fn header() -> impl Strategy<Value = HeaderValue> {
    prop_oneof![
        "[a-d ]{0,9}".prop_map(HeaderValue::Literal),
        "[A-Z_]{1,9}".prop_map(|name| HeaderValue::Reference(Reference::Env(name))),
        "/[a-z/]{1,9}".prop_map(|name| HeaderValue::Reference(Reference::Ssm(name))),
    ]
}

fn source() -> impl Strategy<Value = SourceSpec> {
    let method = prop_oneof![Just(HttpMethod::Get), Just(HttpMethod::Post)];
    let http = (method, body(), btree_map("[a-z-]{1,9}", header(), 0..4), span(), tls(), limits()).prop_map(
        |(method, body, headers, timeout, tls, limits)| {
            let url = "https://inventory.example.com/clusters?a=b".parse().unwrap();
            SourceSpec::Http(HttpSource { url, method, body, headers, timeout, tls, limits })
        },
    );
    let file = (".{1,20}", limits()).prop_map(|(path, limits)| SourceSpec::File(FileSource { path, limits }));
    prop_oneof![http, file]
}

fn agents() -> impl Strategy<Value = AgentSettings> {
    let api = option::of(prop_oneof![Just(AgentApi::V1), Just(AgentApi::V2)]);
    let check = prop_oneof![Just(ClusterIdCheck::Check), Just(ClusterIdCheck::Ignore)];
    (api, [span(), span(), span()], any::<[u32; 2]>(), check, any::<u64>(), tls()).prop_map(
        |(api, [timeout, connect_timeout, node_timeout], [down, up], cluster_id, max_body, tls)| {
            AgentSettings {
                api,
                timeout,
                connect_timeout,
                node_timeout,
                failures_before_down: down,
                successes_before_up: up,
                cluster_id,
                max_body,
                tls,
            }
        },
    )
}

fn object() -> impl Strategy<Value = Object> {
    let removal = (span(), any::<u32>(), option::of(0..=100u8))
        .prop_map(|(grace, confirmations, max_shrink)| RemovalSpec { grace, confirmations, max_shrink });
    let discovery = (metadata(), any::<bool>(), span(), source(), span(), agents(), removal).prop_map(
        |(metadata, enabled, interval, source, refresh, agents, removal)| {
            let refresh = RefreshSpec { interval: refresh };
            let spec = DiscoverySpec { enabled, interval, source, refresh, agents, removal };
            Object::Discovery(Discovery { metadata, spec })
        },
    );
    let cluster =
        (metadata(), any::<bool>(), option::of(span())).prop_map(|(metadata, enabled, interval)| {
            Object::Cluster(Cluster { metadata, spec: ClusterSpec { enabled, interval } })
        });
    prop_oneof![discovery, cluster]
}

proptest! {
    #[test]
    fn a_stored_object_reads_back_as_it_was(object in object()) {
        let json = object.to_json();
        let back = Object::from_json(&json).unwrap();
        prop_assert_eq!(&back, &object);
        prop_assert_eq!(back.to_json(), json);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let _ = parse("x", &text, Duration::from_secs(60));
    }

    #[test]
    fn no_text_in_place_of_a_value_makes_the_reader_panic(
        text in "[-a-z0-9:{}\\[\\]\"'&*!|>%@,#?<\n \t~\u{e9}]{0,40}", place in 0..4usize,
    ) {
        let head = "apiVersion: replicante.io/v0\nkind: Discovery\n";
        let _ = parse("x", &match place {
            0 => format!("{head}metadata: {text}"),
            1 => format!("{head}metadata: {{name: a}}\nspec: {text}"),
            2 => format!("{head}metadata: {{name: a}}\nspec:\n  source:\n    http: {text}"),
            _ => format!("{head}metadata: {{name: a}}\nspec:\n  source: {{http: {{url: 'http://x', body: {text}}}}}"),
        }, Duration::from_secs(60));
    }
}

#[test]
fn what_another_release_stored_is_read_with_tolerance() {
    let newer = r#"{"kind":"Cluster","metadata":{"namespace":"a","name":"b","labels":{}},
                    "spec":{"enabled":false,"interval":null,"later":[1]},"later":true}"#;
    let Object::Cluster(cluster) = Object::from_json(newer).unwrap() else { panic!("{newer}") };
    assert_eq!(cluster.spec, ClusterSpec { enabled: false, interval: None });
    let older = r#"{"kind":"Discovery","metadata":{"namespace":"a","name":"b"},
                    "spec":{"source":{"http":{"url":"http://x/"}}}}"#;
    let Object::Discovery(discovery) = Object::from_json(older).unwrap() else { panic!("{older}") };
    assert_eq!(discovery.spec.interval, Duration::from_secs(60));
    assert!(discovery.spec.enabled);
    assert_eq!(discovery.spec.removal, RemovalSpec::default());
}

#[test]
fn what_this_release_does_not_know_says_so() {
    let unknown =
        r#"{"kind":"Discovery","metadata":{"namespace":"a","name":"b"},"spec":{"source":{"etcd":{}}}}"#;
    let error = Object::from_json(unknown).unwrap_err().to_string();
    assert!(error.contains("etcd") && error.contains("newer release"), "{error}");
}
