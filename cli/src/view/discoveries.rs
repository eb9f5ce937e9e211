//! The list of discoveries, and one of them.

use replicante_model::Timestamp;
use replicante_model::discovery::DiscoveryState;
use replicante_model::observer::Suspicion;
use replicante_model::pause::Pauses;
use replicante_model::summary::Summary;
use replicante_model::time::human;
use replicante_objects::{Object, SourceSpec};
use replicante_protocol::head::Head;

use crate::view::clusters::{ago, refreshed};
use crate::view::event::name;
use crate::view::record::{row, row_at, schedule};
use crate::view::style::{Tone, bold};
use crate::view::table::{Cell, table};
use crate::view::text::{clean, count, pad};

const HEADING: [&str; 9] =
    ["DISCOVERY", "STATUS", "CLUSTERS", "MISSING", "REJECTED", "CONFLICTS", "EVERY", "LAST RUN", "REASON"];

/// The table, in at most `most` columns.
pub fn list(heads: &[Head], pauses: &Pauses, now: Timestamp, most: Option<usize>) -> Vec<String> {
    let cells = |head: &Head| {
        let row = row_at(head, pauses, now);
        let summary = &row.summary;
        let (status, tone) = status(head);
        vec![
            Cell::text(name(&head.record).trim_start_matches("discovery ")),
            Cell::text(status).toned(tone),
            Cell::number(summary.clusters),
            Cell::trouble(summary.missing, Tone::Warn),
            Cell::trouble(summary.rejected, Tone::Warn),
            Cell::trouble(summary.conflicts, Tone::Warn),
            Cell::text(human(head.interval)),
            refreshed(&row, now),
            Cell::text(why(summary)),
        ]
    };
    let rows: Vec<Vec<Cell>> = heads.iter().map(cells).collect();
    table(&HEADING, &rows, most)
}

/// Why it is as it is, in words.
fn why(summary: &Summary) -> String {
    match &summary.reason {
        Some(reason) => reason.clone(),
        None if summary.held > 0 => format!("{} no longer reported: held until confirmed", summary.held),
        None => "-".into(),
    }
}

/// The word for how it is, and its tone.
pub fn status(head: &Head) -> (&'static str, Tone) {
    let row = row(head);
    match (&row.summary.reason, row.refreshed) {
        _ if !head.enabled => ("disabled", Tone::Quiet),
        (_, None) => ("new", Tone::Quiet),
        (Some(_), _) => ("failing", Tone::Bad),
        _ if row.summary.held > 0 => ("holding", Tone::Bad),
        _ if row.summary.unconnected > 0 => ("cut off?", Tone::Warn),
        (None, _) => ("ok", Tone::Good),
    }
}

