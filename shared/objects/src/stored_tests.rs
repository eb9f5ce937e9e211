use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use replicante_model::record::{AgentApi, AgentSettings, ClusterIdCheck, TlsSettings};
use serde_json::json;

use super::*;
use crate::discovery::{IgnoreSpec, RefreshSpec, RemovalSpec};
use crate::endpoint::Endpoint;
use crate::limits::Limits;
use crate::reference::{HeaderValue, Reference};
use crate::source::SourceSpec;

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

fn body() -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
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

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (btree_map("[a-z-]{1,9}", header(), 0..4), span(), tls(), limits()).prop_map(
        |(headers, timeout, tls, limits)| {
            let url = "https://inventory.example.com/clusters?a=b".parse().unwrap();
            Endpoint { url, headers, timeout, tls, limits }
        },
    )
}

fn source() -> impl Strategy<Value = SourceSpec> {
    let settings = (endpoint(), body()).prop_map(|(endpoint, body)| {
        let mut settings = serde_json::to_value(&endpoint).unwrap();
        assert_eq!(serde_json::from_value::<Endpoint>(settings.clone()).unwrap(), endpoint);
        settings["body"] = body.into();
        settings.sort_all_objects();
        settings
    });
    ("[a-z0-9_]{1,9}", settings).prop_map(|(kind, settings)| SourceSpec { kind, settings })
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
    let patterns = || prop::collection::vec(".{1,5}", 0..3);
    let ignore = (patterns(), patterns()).prop_map(|(clusters, nodes)| IgnoreSpec { clusters, nodes });
    let discovery = (metadata(), any::<bool>(), span(), source(), span(), agents(), removal, ignore)
        .prop_map(|(metadata, enabled, interval, source, refresh, agents, removal, ignore)| {
            let refresh = RefreshSpec { interval: refresh };
            let spec = DiscoverySpec { enabled, interval, source, refresh, agents, removal, ignore };
            Object::Discovery(Discovery { metadata, spec })
        });
    let cluster =
        (metadata(), any::<bool>(), option::of(span())).prop_map(|(metadata, enabled, interval)| {
            Object::Cluster(Cluster { metadata, spec: ClusterSpec { enabled, interval } })
        });
    prop_oneof![discovery, cluster]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn a_stored_object_reads_back_as_it_was(object in object()) {
        let json = object.to_json();
        let back = Object::from_json(&json).unwrap();
        prop_assert_eq!(&back, &object);
        prop_assert_eq!(back.to_json(), json);
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
fn what_this_release_cannot_read_says_so() {
    for (source, problem) in [("{}", "0 sources"), (r#"{"a":{},"b":{}}"#, "2 sources"), ("[]", "a map")] {
        let unknown = format!(
            r#"{{"kind":"Discovery","metadata":{{"namespace":"a","name":"b"}},"spec":{{"source":{source}}}}}"#
        );
        let error = Object::from_json(&unknown).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains("newer release"), "{error}");
    }
}

#[test]
fn durations_beyond_what_is_written_read_back_as_they_are_written() {
    for interval in [i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let text = json!({
            "kind": "Cluster", "metadata": { "namespace": "default", "name": "orders" }, "spec": { "interval": interval },
        });
        let object = Object::from_json(&text.to_string()).unwrap();
        assert_eq!(Object::from_json(&object.to_json()).unwrap(), object, "{interval}");
    }
}
