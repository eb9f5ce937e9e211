//! Files of objects, with the sources that there are: what is read, what is stored, and each error as it is seen.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;
use replicante_objects::{ClusterSpec, Discovery, Located, MAX_FILE, Object, ObjectError};

const MINUTE: Duration = Duration::from_secs(60);

/// The example of the design, and of the docs.
const FLEET: &str = r#"apiVersion: replicante.io/v0
kind: Discovery
metadata: { namespace: default, name: fleet }
spec:
  enabled: true
  interval: 60s
  source:
    http: { url: "https://inventory.example.com/clusters", method: POST, body: { region: eu }, timeout: 30s }
  refresh: { interval: 60s }
  agents: { api: auto, timeout: 10s, failures_before_down: 1, successes_before_up: 1 }
  removal: { grace: 10m, confirmations: 3, max_shrink: 30% }
---
apiVersion: replicante.io/v0
kind: Cluster
metadata: { namespace: default, name: orders }
spec: { enabled: true, interval: 30m }
"#;

fn parse(file: &str, text: &str, tick: Duration) -> Result<Vec<Located<Object>>, Vec<ObjectError>> {
    replicante_objects::parse(file, text, tick, &replicante_sources::kinds())
}

/// What an operator sees.
fn seen(text: &str) -> String {
    match parse("fleet.yaml", text, MINUTE) {
        Ok(objects) => format!("{} objects", objects.len()),
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
    }
}

/// What an operator sees of a discovery whose `spec` begins in line 5.
fn seen_of_spec(spec: &str) -> String {
    seen(&format!(
        "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: fleet }}\nspec:\n{spec}"
    ))
}

/// What an operator sees of the settings of an HTTP source, which begin in line 6.
fn seen_of_http(settings: &str) -> String {
    seen_of_spec(&format!("  source: {{ http: {{ url: \"http://x/\",\n{settings} }} }}\n"))
}

fn discovery(text: &str) -> Discovery {
    match parse("fleet.yaml", text, MINUTE).unwrap().remove(0).value {
        Object::Discovery(discovery) => discovery,
        Object::Cluster(cluster) => panic!("{cluster:?}"),
    }
}

