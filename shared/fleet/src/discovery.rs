//! What the discovery endpoint answers, as a value.

use std::fmt;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::{Answer, HTML};
use crate::world::{Cluster, Node, World};

/// How the discovery endpoint answers wrongly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscoveryFault {
    /// 500 with plain text.
    Down,
    /// 200 with an HTML page.
    Html,
    /// 200 with `{}`.
    EmptyObject,
    /// 200 with no clusters: a complete answer of a source that forgot everything.
    Forgets,
    /// Every page is empty and has a new cursor.
    EndlessCursor,
    /// Every page has the same cursor.
    RepeatedCursor,
    /// 200 with a valid answer of this many bytes (and a few), streamed without a length.
    Huge(u64),
    /// The first page has a record without an id before the good ones.
    BadRecord,
    /// The first page has its first cluster twice.
    Duplicate,
    /// 307 to `/elsewhere`.
    Redirect,
    /// The right answer, announced as `text/plain`.
    WrongContentType,
    /// No answer until the fault ends.
    Hang,
    /// The connection is closed without an answer.
    Close,
}

impl fmt::Display for DiscoveryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiscoveryFault::Down => f.write_str("answers 500"),
            DiscoveryFault::Html => f.write_str("answers HTML"),
            DiscoveryFault::EmptyObject => f.write_str("answers {}"),
            DiscoveryFault::Forgets => f.write_str("knows no clusters"),
            DiscoveryFault::EndlessCursor => f.write_str("pages without end"),
            DiscoveryFault::RepeatedCursor => f.write_str("repeats its cursor"),
            DiscoveryFault::Huge(bytes) => write!(f, "answers {bytes} bytes"),
            DiscoveryFault::BadRecord => f.write_str("has a record without an id"),
            DiscoveryFault::Duplicate => f.write_str("has a cluster twice"),
            DiscoveryFault::Redirect => f.write_str("redirects"),
            DiscoveryFault::WrongContentType => f.write_str("answers text/plain"),
            DiscoveryFault::Hang => f.write_str("hangs"),
            DiscoveryFault::Close => f.write_str("closes the connection"),
        }
    }
}

/// How discovery writes the nodes of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeEntries {
    /// `{"node_id": "...", "agent_address": "..."}`.
    #[default]
    Objects,
    /// The agent's URL alone.
    Urls,
}

/// What was asked of discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// `GET /clusters`: everything at once.
    All,
    /// `POST /clusters`: the page after this cursor, or the first.
    Page(Option<String>),
    /// `GET /discover`: everything at once, as Replicante Platform writes it.
    Platform,
    /// `GET /targets`: everything at once, as Prometheus' HTTP service discovery writes it.
    Prometheus,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    cursor: Option<String>,
}

impl Query {
    /// Reads the body of `POST /clusters`: a JSON object, other keys than `cursor` are ignored.
    pub fn from_body(body: &[u8]) -> Result<Query, serde_json::Error> {
        serde_json::from_slice(body).map(|asked: Asked| Query::Page(asked.cursor))
    }
}

#[derive(Serialize)]
struct Page<'a> {
    cursor: Option<&'a str>,
    clusters: Vec<Record<'a>>,
}

#[derive(Serialize)]
struct Complete<'a> {
    clusters: Vec<Record<'a>>,
}

#[derive(Default, Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    nodes: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Url(String),
    Object {
        node_id: &'a str,
        agent_address: String,
    },
    Platform {
        node_id: &'a str,
        agent_address: String,
        node_class: &'static str,
        node_group: Option<&'a str>,
    },
}

/// What discovery needs beside the world.
pub(crate) struct Settings<'a> {
    /// Most clusters on a page, at least 1.
    pub page_size: usize,
    /// How nodes are written.
    pub entries: NodeEntries,
    /// Where the agent of a node listens, given the ids of cluster and node.
    pub address: &'a dyn Fn(&str, &str, &Node) -> String,
}