/// One discovery.
pub fn discovery(
    head: &Head,
    object: Option<&Object>,
    state: Option<&DiscoveryState>,
    pauses: &Pauses,
    now: Timestamp,
    most: Option<usize>,
) -> Vec<String> {
    let row = row_at(head, pauses, now);
    let (status, tone) = status(head);
    let mut lines = vec![format!("{}  {}", bold(&clean(&head.record.id)), tone.paint(status))];
    let mut fact = |name: &str, what: &str| lines.push(format!("  {}  {}", pad(name, 9), clean(what)));
    fact("record", &head.record.key());
    if let Some(Object::Discovery(discovery)) = object {
        fact("source", &source(&discovery.spec.source));
        fact("clusters", &format!("each refreshed every {}", human(discovery.spec.refresh.interval)));
    } else if !head.enabled {
        fact("source", "none: its object was deleted, and its clusters stay until they are forgotten");
    }
    fact("last run", &format!("{}; {}", ago(row.refreshed, now), schedule(head, row.pause.as_ref(), now)));
    if let Some(failing) = state.and_then(|state| state.failing.as_ref()) {
        fact("failing", &format!("since {}: {}", failing.since, failing.reason));
    } else if let Some(reason) = &row.summary.reason {
        fact("reason", reason);
    }
    if let Some(observer) = state.and_then(|state| state.observer) {
        let Suspicion { since, polled, failed } = observer;
        fact(
            "observer",
            &format!("may be cut off since {since}: no connection to {failed} of {polled} agents"),
        );
    }
    let summary = &row.summary;
    fact("reports", &format!("{}, {} missing", count(summary.clusters, "cluster"), summary.missing));
    let Some(state) = state else { return lines };
    let mut section = |title: &str, heading: &[&str], rows: Vec<Vec<Cell>>| {
        if !rows.is_empty() {
            lines.push(String::new());
            lines.push(title.to_owned());
            lines.extend(table(heading, &rows, most));
        }
    };
    let rejected = state.rejected.iter().map(|(record, reason)| vec![Cell::text(record), Cell::text(reason)]);
    section("Records that are set aside", &["RECORD", "REASON"], rejected.collect());
    let held = state.absences.held.iter().map(|held| ("its clusters".to_owned(), held));
    let nodes = state
        .clusters
        .iter()
        .filter_map(|(id, known)| known.nodes.held.as_ref().map(|held| (format!("the nodes of {id}"), held)));
    let held = held.chain(nodes).map(|(of, held)| {
        let would_go = format!("{} of {}", held.dropped, held.known);
        vec![Cell::text(of), Cell::text(would_go), Cell::text(held.since.rfc3339()), Cell::text(&held.answer)]
    });
    section("Held: the source no longer reports so many that it needs your word", HELD, held.collect());
    let missing = state.absences.absent.iter().filter(|(_, absence)| absence.missing).map(|(id, absence)| {
        vec![Cell::text(id), Cell::text(absence.since.rfc3339()), Cell::number(absence.answers.into())]
    });
    section("Clusters that it no longer reports", &["CLUSTER", "SINCE", "ANSWERS"], missing.collect());
    let owned = state
        .clusters
        .iter()
        .filter_map(|(id, known)| Some(vec![Cell::text(id), Cell::text(known.owner.as_deref()?)]));
    section("Clusters that another discovery owns", &["CLUSTER", "DISCOVERY"], owned.collect());
    lines
}

/// What is shown of what the shrink guard holds.
const HELD: &[&str] = &["HELD", "WOULD GO", "SINCE", "ANSWER"];