#[test]
fn the_example_of_the_design_is_read_as_it_says() {
    let objects = parse("fleet.yaml", FLEET, MINUTE).unwrap();
    assert_eq!(objects.iter().map(|object| object.line).collect::<Vec<_>>(), [1, 13]);
    let names: Vec<String> = objects.iter().map(|object| object.value.name().key()).collect();
    assert_eq!(names, ["discovery/default/fleet", "cluster/default/orders"]);
    let Object::Cluster(cluster) = &objects[1].value else { panic!("{:?}", objects[1]) };
    assert_eq!(cluster.spec, ClusterSpec { enabled: true, interval: Some(30 * MINUTE) });
    assert_snapshot!(objects[0].value.to_json(), @r#"{"kind":"Discovery","metadata":{"namespace":"default","name":"fleet"},"spec":{"enabled":true,"interval":60000,"source":{"http":{"body":{"region":"eu"},"limits":{"bytes":33554432,"clusters":100000,"nodes":10000,"pages":1000,"total_bytes":134217728,"total_nodes":500000},"method":"POST","timeout":30000,"tls":{},"url":"https://inventory.example.com/clusters"}},"refresh":{"interval":60000},"agents":{"api":null,"timeout":10000,"connect_timeout":3000,"node_timeout":15000,"failures_before_down":1,"successes_before_up":1,"cluster_id":"check","max_body":8388608,"tls":{}},"removal":{"grace":600000,"confirmations":3,"max_shrink":30}}}"#);
}

#[test]
fn what_is_not_said_has_the_documented_default() {
    let least = "{apiVersion: replicante.io/v0, kind: Discovery, metadata: {name: fleet}, \
                 spec: {source: {http: {url: \"https://inventory.example.com/clusters\", body: {region: eu}}}}}";
    assert_eq!(discovery(least), discovery(FLEET));
    let cluster = "{apiVersion: replicante.io/v0, kind: Cluster, metadata: {name: orders}, spec: {}}";
    let objects = parse("fleet.yaml", cluster, MINUTE).unwrap();
    let Object::Cluster(cluster) = &objects[0].value else { panic!("{objects:?}") };
    assert_eq!((cluster.metadata.namespace.as_str(), &cluster.spec), ("default", &ClusterSpec::default()));
}

#[test]
fn every_setting_can_be_given() {
    let text = r#"
apiVersion: replicante.io/v0
kind: Discovery
metadata: { namespace: prod, name: fleet }
spec:
  enabled: false
  interval: 5m
  source:
    http:
      url: http://inventory:8080/v1?region=eu
      method: GET
      headers: { Authorization: "env:TOKEN", X-Api-Key: ssm:/prod/key, X-Region: eu }
      timeout: 500ms
      tls: { ca_bundle: "file:/etc/ca.pem", client_certificate: ssm:/prod/cert }
      limits: { pages: 2, bytes: 1MiB, total_bytes: 2MiB, clusters: 3, nodes: 4, total_nodes: 5 }
  refresh: { interval: 2m }
  agents:
    { api: 1, timeout: 1s, connect_timeout: 2s, node_timeout: 3s, failures_before_down: 4, successes_before_up: 5,
      cluster_id: ignore, max_body: 512KiB, tls: { ca_bundle: "env:CA" } }
  removal: { grace: 0s, confirmations: 1, max_shrink: off }
"#;
    assert_snapshot!(Object::Discovery(discovery(text)).to_json(), @r#"{"kind":"Discovery","metadata":{"namespace":"prod","name":"fleet"},"spec":{"enabled":false,"interval":300000,"source":{"http":{"headers":{"authorization":"env:TOKEN","x-api-key":"ssm:/prod/key","x-region":"eu"},"limits":{"bytes":1048576,"clusters":3,"nodes":4,"pages":2,"total_bytes":2097152,"total_nodes":5},"method":"GET","timeout":500,"tls":{"ca_bundle":"file:/etc/ca.pem","client_certificate":"ssm:/prod/cert"},"url":"http://inventory:8080/v1?region=eu"}},"refresh":{"interval":120000},"agents":{"api":"v1","timeout":1000,"connect_timeout":2000,"node_timeout":3000,"failures_before_down":4,"successes_before_up":5,"cluster_id":"ignore","max_body":524288,"tls":{"ca_bundle":"env:CA"}},"removal":{"grace":0,"confirmations":1,"max_shrink":null}}}"#);
}

#[test]
fn json_is_read_like_yaml_and_documents_may_just_follow_each_other() {
    let one = |name: &str| {
        format!(
            "{{\n\t\"apiVersion\": \"replicante.io/v0\",\n\t\"kind\": \"Cluster\",\n\t\"metadata\": {{\"name\": \"{name}\"}},\n\t\"spec\": {{}}\n}}\n"
        )
    };
    assert_eq!(seen(&one("a")), "1 objects");
    let both = parse("x.json", &(one("a") + &one("b")), MINUTE).unwrap();
    assert_eq!(both.iter().map(|object| object.line).collect::<Vec<_>>(), [1, 7]);
    assert_snapshot!(seen(&(one("a") + &one("b/c"))), @"fleet.yaml:10: `metadata.name` is `b/c`; expected 1 to 63 of A-Z a-z 0-9 . _ -");
}

#[test]
fn a_typo_is_shown_with_its_file_its_line_and_the_field_that_was_meant() {
    assert_snapshot!(seen(&FLEET.replace("  interval: 60s\n", "  intervall: 60s\n")), @"fleet.yaml:6: unknown field `spec.intervall`; did you mean `interval`?");
    assert_snapshot!(seen(&FLEET.replace("timeout: 10s", "timeuot: 10s")), @"fleet.yaml:10: unknown field `spec.agents.timeuot`; did you mean `timeout`?");
    assert_snapshot!(seen(&FLEET.replace("refresh:", "labels: {}\n  refresh:")), @"fleet.yaml:9: unknown field `spec.labels`; expected one of agents, enabled, ignore, interval, refresh, removal, source");
    assert_snapshot!(seen(&FLEET.replace("http:", "htttp:")), @"fleet.yaml:8: unknown field `spec.source.htttp`; did you mean `http`?");
}

#[test]
fn all_errors_of_a_file_are_shown_and_one_is_enough_for_nothing_to_count() {
    let text = FLEET.replace("60s }", "60 }").replace("api: auto", "api: v3").replace("30m", "30s");
    assert_snapshot!(seen(&text), @r"
    fleet.yaml:9: `spec.refresh.interval` is `60`; expected a whole number and a unit (ms, s, m, h, d), like 30s or 1h30m
    fleet.yaml:10: `spec.agents.api` is `v3`; expected auto, v1 or v2
    fleet.yaml:16: `spec.interval` is `30s`; expected at least 1m, one tick of the scheduler
    ");
}

#[test]
fn an_interval_below_one_tick_is_refused_and_one_of_a_tick_is_not() {
    let text = FLEET.replace("30m", "1s");
    assert!(parse("fleet.yaml", &text, Duration::from_secs(1)).is_ok());
    assert_snapshot!(seen(&text), @"fleet.yaml:16: `spec.interval` is `1s`; expected at least 1m, one tick of the scheduler");
    assert_snapshot!(seen(&FLEET.replace("  interval: 60s", "  interval: 59s")), @"fleet.yaml:6: `spec.interval` is `59s`; expected at least 1m, one tick of the scheduler");
    assert_snapshot!(seen(&FLEET.replace("refresh: { interval: 60s", "refresh: { interval: 59s")), @"fleet.yaml:9: `spec.refresh.interval` is `59s`; expected at least 1m, one tick of the scheduler");
    assert_snapshot!(seen(&FLEET.replace("30m", "400d")), @"fleet.yaml:16: `spec.interval` is `400d`; expected at most 8760h");
}

#[test]
fn values_of_the_wrong_kind_unit_or_range_are_refused() {
    let spec = r#"  enabled: yes
  interval: 1.5m
  source: { file: { path: s3://bucket, limits: { pages: 0, bytes: 32MB, clusters: many, nodes: -1 } } }
  refresh: 60s
  agents:
    timeout: 0s
    connect_timeout: 11m
    node_timeout:
    failures_before_down: 0
    successes_before_up: "1"
    cluster_id: maybe
    max_body: 1GiB
  removal: { grace: soon, confirmations: 0, max_shrink: 130% }
"#;
    assert_snapshot!(seen_of_spec(spec), @r"
    fleet.yaml:5: `spec.enabled` is `yes`; expected true or false
    fleet.yaml:6: `spec.interval` is `1.5m`; expected a whole number and a unit (ms, s, m, h, d), like 30s or 1h30m
    fleet.yaml:7: `spec.source.file.limits.pages` is `0`; expected a whole number from 1 to 100000
    fleet.yaml:7: `spec.source.file.limits.bytes` is `32MB`; expected a whole number and a unit (B, KiB, MiB, GiB), like 8MiB
    fleet.yaml:7: `spec.source.file.limits.clusters` is `many`; expected a whole number from 1 to 1000000
    fleet.yaml:7: `spec.source.file.limits.nodes` is `-1`; expected a whole number from 1 to 100000
    fleet.yaml:7: `spec.source.file.path` is `s3://bucket`; expected the path of a local file or s3://bucket/key, JSON or YAML
    fleet.yaml:8: `spec.refresh` is `60s`; expected a mapping of fields
    fleet.yaml:10: `spec.agents.timeout` is `0s`; expected a duration from 1ms to 10m
    fleet.yaml:11: `spec.agents.connect_timeout` is `11m`; expected a duration from 1ms to 10m
    fleet.yaml:12: `spec.agents.node_timeout` is empty; expected a whole number and a unit (ms, s, m, h, d), like 30s or 1h30m
    fleet.yaml:13: `spec.agents.failures_before_down` is `0`; expected a whole number from 1 to 1000
    fleet.yaml:14: `spec.agents.successes_before_up` is `1`; expected a whole number from 1 to 1000, without quotes
    fleet.yaml:15: `spec.agents.cluster_id` is `maybe`; expected check or ignore
    fleet.yaml:16: `spec.agents.max_body` is `1GiB`; expected a size from 1KiB to 256MiB
    fleet.yaml:17: `spec.removal.grace` is `soon`; expected a whole number and a unit (ms, s, m, h, d), like 30s or 1h30m
    fleet.yaml:17: `spec.removal.confirmations` is `0`; expected a whole number from 1 to 1000
    fleet.yaml:17: `spec.removal.max_shrink` is `130%`; expected a percentage from 0% to 100%, like 30%, or off
    ");
}

#[test]
fn names_outside_their_alphabet_are_refused() {
    let name = |name: &str| {
        seen(&format!("apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: {name}\nspec: {{}}\n"))
    };
    assert_eq!(name("{ name: A-z.0_9 }"), "1 objects");
    assert_snapshot!(name("{ name: a b, namespace: ü }"), @r"
    fleet.yaml:3: `metadata.namespace` is `ü`; expected 1 to 63 of A-Z a-z 0-9 . _ -
    fleet.yaml:3: `metadata.name` is `a b`; expected 1 to 63 of A-Z a-z 0-9 . _ -
    ");
    assert_snapshot!(name(&format!("{{ name: {} }}", "n".repeat(64))), @"fleet.yaml:3: `metadata.name` is `nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn`; expected 1 to 63 of A-Z a-z 0-9 . _ -");
    assert_snapshot!(name("{ name: 5 }"), @"fleet.yaml:3: `metadata.name` is `5`; expected 1 to 63 of A-Z a-z 0-9 . _ -, as text: put it in quotes");
    assert_snapshot!(name("{ namespace: a }"), @"fleet.yaml:3: `metadata.name` is missing; expected 1 to 63 of A-Z a-z 0-9 . _ -");
}

#[test]
fn what_is_missing_or_of_another_version_or_kind_is_named() {
    assert_snapshot!(seen("{}"), @r"
    fleet.yaml:1: `apiVersion` is missing; expected replicante.io/v0
    fleet.yaml:1: `kind` is missing; expected Cluster or Discovery
    fleet.yaml:1: `metadata` is missing; expected a mapping with the object's name, and its namespace unless it is `default`
    fleet.yaml:1: `spec` is missing; expected a mapping of settings
    ");
    assert_snapshot!(seen("apiVersion: v1\nkind: discovery\nmetadata: { name: a }\nspec: {}\n"), @r"
    fleet.yaml:1: `apiVersion` is `v1`; expected replicante.io/v0
    fleet.yaml:2: `kind` is `discovery`; expected Discovery: case and spelling count
    ");
    assert_snapshot!(seen("apiVersion: v1\nkind: Discovery\nmetadata: { name: a }\nspec: {}\n"), @r"
    fleet.yaml:1: `apiVersion` is `v1`; expected replicante.io/v0
    fleet.yaml:4: `spec.source` is missing; expected where the records come from: exactly one of http, platform, prometheus, file, dns
    ");
    assert_snapshot!(seen_of_spec("  source: { http: {} }\n"), @"fleet.yaml:5: `spec.source.http.url` is missing; expected an absolute http:// or https:// URL");
    assert_snapshot!(seen_of_spec("  source: { file: {} }\n"), @"fleet.yaml:5: `spec.source.file.path` is missing; expected the path of a local file or s3://bucket/key, JSON or YAML");
}

#[test]
fn a_discovery_has_exactly_one_source() {
    assert_snapshot!(seen_of_spec("  source: {}\n"), @"fleet.yaml:5: `spec.source` names no source; expected exactly one of http, platform, prometheus, file, dns");
    assert_snapshot!(seen_of_spec("  source: { http: { url: \"http://x/\" }, file: { path: x } }\n"), @"fleet.yaml:5: `spec.source` names 2 sources, http and file; expected exactly one of http, platform, prometheus, file, dns");
}

#[test]
fn the_same_object_or_field_twice_is_refused() {
    let cluster = "apiVersion: replicante.io/v0\nkind: Cluster\nmetadata: { name: a }\nspec: {}\n";
    assert_snapshot!(seen(&format!("{cluster}---\n{cluster}")), @"fleet.yaml:6: Cluster default/a is given again, first in line 1; expected each object once");
    assert_snapshot!(seen(&cluster.replace("{}", "{ enabled: true,\n enabled: false }")), @"fleet.yaml:5: `spec.enabled` is given again, first in line 4; expected it once");
    assert_snapshot!(seen_of_http("body: { a: { b: 1, b: 2 } }"), @"fleet.yaml:6: `spec.source.http.body.a.b` is given again, first in line 6; expected it once");
}

#[test]
fn secrets_stand_nowhere_but_behind_references_and_no_error_shows_one() {
    let settings = r#"url2: 1, headers: {
  Authorization: Bearer hunter2,
  X-API-Key: 7277,
  X-Vault-Token: env:not a name hunter2,
  Cookie: "env:COOKIE" },
tls: { ca_bundle: "-----BEGIN hunter2", client_certificate: [hunter2] }"#;
    let shown = seen_of_http(settings);
    assert_snapshot!(shown, @r"
    fleet.yaml:6: unknown field `spec.source.http.url2`; did you mean `url`?
    fleet.yaml:7: `spec.source.http.headers.Authorization` holds a secret in the open; expected a reference to it: env:NAME or ssm:/name
    fleet.yaml:8: `spec.source.http.headers.X-API-Key` holds a secret in the open; expected a reference to it: env:NAME or ssm:/name
    fleet.yaml:9: `spec.source.http.headers.X-Vault-Token` holds a secret in the open; expected a reference to it: env:NAME or ssm:/name
    fleet.yaml:11: `spec.source.http.tls.ca_bundle` holds a secret in the open; expected a reference to it: env:NAME, ssm:/name or file:/path
    fleet.yaml:11: `spec.source.http.tls.client_certificate` holds a secret in the open; expected a reference to it: env:NAME, ssm:/name or file:/path
    ");
    for url in ["http://me:hunter2@x/", "http://hunter2@x/", "http://me:hunter2@x y/", "//me:hunter2@x/"] {
        let shown = seen_of_spec(&format!("  source: {{ http: {{ url: \"{url}\" }} }}\n"));
        assert!(
            shown.starts_with("fleet.yaml:5: `spec.source.http.url` ") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
    assert!(!shown.contains("hunter2") && !shown.contains("7277"));
    for broken in [
        "authorization: \"hunter2\n",
        "authorization: 'hunter2' x\n",
        "a: hunter2: x\n",
        "{\"a\": \"hunter2}",
    ] {
        assert!(!seen(broken).contains("hunter2"), "{}", seen(broken));
    }
}

#[test]
fn settings_of_http_that_could_not_work_are_refused() {
    assert_snapshot!(seen_of_http("method: get"), @"fleet.yaml:6: `spec.source.http.method` is `get`; expected POST or GET");
    assert_snapshot!(seen_of_http("method: GET, body: {}"), @"fleet.yaml:6: `spec.source.http.body` is given with method GET; expected no body: a GET sends none");
    assert_snapshot!(seen_of_http("body: { cursor: x }"), @"fleet.yaml:6: `spec.source.http.body.cursor` is given; expected no such field: each request sets it, for its page");
    assert_snapshot!(seen_of_http("body: text"), @"fleet.yaml:6: `spec.source.http.body` is `text`; expected a mapping of fields");
    assert_snapshot!(seen_of_http(&format!("body: {{ a: {} }}", "x".repeat(70_000))), @"fleet.yaml:6: `spec.source.http.body` is too large; expected at most 65536 bytes of JSON");
    assert_snapshot!(seen_of_http("headers: { Host: a, \"b c\": d, e: \"f\\n\", g: 5, H: i, h: j, k: \"ssm:l\" }"), @r"
    fleet.yaml:6: `spec.source.http.headers.Host` is no header to be set; expected other headers: the client sets this one itself
    fleet.yaml:6: `spec.source.http.headers.b c` is no name of a header; expected letters, digits and any of !#$%&'*+-.^_`|~
    fleet.yaml:6: `spec.source.http.headers.e` is `f\n`; expected text of at most 4096 visible ASCII characters, in quotes
    fleet.yaml:6: `spec.source.http.headers.g` is `5`; expected text of at most 4096 visible ASCII characters, in quotes
    fleet.yaml:6: `spec.source.http.headers.h` is given again in another case; expected each header once: case makes no difference
    fleet.yaml:6: `spec.source.http.headers.k` is `ssm:l`; expected a reference, env:NAME or ssm:/name, since it starts like one
    ");
    for url in ["ftp://x/", "x", "http://", "/clusters"] {
        let shown = seen_of_spec(&format!("  source: {{ http: {{ url: \"{url}\" }} }}\n"));
        assert!(shown.contains("expected an absolute http:// or https:// URL"), "{shown}");
    }
    assert_snapshot!(seen_of_spec("  source: { http: { url: \"http://x/#a\" } }\n"), @"fleet.yaml:5: `spec.source.http.url` is `http://x/#a`; expected a URL without a fragment (#...): it would not be sent");
}

#[test]
fn settings_of_http_have_bounds() {
    let headers = |count: usize| (0..count).map(|index| format!("x-{index}: a,")).collect::<String>();
    assert!(seen_of_http(&format!("headers: {{ {} }}", headers(64))).contains("1 objects"));
    let many = seen_of_http(&format!("headers: {{ {} }}", headers(65)));
    assert_eq!(
        many,
        "fleet.yaml:6: `spec.source.http.headers.x-64` is one header too many; expected at most 64\n"
    );
    let url =
        |length: usize| format!("  source: {{ http: {{ url: \"http://x/{}\" }} }}\n", "a".repeat(length - 9));
    assert!(seen_of_spec(&url(2048)).contains("1 objects"));
    assert!(
        seen_of_spec(&url(2049))
            .contains("expected an absolute http:// or https:// URL of at most 2048 bytes")
    );
    assert!(seen_of_http("timeout: 601s").contains("expected a duration from 1ms to 10m"));
    assert!(
        seen_of_http("body: { a: [{ b: 1, b: 2 }] }").contains("`spec.source.http.body.a.b` is given again")
    );
}

/// The stored settings of a source that is given in one line.
fn stored(source: &str) -> String {
    let text = format!(
        "{{apiVersion: replicante.io/v0, kind: Discovery, metadata: {{name: a}}, spec: {{source: {{{source}}}}}}}"
    );
    let mut settings = discovery(&text).spec.source.settings;
    // These are the same for all of them: another test shows them.
    for common in ["limits", "timeout", "tls"] {
        settings.as_object_mut().unwrap().remove(common);
    }
    settings.to_string()
}

#[test]
fn each_source_is_read_with_its_settings_and_their_defaults() {
    assert_snapshot!(stored("platform: {url: 'https://platform.example.com/api'}"), @r#"{"url":"https://platform.example.com/api"}"#);
    assert_snapshot!(stored("prometheus: {url: 'http://sd/targets', cluster_label: cluster}"), @r#"{"cluster_label":"cluster","scheme":"http","url":"http://sd/targets"}"#);
    assert_snapshot!(stored("prometheus: {url: 'http://sd/', cluster_label: a, display_name_label: b, scheme: https, path_prefix: /agent, headers: {x: y}}"), @r#"{"cluster_label":"a","display_name_label":"b","headers":{"x":"y"},"path_prefix":"/agent","scheme":"https","url":"http://sd/"}"#);
    assert_snapshot!(stored("file: {path: 's3://my-inventory/fleet/clusters.yaml'}"), @r#"{"path":"s3://my-inventory/fleet/clusters.yaml"}"#);
    assert_snapshot!(stored("dns: {clusters: {zk-main: _agent._tcp.zk-main.example.com}}"), @r#"{"clusters":{"zk-main":"_agent._tcp.zk-main.example.com"},"scheme":"http"}"#);
    assert_snapshot!(stored("dns: {clusters: {a: a.example, b/c: b.example.}, server: 10.0.0.2, scheme: https, path_prefix: /agent}"), @r#"{"clusters":{"a":"a.example","b/c":"b.example."},"path_prefix":"/agent","scheme":"https","server":"10.0.0.2:53"}"#);
    assert_snapshot!(stored("dns: {clusters: {a: a.example}, server: '10.0.0.2:5353'}"), @r#"{"clusters":{"a":"a.example"},"scheme":"http","server":"10.0.0.2:5353"}"#);
    assert_snapshot!(stored("dns: {clusters: {a: a.example}, server: 'fd00::2'}"), @r#"{"clusters":{"a":"a.example"},"scheme":"http","server":"[fd00::2]:53"}"#);
    assert_snapshot!(stored("dns: {clusters: {a: a.example}, server: '[fd00::2]:5353'}"), @r#"{"clusters":{"a":"a.example"},"scheme":"http","server":"[fd00::2]:5353"}"#);
}

#[test]
fn settings_of_platform_that_could_not_work_are_refused() {
    assert_snapshot!(seen_of_spec("  source:\n    platform:\n      urll: \"http://x/\"\n"), @r"
    fleet.yaml:6: `spec.source.platform.url` is missing; expected an absolute http:// or https:// URL
    fleet.yaml:7: unknown field `spec.source.platform.urll`; did you mean `url`?
    ");
    assert_snapshot!(seen_of_spec("  source:\n    platform:\n      url: \"http://x/\"\n      method: POST\n      body: {}\n"), @r"
    fleet.yaml:8: unknown field `spec.source.platform.method`; expected one of headers, limits, timeout, tls, url
    fleet.yaml:9: unknown field `spec.source.platform.body`; expected one of headers, limits, timeout, tls, url
    ");
    assert_snapshot!(seen_of_spec("  source: { platfrom: {} }\n"), @"fleet.yaml:5: unknown field `spec.source.platfrom`; did you mean `platform`?");
}

#[test]
fn settings_of_prometheus_that_could_not_work_are_refused() {
    assert_snapshot!(seen_of_spec("  source:\n    prometheus:\n      url: \"http://x/\"\n      cluster_lable: a\n      path_prefx: /a\n"), @r"
    fleet.yaml:6: `spec.source.prometheus.cluster_label` is missing; expected the name of the label whose value is the cluster's id
    fleet.yaml:8: unknown field `spec.source.prometheus.cluster_lable`; did you mean `cluster_label`?
    fleet.yaml:9: unknown field `spec.source.prometheus.path_prefx`; did you mean `path_prefix`?
    ");
    let long = "l".repeat(129);
    let settings = format!(
        "      url: ftp://x\n      cluster_label: {long}\n      display_name_label: 5\n      scheme: HTTP\n      path_prefix: agent\n      headers: {{ Cookie: hunter2 }}\n"
    );
    assert_snapshot!(seen_of_spec(&format!("  source:\n    prometheus:\n{settings}")), @r"
    fleet.yaml:7: `spec.source.prometheus.url` is `ftp://x`; expected an absolute http:// or https:// URL of at most 2048 bytes
    fleet.yaml:8: `spec.source.prometheus.cluster_label` is `llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll…`; expected the name of the label whose value is the cluster's id, at most 128 bytes
    fleet.yaml:9: `spec.source.prometheus.display_name_label` is `5`; expected the name of a label, as text: put it in quotes
    fleet.yaml:10: `spec.source.prometheus.scheme` is `HTTP`; expected http or https
    fleet.yaml:11: `spec.source.prometheus.path_prefix` is `agent`; expected a path that begins with a slash, at most 256 bytes, without query and fragment
    fleet.yaml:12: `spec.source.prometheus.headers.Cookie` holds a secret in the open; expected a reference to it: env:NAME or ssm:/name
    ");
    let seen = |prefix: &str| {
        seen_of_spec(&format!(
            "  source: {{ prometheus: {{ url: \"http://x/\", cluster_label: a, path_prefix: \"{prefix}\" }} }}\n"
        ))
    };
    let longest = format!("/{}", "a".repeat(255));
    assert_eq!(seen(&longest), "1 objects");
    for prefix in ["/a?b", "/a#b", "/a b", "//me@b", &format!("{longest}a")] {
        let shown = seen(prefix);
        assert!(shown.contains("expected a path that begins with a slash"), "{shown}");
    }
}

/// What an operator sees of the settings of `dns`, which begin in line 7.
fn seen_of_dns(settings: &str) -> String {
    seen_of_spec(&format!("  source:\n    dns:\n{settings}"))
}

#[test]
fn settings_of_dns_that_could_not_work_are_refused() {
    assert_snapshot!(seen_of_dns("      cluster: {}\n      servers: 10.0.0.2\n      tls: {}\n"), @r"
    fleet.yaml:6: `spec.source.dns.clusters` is missing; expected 1 to 500 clusters, each with its id and the DNS name of its SRV records, like _agent._tcp.orders.example.com
    fleet.yaml:7: unknown field `spec.source.dns.cluster`; did you mean `clusters`?
    fleet.yaml:8: unknown field `spec.source.dns.servers`; did you mean `server`?
    fleet.yaml:9: unknown field `spec.source.dns.tls`; expected one of clusters, limits, path_prefix, scheme, server, timeout
    ");
    assert_snapshot!(seen_of_dns("      clusters: {}\n"), @"fleet.yaml:7: `spec.source.dns.clusters` is empty; expected 1 to 500 clusters, each with its id and the DNS name of its SRV records, like _agent._tcp.orders.example.com");
    // All that there are were wrong, which was said: it is not empty, too.
    assert_snapshot!(seen_of_dns("      clusters: { a: a b }\n"), @"fleet.yaml:7: `spec.source.dns.clusters.a` is `a b`; expected the DNS name of its SRV records, like _agent._tcp.orders.example.com");
    assert_snapshot!(seen_of_dns("      clusters: [a.example]\n"), @"fleet.yaml:7: `spec.source.dns.clusters` is a list; expected a mapping of fields");
    assert_snapshot!(seen_of_dns("      clusters:\n"), @"fleet.yaml:7: `spec.source.dns.clusters` is empty; expected a mapping of fields");
    let clusters = format!(
        "      clusters:\n        a: a b\n        b: a..b\n        c: 5\n        d: {{ e: f }}\n        f:\n        '': a.example\n        {}: a.example\n        g: good.example\n        g: good.example\n",
        "i".repeat(161)
    );
    assert_snapshot!(seen_of_dns(&clusters), @r"
    fleet.yaml:8: `spec.source.dns.clusters.a` is `a b`; expected the DNS name of its SRV records, like _agent._tcp.orders.example.com
    fleet.yaml:9: `spec.source.dns.clusters.b` is `a..b`; expected the DNS name of its SRV records, like _agent._tcp.orders.example.com
    fleet.yaml:10: `spec.source.dns.clusters.c` is `5`; expected the DNS name of its SRV records, like _agent._tcp.orders.example.com, as text: put it in quotes
    fleet.yaml:11: `spec.source.dns.clusters.d` is a mapping; expected the DNS name of its SRV records, like _agent._tcp.orders.example.com
    fleet.yaml:12: `spec.source.dns.clusters.f` is empty; expected the DNS name of its SRV records, like _agent._tcp.orders.example.com
    fleet.yaml:13: `spec.source.dns.clusters.` is no id of a cluster; expected text that is not blank, at most 160 bytes once percent-encoded
    fleet.yaml:14: `spec.source.dns.clusters.iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii` is no id of a cluster; expected text that is not blank, at most 160 bytes once percent-encoded
    fleet.yaml:16: `spec.source.dns.clusters.g` is given again, first in line 15; expected it once
    ");
    let others = "      clusters: { a: a.example }\n      server: ns.example.com\n      timeout: 5\n      scheme: dns\n      path_prefix: agent\n      limits: { nodes: 0 }\n";
    assert_snapshot!(seen_of_dns(others), @r"
    fleet.yaml:8: `spec.source.dns.server` is `ns.example.com`; expected the IP address of a name server, with or without a port: 10.0.0.2, 10.0.0.2:53 or [fd00::2]:53
    fleet.yaml:9: `spec.source.dns.timeout` is `5`; expected a whole number and a unit (ms, s, m, h, d), like 30s or 1h30m
    fleet.yaml:10: `spec.source.dns.scheme` is `dns`; expected http or https
    fleet.yaml:11: `spec.source.dns.path_prefix` is `agent`; expected a path that begins with a slash, at most 256 bytes, without query and fragment
    fleet.yaml:12: `spec.source.dns.limits.nodes` is `0`; expected a whole number from 1 to 100000
    ");
    for server in
        ["10.0.0.2:0", "10.0.0", "10.0.0.2:65536", "fd00::2:x", "[fd00::2]", "a:53", "", " 10.0.0.2"]
    {
        let shown = seen_of_dns(&format!("      clusters: {{ a: a.example }}\n      server: \"{server}\"\n"));
        assert!(shown.starts_with("fleet.yaml:8: `spec.source.dns.server` is "), "{shown}");
        assert!(shown.contains("expected the IP address of a name server"), "{shown}");
    }
}

#[test]
fn settings_of_dns_have_bounds() {
    let clusters = |count: usize| {
        let all: String = (0..count).map(|index| format!("        c-{index}: a.example\n")).collect();
        seen_of_dns(&format!("      clusters:\n{all}"))
    };
    assert_eq!(clusters(500), "1 objects");
    assert_snapshot!(clusters(501), @"fleet.yaml:508: `spec.source.dns.clusters.c-500` is one cluster too many; expected at most 500");
    let name = |end: &str| seen_of_dns(&format!("      clusters: {{ a: {}{end} }}\n", "a.".repeat(126)));
    assert_eq!(name("a"), "1 objects");
    assert!(name("aa").contains("expected the DNS name of its SRV records"));
    assert!(
        seen_of_dns("      clusters: { a: a.example }\n      timeout: 601s\n")
            .contains("expected a duration from 1ms to 10m")
    );
}

#[test]
fn a_lookup_lasts_5_s_unless_said_otherwise() {
    let timeout = |more: &str| {
        let text = format!(
            "{{apiVersion: replicante.io/v0, kind: Discovery, metadata: {{name: a}}, spec: {{source: {{dns: {{clusters: {{a: b}}{more}}}}}}}}}"
        );
        discovery(&text).spec.source.settings["timeout"].clone()
    };
    assert_eq!((timeout(""), timeout(", timeout: 30s")), (5_000.into(), 30_000.into()));
}

#[test]
fn a_path_is_local_or_names_bucket_and_key() {
    let seen = |path: &str| seen_of_spec(&format!("  source: {{ file: {{ path: \"{path}\" }} }}\n"));
    for path in ["clusters.json", "/etc/clusters", "s3://abc/k", "s3://my.inventory-1/a/b c.json"] {
        assert_eq!(seen(path), "1 objects", "{path}");
    }
    let long = format!("s3://bucket/{}", "k".repeat(1025));
    for path in ["s3://", "s3://bucket", "s3://bucket/", "s3:///key", "s3://ab/key", "s3://Bucket/key", &long]
    {
        assert!(seen(path).contains("expected the path of a local file or s3://bucket/key"), "{path}");
    }
    assert!(seen("http://x/clusters").contains("expected the path of a local file or s3://bucket/key"));
}

#[test]
fn what_is_no_yaml_is_shown_with_its_line_beside_the_errors_before_it() {
    assert_snapshot!(seen("a: b\n  c: d\n"), @"fleet.yaml:2: this is no readable YAML or JSON: mapping values are not allowed in this context (column 4); nothing after it was looked at");
    assert_snapshot!(seen(&format!("{}---\na: [b\n", FLEET.replace("auto", "v9"))), @r"
    fleet.yaml:10: `spec.agents.api` is `v9`; expected auto, v1 or v2
    fleet.yaml:18: this is no readable YAML or JSON: unclosed bracket '[' (column 4); nothing after it was looked at
    ");
    assert_snapshot!(seen("- a\n- b\n"), @"fleet.yaml:1: `the document` is a list; expected a mapping of fields");
    assert_snapshot!(seen("# nothing\n---\n"), @"fleet.yaml:1: the file holds no object; expected at least one with apiVersion, kind, metadata and spec");
}

#[test]
fn files_that_would_cost_too_much_are_refused() {
    assert_snapshot!(seen(&"#".repeat(MAX_FILE + 1)), @"fleet.yaml:1: the file has 4194305 bytes; expected at most 4194304: split it, each file is applied by itself");
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_string();
    for level in 1..10 {
        let below = format!("*a{},", level - 1).repeat(10);
        bomb += &format!("a{level}: &a{level} [{below}]\n");
    }
    assert!(seen(&bomb).contains("alias replay limit exceeded"), "{}", seen(&bomb));
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert!(seen(&deep).contains("depth"), "{}", seen(&deep));
}

#[test]
fn the_examples_of_the_repository_can_be_applied_and_show_the_defaults() {
    let file = |text: &str| parse("example", text, MINUTE).unwrap().remove(0).value;
    let Object::Discovery(fleet) = file(include_str!("../../../examples/discovery.yaml")) else { panic!() };
    let least = "{apiVersion: replicante.io/v0, kind: Discovery, metadata: {name: fleet}, \
                 spec: {source: {http: {url: \"http://127.0.0.1:7654/clusters\"}}}}";
    assert_eq!(fleet, discovery(least));
    assert_eq!(file(include_str!("../../../examples/file-discovery.yaml")).metadata().name, "by-hand");
    assert_eq!(file(include_str!("../../../examples/s3-discovery.yaml")).metadata().name, "from-s3");
    assert_eq!(file(include_str!("../../../examples/platform-discovery.yaml")).metadata().name, "platform");
    assert_eq!(
        file(include_str!("../../../examples/prometheus-discovery.yaml")).metadata().name,
        "service-discovery"
    );
    assert_eq!(file(include_str!("../../../examples/dns-discovery.yaml")).metadata().name, "from-dns");
    assert_eq!(file(include_str!("../../../examples/cluster.yaml")).metadata().name, "orders");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let _ = parse("x", &text, MINUTE);
    }

    #[test]
    fn no_text_in_place_of_a_value_makes_the_reader_panic(
        text in "[-a-z0-9:{}\\[\\]\"'&*!|>%@,#?<\n \t~\u{e9}]{0,40}", place in 0..6usize,
    ) {
        let head = "apiVersion: replicante.io/v0\nkind: Discovery\n";
        let _ = parse("x", &match place {
            0 => format!("{head}metadata: {text}"),
            1 => format!("{head}metadata: {{name: a}}\nspec: {text}"),
            2 => format!("{head}metadata: {{name: a}}\nspec:\n  source:\n    http: {text}"),
            3 => format!("{head}metadata: {{name: a}}\nspec:\n  source:\n    prometheus: {text}"),
            4 => format!("{head}metadata: {{name: a}}\nspec:\n  source:\n    dns: {{clusters: {{a: {text}}}}}"),
            _ => format!("{head}metadata: {{name: a}}\nspec:\n  source: {{http: {{url: 'http://x', body: {text}}}}}"),
        }, MINUTE);
    }
}