impl World {
    /// What discovery answers to a query.
    pub(crate) fn discover(&self, query: &Query, settings: &Settings<'_>) -> Answer {
        let cursor = match query {
            Query::Page(cursor) => cursor.as_deref(),
            Query::All | Query::Platform | Query::Prometheus => None,
        };
        let mut kind = "application/json";
        match &self.discovery {
            Some(DiscoveryFault::Down) => return Answer::text(500, "text/plain", "Internal Server Error"),
            Some(DiscoveryFault::Html) => return Answer::text(200, "text/html; charset=utf-8", HTML),
            Some(DiscoveryFault::EmptyObject) => return Answer::json(200, &json!({})),
            Some(DiscoveryFault::Forgets) if *query == Query::Prometheus => {
                return Answer::json(200, &json!([]));
            }
            Some(DiscoveryFault::Forgets) => {
                return Answer::json(200, &json!({"cursor": null, "clusters": []}));
            }
            Some(DiscoveryFault::EndlessCursor) => {
                let page: u64 = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
                return Answer::json(200, &json!({"cursor": (page + 1).to_string(), "clusters": []}));
            }
            Some(DiscoveryFault::RepeatedCursor) => {
                return Answer::json(200, &json!({"cursor": "again", "clusters": []}));
            }
            Some(DiscoveryFault::Huge(bytes)) => {
                let start = "{\"cursor\":null,\"clusters\":[],\"filler\":\"";
                return Answer::Huge { start, bytes: *bytes };
            }
            Some(DiscoveryFault::Redirect) => return Answer::Redirect("/elsewhere"),
            Some(DiscoveryFault::Hang) => return Answer::Hang,
            Some(DiscoveryFault::Close) => return Answer::Close,
            Some(DiscoveryFault::WrongContentType) => kind = "text/plain",
            Some(DiscoveryFault::BadRecord | DiscoveryFault::Duplicate) | None => {}
        }
        let mut answer = self.records(query, cursor, settings);
        if let Answer::Reply { content_type, .. } = &mut answer {
            *content_type = kind;
        }
        answer
    }

    fn records<'a>(&'a self, query: &Query, cursor: Option<&str>, settings: &Settings<'_>) -> Answer {
        // A cursor is the last id of the page before: right whatever changes between two pages.
        let after = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.clusters.range::<str, _>((after, Bound::Unbounded));
        let listed = rest.by_ref().filter(|(_, cluster)| cluster.listed);
        let record = |(id, cluster): (&'a String, &'a Cluster)| record(query, settings, id, cluster);
        let mut clusters: Vec<Record<'_>> = match query {
            Query::Page(_) => listed.take(settings.page_size.max(1)).map(record).collect(),
            Query::All | Query::Platform | Query::Prometheus => listed.map(record).collect(),
        };
        let last = clusters.last().and_then(|record| record.cluster_id);
        let next = last.filter(|_| rest.any(|(_, cluster)| cluster.listed));
        match &self.discovery {
            Some(DiscoveryFault::BadRecord) if cursor.is_none() => {
                clusters.insert(0, Record { display_name: Some("no id"), ..Record::default() });
            }
            Some(DiscoveryFault::Duplicate) if cursor.is_none() => {
                let first = self.clusters.iter().find(|(_, cluster)| cluster.listed).map(record);
                clusters.extend(first);
            }
            _ => {}
        }
        match query {
            Query::Platform => Answer::json(200, &Complete { clusters }),
            Query::Prometheus => Answer::json(200, &groups(&clusters)),
            Query::All | Query::Page(_) => Answer::json(200, &Page { cursor: next, clusters }),
        }
    }
}

/// A target group for each node, as exporters write them: the clusters are told by labels alone. A target has no
/// path: a fleet whose agents share a port can't be written so, and gives targets that no reader takes.
fn groups(clusters: &[Record<'_>]) -> Vec<Value> {
    let mut groups = Vec::new();
    for record in clusters {
        let mut labels = json!({ "__meta_fleet": "simulated" });
        for (name, value) in [("cluster", record.cluster_id), ("title", record.display_name)] {
            if let Some(value) = value {
                labels[name] = value.into();
            }
        }
        let group = |targets: &[&str]| json!({ "targets": targets, "labels": labels });
        if record.nodes.is_empty() {
            groups.push(group(&[]));
        }
        for entry in &record.nodes {
            let (Entry::Url(address)
            | Entry::Object { agent_address: address, .. }
            | Entry::Platform { agent_address: address, .. }) = entry;
            groups.push(group(&[address.trim_start_matches("http://")]));
        }
    }
    groups
}

fn record<'a>(query: &Query, settings: &Settings<'_>, id: &'a str, cluster: &'a Cluster) -> Record<'a> {
    let entry = |(node_id, node): (&'a String, &'a Node)| {
        let agent_address = (settings.address)(id, node_id, node);
        match (query, settings.entries) {
            (Query::Platform, _) => {
                let node_class = cluster.kind.store_name();
                Entry::Platform { node_id, agent_address, node_class, node_group: None }
            }
            (_, NodeEntries::Objects) => Entry::Object { node_id, agent_address },
            (_, NodeEntries::Urls) => Entry::Url(agent_address),
        }
    };
    let display_name = match query {
        Query::Platform => None,
        _ => cluster.display_name.as_deref(),
    };
    Record { cluster_id: Some(id), display_name, nodes: cluster.nodes.iter().map(entry).collect() }
}