fn source(source: &SourceSpec) -> String {
    match replicante_sources::open(source) {
        Ok(source) => source.shown(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::parse_text;
    use crate::view::given::{NOW, head, pause, plain, written};
    use crate::view::record::stored;
    use replicante_model::RecordName;
    use replicante_model::absence::{Absence, Absences, Held};
    use replicante_model::discovery::{Failing, KnownCluster};
    use std::time::Duration;

    fn known(owner: Option<&str>) -> KnownCluster {
        KnownCluster { owner: owner.map(String::from), ..KnownCluster::default() }
    }

    fn state() -> DiscoveryState {
        let missing = Absence { since: NOW, answers: 1, missing: true, confirmed_by: None };
        DiscoveryState {
            clusters: [
                ("billing".to_string(), known(None)),
                ("orders".to_string(), known(None)),
                ("zk-01".to_string(), known(Some("other"))),
            ]
            .into(),
            absences: Absences { absent: [("billing".to_string(), missing)].into(), ..Absences::default() },
            rejected: [("clusters[3]".to_string(), "it has no cluster_id".to_string())].into(),
            failing: Some(Failing { since: NOW, reason: "status 500 from http://inv/clusters".into() }),
            ..DiscoveryState::default()
        }
    }

    #[test]
    fn discoveries_are_listed_with_whether_their_source_answers() {
        let failing = head(RecordName::discovery("default", "fleet"), Summary::of_discovery(&state()));
        let fine =
            head(RecordName::discovery("prod", "by-hand"), Summary { clusters: 7, ..Summary::default() });
        let holding =
            head(RecordName::discovery("prod", "shrunk"), Summary { held: 900, ..Summary::default() });
        insta::assert_snapshot!(plain(&list(&[failing, fine, holding], &Pauses::default(), NOW, None)), @"
        DISCOVERY     STATUS   CLUSTERS  MISSING  REJECTED  CONFLICTS  EVERY  LAST RUN  REASON
        fleet         failing         1        1         1          1  1m     2s ago    status 500 from http://inv/clusters
        prod/by-hand  ok              7        0         0          0  1m     2s ago    -
        prod/shrunk   holding         0        0         0          0  1m     2s ago    900 no longer reported: held until confirmed
        ");
    }

    #[test]
    fn a_discovery_whose_workers_may_be_cut_off_says_so() {
        let observer = Suspicion { since: NOW, polled: 12, failed: 10 };
        let state = DiscoveryState { observer: Some(observer), ..DiscoveryState::default() };
        let head = head(RecordName::discovery("default", "fleet"), Summary::of_discovery(&state));
        insta::assert_snapshot!(plain(&list(std::slice::from_ref(&head), &Pauses::default(), NOW, None)), @"
        DISCOVERY  STATUS    CLUSTERS  MISSING  REJECTED  CONFLICTS  EVERY  LAST RUN  REASON
        fleet      cut off?         0        0         0          0  1m     2s ago    -
        ");
        insta::assert_snapshot!(plain(&discovery(&head, None, Some(&state), &Pauses::default(), NOW, None)), @"
        fleet  cut off?
          record     discovery/default/fleet
          last run   2s ago; every 1m, next in 58s
          observer   may be cut off since 2026-01-02T02:04:05.000Z: no connection to 10 of 12 agents
          reports    0 clusters, 0 missing
        ");
    }

    #[test]
    fn a_source_is_shown_with_what_it_asks_and_without_its_query() {
        let shown = |spec: &str| {
            let text = format!(
                "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: {{ name: a }}\nspec:\n  source: {spec}\n"
            );
            match parse_text("x", &text, Duration::from_secs(60)).unwrap().remove(0) {
                Object::Discovery(discovery) => source(&discovery.spec.source),
                Object::Cluster(_) => unreachable!("it is a Discovery"),
            }
        };
        let get = "{ http: { url: 'http://inv/Post/Get?key=secret', method: GET } }";
        assert_eq!(shown(get), "GET http://inv/Post/Get?...");
        assert_eq!(shown("{ http: { url: 'http://Get.example/Post' } }"), "POST http://get.example/Post");
        assert_eq!(shown("{ platform: { url: 'http://p/?key=secret' } }"), "GET http://p/discover?...");
        let groups = "{ prometheus: { url: 'http://sd/targets?key=secret', cluster_label: c } }";
        assert_eq!(shown(groups), "GET http://sd/targets?...");
        assert_eq!(shown("{ file: { path: clusters.json } }"), "the file clusters.json");
        assert_eq!(
            shown("{ file: { path: 's3://my-inventory/a.json' } }"),
            "the object s3://my-inventory/a.json"
        );
        let unknown = SourceSpec { kind: "etcd".into(), settings: serde_json::json!({}) };
        assert!(source(&unknown).starts_with("there is no source `etcd`"), "{}", source(&unknown));
    }

    #[test]
    fn a_discovery_is_shown_with_what_it_set_aside_and_what_it_misses() {
        let head = head(RecordName::discovery("default", "fleet"), Summary::of_discovery(&state()));
        let text = "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: { name: fleet }\nspec:\n  source: { http: { url: http://inv/clusters } }\n";
        let object = parse_text("x", text, Duration::from_secs(60)).unwrap().remove(0);
        let lines = discovery(&head, Some(&object), Some(&state()), &Pauses::default(), NOW, None);
        insta::assert_snapshot!(plain(&lines), @"
        fleet  failing
          record     discovery/default/fleet
          source     POST http://inv/clusters
          clusters   each refreshed every 1m
          last run   2s ago; every 1m, next in 58s
          failing    since 2026-01-02T02:04:05.000Z: status 500 from http://inv/clusters
          reports    1 cluster, 1 missing

        Records that are set aside
        RECORD       REASON
        clusters[3]  it has no cluster_id

        Clusters that it no longer reports
        CLUSTER  SINCE                     ANSWERS
        billing  2026-01-02T02:04:05.000Z        1

        Clusters that another discovery owns
        CLUSTER  DISCOVERY
        zk-01    other
        ");
    }

    #[test]
    fn a_discovery_that_holds_shows_what_would_go_of_clusters_and_of_nodes() {
        let held = |answer: &str, dropped, known| Held { since: NOW, answer: answer.into(), dropped, known };
        let mut state = DiscoveryState::default();
        state.absences.held = Some(held("4f1c0a9be2d37768", 900, 1000));
        let mut orders = known(None);
        orders.nodes.held = Some(held("90cd2b54aa01f3e6", 4, 5));
        state.clusters.insert("orders".into(), orders);
        let mut head = head(RecordName::discovery("default", "fleet"), Summary::of_discovery(&state));
        let page = |head: &Head| plain(&discovery(head, None, Some(&state), &Pauses::default(), NOW, None));
        insta::assert_snapshot!(page(&head), @"
        fleet  holding
          record     discovery/default/fleet
          last run   2s ago; every 1m, next in 58s
          reports    1 cluster, 0 missing

        Held: the source no longer reports so many that it needs your word
        HELD                 WOULD GO     SINCE                     ANSWER
        its clusters         900 of 1000  2026-01-02T02:04:05.000Z  4f1c0a9be2d37768
        the nodes of orders  4 of 5       2026-01-02T02:04:05.000Z  90cd2b54aa01f3e6
        ");
        // Its object was deleted.
        head.enabled = false;
        insta::assert_snapshot!(page(&head), @"
        fleet  disabled
          record     discovery/default/fleet
          source     none: its object was deleted, and its clusters stay until they are forgotten
          last run   2s ago; disabled (else every 1m)
          reports    1 cluster, 0 missing

        Held: the source no longer reports so many that it needs your word
        HELD                 WOULD GO     SINCE                     ANSWER
        its clusters         900 of 1000  2026-01-02T02:04:05.000Z  4f1c0a9be2d37768
        the nodes of orders  4 of 5       2026-01-02T02:04:05.000Z  90cd2b54aa01f3e6
        ");
        head.enabled = true;
        let pauses = Pauses { all: Some(pause()), ..Pauses::default() };
        insta::assert_snapshot!(plain(&discovery(&head, None, None, &pauses, NOW, None)), @"
        fleet  holding
          record     discovery/default/fleet
          last run   2s ago; paused until 2026-01-02T03:04:05.000Z by ann: new racks (else every 1m)
          reports    1 cluster, 0 missing
        ");
    }

    #[test]
    fn everything_that_is_stored_of_a_discovery_is_shown_to_programs() {
        let head = head(RecordName::discovery("default", "fleet"), Summary::of_discovery(&state()));
        let text = "apiVersion: replicante.io/v0\nkind: Discovery\nmetadata: { name: fleet }\nspec:\n  source: { http: { url: http://inv/clusters } }\n";
        let object = parse_text("x", text, Duration::from_secs(60)).unwrap().remove(0);
        let value = stored(&head, Some(&object), Some(&state()), &Pauses::default(), NOW);
        let (json, yaml) = written(&value);
        insta::assert_snapshot!(json, @r#"
        {
          "head": {
            "at": "2026-01-02T02:04:03.000Z",
            "clusters": 1,
            "conflicts": 1,
            "due": "2026-01-02T02:05:03.000Z",
            "enabled": true,
            "epoch": 1767315845,
            "id": "fleet",
            "interval_ms": 60000,
            "missing": 1,
            "ms": 12,
            "namespace": "default",
            "outcome": "ok",
            "published": 0,
            "reason": "status 500 from http://inv/clusters",
            "record": "discovery/default/fleet",
            "rejected": 1,
            "sequence": 42
          },
          "object": {
            "kind": "Discovery",
            "metadata": {
              "name": "fleet",
              "namespace": "default"
            },
            "spec": {
              "agents": {
                "api": null,
                "cluster_id": "check",
                "connect_timeout": 3000,
                "failures_before_down": 1,
                "max_body": 8388608,
                "node_timeout": 15000,
                "successes_before_up": 1,
                "timeout": 10000,
                "tls": {}
              },
              "enabled": true,
              "interval": 60000,
              "refresh": {
                "interval": 60000
              },
              "removal": {
                "confirmations": 3,
                "grace": 600000,
                "max_shrink": 30
              },
              "source": {
                "http": {
                  "limits": {
                    "bytes": 33554432,
                    "clusters": 100000,
                    "nodes": 10000,
                    "pages": 1000,
                    "total_bytes": 134217728,
                    "total_nodes": 500000
                  },
                  "method": "POST",
                  "timeout": 30000,
                  "tls": {},
                  "url": "http://inv/clusters"
                }
              }
            }
          },
          "state": {
            "absences": {
              "absent": {
                "billing": {
                  "answers": 1,
                  "missing": true,
                  "since": 1767319445000
                }
              }
            },
            "clusters": {
              "billing": {
                "generation": 0,
                "record": {
                  "cluster_id": "",
                  "nodes": {}
                }
              },
              "orders": {
                "generation": 0,
                "record": {
                  "cluster_id": "",
                  "nodes": {}
                }
              },
              "zk-01": {
                "generation": 0,
                "owner": "other",
                "record": {
                  "cluster_id": "",
                  "nodes": {}
                }
              }
            },
            "failing": {
              "reason": "status 500 from http://inv/clusters",
              "since": 1767319445000
            },
            "generation": 0,
            "last_event": 0,
            "rejected": {
              "clusters[3]": "it has no cluster_id"
            },
            "settings": {
              "agents": {
                "api": null,
                "cluster_id": "check",
                "connect_timeout": 3000,
                "failures_before_down": 1,
                "max_body": 8388608,
                "node_timeout": 15000,
                "successes_before_up": 1,
                "timeout": 10000,
                "tls": {}
              },
              "refresh_interval": 0
            }
          }
        }
        "#);
        insta::assert_snapshot!(yaml, @r#"
        head:
          at: "2026-01-02T02:04:03.000Z"
          clusters: 1
          conflicts: 1
          due: "2026-01-02T02:05:03.000Z"
          enabled: true
          epoch: 1767315845
          id: fleet
          interval_ms: 60000
          missing: 1
          ms: 12
          namespace: default
          outcome: ok
          published: 0
          reason: status 500 from http://inv/clusters
          record: discovery/default/fleet
          rejected: 1
          sequence: 42
        object:
          kind: Discovery
          metadata:
            name: fleet
            namespace: default
          spec:
            agents:
              api: null
              cluster_id: check
              connect_timeout: 3000
              failures_before_down: 1
              max_body: 8388608
              node_timeout: 15000
              successes_before_up: 1
              timeout: 10000
              tls: {}
            enabled: true
            interval: 60000
            refresh:
              interval: 60000
            removal:
              confirmations: 3
              grace: 600000
              max_shrink: 30
            source:
              http:
                limits:
                  bytes: 33554432
                  clusters: 100000
                  nodes: 10000
                  pages: 1000
                  total_bytes: 134217728
                  total_nodes: 500000
                method: POST
                timeout: 30000
                tls: {}
                url: http://inv/clusters
        state:
          absences:
            absent:
              billing:
                answers: 1
                missing: true
                since: 1767319445000
          clusters:
            billing:
              generation: 0
              record:
                cluster_id: ""
                nodes: {}
            orders:
              generation: 0
              record:
                cluster_id: ""
                nodes: {}
            zk-01:
              generation: 0
              owner: other
              record:
                cluster_id: ""
                nodes: {}
          failing:
            reason: status 500 from http://inv/clusters
            since: 1767319445000
          generation: 0
          last_event: 0
          rejected:
            "clusters[3]": it has no cluster_id
          settings:
            agents:
              api: null
              cluster_id: check
              connect_timeout: 3000
              failures_before_down: 1
              max_body: 8388608
              node_timeout: 15000
              successes_before_up: 1
              timeout: 10000
              tls: {}
            refresh_interval: 0
        "#);
    }
}
