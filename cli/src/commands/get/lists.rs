//! The lists: clusters and discoveries from their heads; nodes, shards and actions from the bodies of clusters.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};
use replicante_aws::{AwsError, Table};
use replicante_model::pause::Pauses;
use replicante_model::summary::Summary;
use replicante_model::time::Timestamp;
use replicante_model::view::{ClusterState, Health, NodeStatus, NodeView};
use replicante_model::{Kind, RecordName};
use replicante_protocol::head::Head;
use serde_json::Value;

use super::names::{Pattern, plural, unknown_in};
use super::watch::{Shown, show};
use super::{
    ActionsArgs, ActionsSort, ClustersArgs, DiscoveriesArgs, DiscoveryArg, HealthArg, ListArgs, ListOutput,
    NodesArgs, NodesSort, ShardsArgs, ShardsSort, Sort, StatusArg,
};
use crate::error::CliError;
use crate::place::Place;
use crate::records::{note, readable};
use crate::view::style::Tone;
use crate::view::{clusters as view, discoveries as discoveries_view, parts, record};
use crate::{out, progress};

/// Bodies that are read at once.
const AT_ONCE: usize = 16;
/// What may help whoever sees no cluster at all.
const NO_CLUSTER: &str = "get discoveries says whether the sources answer";

/// The list of clusters.
///
/// # Errors
/// When the table can't be read.
pub async fn clusters(args: &ClustersArgs) -> Result<(), CliError> {
    let table = Place::find(&args.list.place).await?.table();
    show(&args.list, async |width| {
        let mut named = of_names(&table, Kind::Cluster, &args.list).await?;
        named.heads.retain(|head| is_asked(args, &Summary::parse(head.summary.as_deref())));
        if !args.labels.is_any() {
            let states = read_states(&table, &mut named).await?;
            let has_some = |state: &ClusterState| {
                let mut nodes = state.view.iter().flat_map(|view| view.nodes.values());
                nodes.any(|node| args.labels.fit(node))
            };
            let meant: BTreeSet<&RecordName> =
                states.iter().filter(|(_, state)| has_some(state)).map(|(record, _)| record).collect();
            named.heads.retain(|head| meant.contains(&head.record));
        }
        sort(&mut named.heads, args.sort);
        let (pauses, now) = (table.pauses().await?, Timestamp::now());
        let lines = match args.list.output {
            ListOutput::Wide => view::wide(&named.heads, &pauses, now),
            _ => {
                let rows: Vec<_> =
                    named.heads.iter().map(|head| record::row_at(head, &pauses, now)).collect();
                view::list(&rows, now, width)
            }
        };
        let (json, nothing) = (json_of(&named.heads, &pauses, now), named.none(NO_CLUSTER));
        Ok(named.shown(json, lines, nothing))
    })
    .await
}

/// The list of discoveries.
///
/// # Errors
/// When the table can't be read.
pub async fn discoveries(args: &DiscoveriesArgs) -> Result<(), CliError> {
    let table = Place::find(&args.list.place).await?.table();
    show(&args.list, async |width| {
        let mut named = of_names(&table, Kind::Discovery, &args.list).await?;
        named.heads.retain(|head| has_word(&args.status, discoveries_view::status(head)));
        let (pauses, now) = (table.pauses().await?, Timestamp::now());
        let lines = discoveries_view::list(&named.heads, &pauses, now, width);
        let (json, nothing) = (json_of(&named.heads, &pauses, now), named.none("apply -f FILE stores one"));
        Ok(named.shown(json, lines, nothing))
    })
    .await
}

/// The list of nodes.
///
/// # Errors
/// When the table can't be read.
pub async fn nodes(args: &NodesArgs) -> Result<(), CliError> {
    let table = Place::find(&args.list.place).await?.table();
    show(&args.list, async |width| {
        let (named, states) = states(&table, &args.list).await?;
        let all = states.iter().flat_map(|(record, state)| {
            let nodes = state.view.iter().flat_map(|view| &view.nodes);
            nodes.map(move |(id, node)| (record, id.as_str(), node))
        });
        let mut nodes: Vec<(&RecordName, &str, &NodeView)> = all.collect();
        let of = nodes.len();
        nodes.retain(|(_, _, node)| is_meant(args, node));
        if args.sort == NodesSort::Status {
            nodes.sort_by_key(|(_, _, node)| worst_first(status_of(node)));
        }
        let json = nodes.iter().map(|(record, id, node)| parts::node_json(record, id, node));
        let nothing = named.counts.none_of("node", of, "get clusters shows them all");
        Ok(named.shown(
            json.collect(),
            parts::nodes(&nodes, args.list.output == ListOutput::Wide, width),
            nothing,
        ))
    })
    .await
}

/// The list of shards.
///
/// # Errors
/// When the table can't be read.
pub async fn shards(args: &ShardsArgs) -> Result<(), CliError> {
    let table = Place::find(&args.list.place).await?.table();
    show(&args.list, async |width| {
        let (named, states) = states(&table, &args.list).await?;
        let all = |state: &ClusterState| {
            let nodes = state.view.iter().flat_map(|view| view.nodes.values());
            nodes.flat_map(|node| node.shards.keys()).collect::<BTreeSet<_>>().len()
        };
        let of = states.iter().map(|(_, state)| all(state)).sum();
        let clusters = states.iter().map(|(record, state)| (record, state));
        let mut shards = parts::of_clusters(clusters, |node| args.labels.fit(node));
        sort_shards(&mut shards, args.sort);
        let nothing = named.counts.none_of("shard", of, "get clusters shows them all");
        let json = shards.iter().map(parts::shard_json).collect();
        Ok(named.shown(json, parts::shards(&shards, width), nothing))
    })
    .await
}

/// The list of actions.
///
/// # Errors
/// When the table can't be read.
pub async fn actions(args: &ActionsArgs) -> Result<(), CliError> {
    let table = Place::find(&args.list.place).await?.table();
    show(&args.list, async |width| {
        let (named, states) = states(&table, &args.list).await?;
        let mut actions: Vec<parts::Action<'_>> = Vec::new();
        let mut of = 0;
        for (record, state) in &states {
            for (node, known) in &state.actions {
                of += known.known.len();
                let view = state.view.as_ref().and_then(|view| view.nodes.get(node));
                if !args.labels.is_any() && !view.is_some_and(|node| args.labels.fit(node)) {
                    continue;
                }
                actions.extend(known.known.iter().map(|(id, action)| parts::Action {
                    record,
                    node,
                    id,
                    action,
                }));
            }
        }
        actions.retain(|listed| !(args.unfinished && listed.action.finished));
        sort_actions(&mut actions, args.sort);
        let nothing = named.counts.none_of("action", of, "agents list those that they know");
        let json = actions.iter().map(parts::action_json).collect();
        Ok(named.shown(json, parts::actions(&actions, width), nothing))
    })
    .await
}

/// The records that are asked for by name.
#[derive(Debug)]
struct Named {
    heads: Vec<Head>,
    /// What can't be read, and is left out.
    notes: Vec<String>,
    /// A name that is given, and that nothing has.
    unknown: Option<CliError>,
    counts: Counts,
}

/// Of how many those that are asked for are some.
#[derive(Clone, Debug)]
struct Counts {
    kind: Kind,
    /// The namespace that is asked for.
    namespace: Option<String>,
    /// How many records there are of the kind.
    all: usize,
    /// How many of them are of that namespace.
    within: usize,
    /// How many of these have one of the names that are asked for.
    named: usize,
}

impl Named {
    /// Those that a list shows, as it shows them.
    fn shown(self, json: Vec<Value>, lines: Vec<String>, nothing: String) -> Shown {
        Shown { json, lines, nothing, notes: self.notes, unknown: self.unknown }
    }

    /// What is said when no record is shown. `hint`: what helps where there is none at all.
    fn none(&self, hint: &str) -> String {
        self.counts.none(hint)
    }
}

impl Counts {
    fn none(&self, hint: &str) -> String {
        let what = plural(self.kind);
        match (self.all, self.within, &self.namespace) {
            (0, ..) => format!("there are no {what}: {} {hint}", out::program()),
            (all, 0, Some(namespace)) => {
                format!(
                    "no {what} in namespace {namespace}: without -n there {}",
                    are(all, self.kind.as_str(), what)
                )
            }
            (_, 1, _) => format!("the one {} does not match", self.kind),
            (_, within, _) => format!("none of {within} {what} matches"),
        }
    }

    /// The same for what clusters have, of which there are so many before they are chosen from. `hint`: what helps where the
    /// clusters have none.
    fn none_of(&self, what: &str, of: usize, hint: &str) -> String {
        match (self.named, of) {
            (0, _) => self.none(NO_CLUSTER),
            (1, 0) => format!("the cluster has no {what}s, as far as is known: {hint}"),
            (clusters, 0) => {
                format!("none of {clusters} clusters has any {what}s, as far as is known: {hint}")
            }
            (_, 1) => format!("the one {what} does not match"),
            (_, of) => format!("none of {of} {what}s matches"),
        }
    }
}

fn are(number: usize, one: &str, more: &str) -> String {
    if number == 1 { format!("is 1 {one}") } else { format!("are {number} {more}") }
}

fn json_of(heads: &[Head], pauses: &Pauses, now: Timestamp) -> Vec<Value> {
    heads.iter().map(|head| record::json_at(head, pauses, now)).collect()
}

/// The heads that are asked for by name.
async fn of_names(table: &Table, kind: Kind, args: &ListArgs) -> Result<Named, CliError> {
    let (heads, damaged) = readable(table, kind).await?;
    Ok(named(kind, heads, damaged.iter().map(note).collect(), args))
}

fn named(kind: Kind, mut heads: Vec<Head>, notes: Vec<String>, args: &ListArgs) -> Named {
    let namespace = args.namespace.clone();
    let is_within = |head: &Head| namespace.as_ref().is_none_or(|wanted| *wanted == head.record.namespace);
    let is_there = |name: &str| heads.iter().any(|head| is_within(head) && head.record.id == name);
    let unknown = args.names.iter().filter_map(Pattern::plain).find(|name| !is_there(name));
    let unknown = unknown.map(|name| unknown_in(kind, namespace.as_deref(), name, &heads));
    let all = heads.len();
    heads.retain(is_within);
    let within = heads.len();
    heads.retain(|head| Pattern::any(&args.names, &head.record.id));
    let counts = Counts { kind, all, within, named: heads.len(), namespace };
    Named { heads, notes, unknown, counts }
}

/// What is stored of the clusters that are asked for by name, in their order. One that can't be read is left out.
async fn states(
    table: &Table,
    args: &ListArgs,
) -> Result<(Named, Vec<(RecordName, ClusterState)>), CliError> {
    let mut named = of_names(table, Kind::Cluster, args).await?;
    let states = read_states(table, &mut named).await?;
    Ok((named, states))
}

/// What is stored of some clusters, in their order. Of one that can't be read there is a note.
async fn read_states(table: &Table, named: &mut Named) -> Result<Vec<(RecordName, ClusterState)>, CliError> {
    progress::all("clusters", named.heads.len() as u64);
    let read = stream::iter(named.heads.clone()).map(async |head| {
        let found = table.look::<ClusterState>(&head.record).await;
        progress::step(1);
        match found {
            Ok(found) => Ok(Ok(found.and_then(|(head, state)| Some((head.record, state?))))),
            Err(error @ AwsError::Call { .. }) => Err(CliError::from(error)),
            Err(damaged) => Ok(Err(note(&damaged))),
        }
    });
    let read: Vec<Result<Option<_>, String>> = read.buffered(AT_ONCE).try_collect().await?;
    let mut states = Vec::new();
    for state in read {
        match state {
            Ok(state) => states.extend(state),
            Err(note) => named.notes.push(note),
        }
    }
    Ok(states)
}

fn is_asked(args: &ClustersArgs, summary: &Summary) -> bool {
    let health = match summary.health {
        Some(Health::Healthy) => HealthArg::Healthy,
        Some(Health::Degraded) => HealthArg::Degraded,
        Some(Health::Down) => HealthArg::Down,
        Some(Health::Unknown) => HealthArg::Unknown,
        None => HealthArg::New,
    };
    let is_kind = |kind: &String| summary.kinds.iter().any(|known| known.eq_ignore_ascii_case(kind));
    (args.health.is_empty() || args.health.contains(&health))
        && (args.kind.is_empty() || args.kind.iter().any(is_kind))
}

/// Heads come by name; of equals the order stays.
fn sort(heads: &mut [Head], by: Sort) {
    let summary = |head: &Head| Summary::parse(head.summary.as_deref());
    match by {
        Sort::Name => {}
        Sort::Health => heads.sort_by_cached_key(|head| match summary(head).health {
            Some(Health::Down) => 0,
            Some(Health::Unknown) => 1,
            Some(Health::Degraded) => 2,
            None => 3,
            Some(Health::Healthy) => 4,
        }),
        Sort::Nodes => heads.sort_by_cached_key(|head| std::cmp::Reverse(summary(head).nodes)),
        Sort::Refreshed => heads.sort_by_cached_key(|head| summary(head).at),
    }
}

/// Shards and actions come by cluster and name; of equals the order stays.
fn sort_shards(shards: &mut [parts::Shard<'_>], by: ShardsSort) {
    let leads = |shard: &parts::Shard<'_>| usize::from(!shard.primary.is_empty());
    match by {
        ShardsSort::Name => {}
        ShardsSort::Primary => shards.sort_by_key(leads),
        ShardsSort::Nodes => shards.sort_by_key(|shard| shard.others.len() + leads(shard)),
    }
}

fn sort_actions(actions: &mut [parts::Action<'_>], by: ActionsSort) {
    match by {
        ActionsSort::Unfinished => actions.sort_by_key(|listed| listed.action.finished),
        ActionsSort::Name => {}
    }
}

fn is_meant(args: &NodesArgs, node: &NodeView) -> bool {
    has_status(&args.status, node) && has_kind(&args.kind, node) && args.labels.fit(node)
}

fn has_status(wanted: &[StatusArg], node: &NodeView) -> bool {
    wanted.is_empty() || wanted.contains(&status_of(node))
}

fn status_of(node: &NodeView) -> StatusArg {
    match &node.status {
        _ if node.missing_since.is_some() => StatusArg::Missing,
        NodeStatus::Up => StatusArg::Up,
        NodeStatus::AgentDown { .. } => StatusArg::AgentDown,
        NodeStatus::NodeDown { .. } => StatusArg::NodeDown,
        NodeStatus::Conflict { .. } => StatusArg::Conflict,
    }
}

fn worst_first(status: StatusArg) -> u8 {
    match status {
        StatusArg::NodeDown => 0,
        StatusArg::AgentDown => 1,
        StatusArg::Conflict => 2,
        StatusArg::Missing => 3,
        StatusArg::Up => 4,
    }
}

fn has_word(wanted: &[DiscoveryArg], (word, _): (&str, Tone)) -> bool {
    let is_it = |wanted: &DiscoveryArg| match wanted {
        DiscoveryArg::Ok => word == "ok",
        DiscoveryArg::Failing => word == "failing",
        DiscoveryArg::Holding => word == "holding",
        DiscoveryArg::CutOff => word == "cut off?",
        DiscoveryArg::New => word == "new",
        DiscoveryArg::Disabled => word == "disabled",
    };
    wanted.is_empty() || wanted.iter().any(is_it)
}

fn has_kind(wanted: &[String], node: &NodeView) -> bool {
    let kind = node.details.as_ref().map(|details| details.kind.as_str()).unwrap_or_default();
    wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use super::super::LabelArgs;
    use super::*;
    use crate::view::given::{NOW, cluster_head, head};
    use replicante_model::actions::ActionView;
    use std::time::Duration;

    fn list(names: &[&str], namespace: Option<&str>) -> ListArgs {
        ListArgs {
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            namespace: namespace.map(str::to_owned),
            output: ListOutput::Table,
            watch: false,
            place: Default::default(),
        }
    }

    /// Of three clusters.
    fn found(names: &[&str], namespace: Option<&str>) -> Named {
        let records = [("default", "orders"), ("default", "zk-01"), ("prod", "billing")];
        let heads =
            records.map(|(namespace, id)| head(RecordName::cluster(namespace, id), Summary::default()));
        named(Kind::Cluster, heads.into(), Vec::new(), &list(names, namespace))
    }

    #[test]
    fn an_empty_list_says_of_how_many_it_shows_none() {
        let none = |names: &[&str], namespace| found(names, namespace).none("get discoveries says why");
        insta::assert_snapshot!(none(&[], None), @"none of 3 clusters matches");
        insta::assert_snapshot!(none(&["redis-*"], None), @"none of 3 clusters matches");
        insta::assert_snapshot!(none(&[], Some("prod")), @"the one cluster does not match");
        insta::assert_snapshot!(none(&[], Some("test")), @"no clusters in namespace test: without -n there are 3 clusters");
        let nobody = named(Kind::Discovery, Vec::new(), Vec::new(), &list(&[], None));
        let none = nobody.none("apply -f FILE stores one");
        assert!(
            none.starts_with("there are no discoveries: ") && none.ends_with("apply -f FILE stores one"),
            "{none}"
        );

        let none_of =
            |names: &[&str], of| found(names, None).counts.none_of("node", of, "get clusters shows them all");
        insta::assert_snapshot!(none_of(&[], 12), @"none of 12 nodes matches");
        insta::assert_snapshot!(none_of(&[], 1), @"the one node does not match");
        insta::assert_snapshot!(none_of(&[], 0), @"none of 3 clusters has any nodes, as far as is known: get clusters shows them all");
        insta::assert_snapshot!(none_of(&["zk-01"], 0), @"the cluster has no nodes, as far as is known: get clusters shows them all");
        insta::assert_snapshot!(none_of(&["redis-*"], 0), @"none of 3 clusters matches");
    }

    #[test]
    fn a_name_without_stars_has_to_be_that_of_something() {
        let unknown =
            |names: &[&str], namespace| found(names, namespace).unknown.map(|error| error.to_string());
        assert_eq!(unknown(&["orders", "zk-*", "redis-*"], None), None);
        insta::assert_snapshot!(unknown(&["orders", "zk-1"], None).unwrap(), @"there is no cluster `zk-1`; is it zk-01?");
        insta::assert_snapshot!(unknown(&["orders"], Some("prod")).unwrap(), @"there is no cluster `orders` in namespace prod; there is one in namespace default: add -n default");
    }

    #[test]
    fn nodes_are_sorted_with_the_worst_first() {
        let all = [
            StatusArg::Up,
            StatusArg::AgentDown,
            StatusArg::NodeDown,
            StatusArg::Conflict,
            StatusArg::Missing,
        ];
        let mut sorted = all;
        sorted.sort_by_key(|status| worst_first(*status));
        use StatusArg::{AgentDown, Conflict, Missing, NodeDown, Up};
        assert_eq!(sorted, [NodeDown, AgentDown, Conflict, Missing, Up]);
    }

    #[test]
    fn shards_without_a_leader_and_actions_that_go_on_come_first() {
        let record = RecordName::cluster("default", "orders");
        let shard = |id, primary: &str, others: &[&'static str]| parts::Shard {
            record: &record,
            id,
            primary: primary.into(),
            others: others.to_vec(),
        };
        let by = |by| {
            let mut all =
                [shard("a", "n1", &["n2", "n3"]), shard("b", "", &["n1", "n2"]), shard("c", "n1", &[])];
            sort_shards(&mut all, by);
            all.map(|shard| shard.id).concat()
        };
        assert_eq!(
            [by(ShardsSort::Name), by(ShardsSort::Primary), by(ShardsSort::Nodes)],
            ["abc", "bac", "cba"]
        );
        let (over, on) = (ActionView { finished: true, ..ActionView::default() }, ActionView::default());
        let by = |by| {
            let action = |id, action| parts::Action { record: &record, node: "n1", id, action };
            let mut all = [action("a", &over), action("b", &on), action("c", &over)];
            sort_actions(&mut all, by);
            all.map(|listed| listed.id).concat()
        };
        assert_eq!([by(ActionsSort::Name), by(ActionsSort::Unfinished)], ["abc", "bac"]);
    }

    #[test]
    fn discoveries_are_chosen_by_what_the_list_calls_them() {
        let status = |change: fn(&mut Head)| {
            let mut head = head(RecordName::discovery("default", "fleet"), Summary::default());
            change(&mut head);
            discoveries_view::status(&head)
        };
        let (ok, disabled) = (status(|_| ()), status(|head| head.enabled = false));
        let new = status(|head| head.summary = None);
        assert!(has_word(&[], ok) && has_word(&[DiscoveryArg::New, DiscoveryArg::Ok], ok));
        assert!(has_word(&[DiscoveryArg::Disabled], disabled) && !has_word(&[DiscoveryArg::Ok], disabled));
        assert!(has_word(&[DiscoveryArg::New], new) && !has_word(&[DiscoveryArg::Failing], new));
    }

    fn has(node: &NodeView, all: &[(&str, &str)]) -> bool {
        let attribute = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        LabelArgs { attribute: attribute.collect() }.fit(node)
    }

    #[test]
    fn nodes_are_chosen_by_all_attributes_that_are_given() {
        let mut node = NodeView::unseen("http://a");
        assert!(has(&node, &[]) && !has(&node, &[("rack", "r1")]));
        let attributes = [("rack".to_owned(), "r1".to_owned()), ("zone".to_owned(), "a".to_owned())].into();
        let details = replicante_model::observation::NodeDetails { attributes, ..Default::default() };
        node.details = Some(details);
        assert!(has(&node, &[("rack", "r1"), ("zone", "a")]));
        assert!(!has(&node, &[("rack", "r1"), ("zone", "b")]));
        assert!(!has(&node, &[("rack", "")]));
    }

    #[test]
    fn nodes_are_chosen_by_labels_of_their_source_and_attributes_of_their_agents_alike() {
        let mut node = NodeView::unseen("http://a");
        node.labels =
            [("node_class".to_owned(), "kafka".to_owned()), ("rack".to_owned(), "r1".to_owned())].into();
        assert!(has(&node, &[("node_class", "kafka"), ("rack", "r1")]), "its agent never answered");
        assert!(!has(&node, &[("rack", "r2")]) && !has(&node, &[("rack", "r1"), ("zone", "a")]));
        let attributes = [("rack".to_owned(), "r2".to_owned()), ("zone".to_owned(), "a".to_owned())].into();
        node.details = Some(replicante_model::observation::NodeDetails { attributes, ..Default::default() });
        assert!(has(&node, &[("node_class", "kafka"), ("zone", "a")]), "one of each");
        assert!(has(&node, &[("rack", "r1")]) && has(&node, &[("rack", "r2")]), "whoever says so");
    }

    #[test]
    fn clusters_are_sorted_and_those_that_are_asked_for_are_shown() {
        let of = |id: &str, health, nodes, seconds| {
            let kinds = vec!["Zookeeper".to_owned()];
            let summary = Summary { health, nodes, kinds, ..Summary::default() };
            let mut head = head(RecordName::cluster("default", id), summary.clone());
            head.summary = Some(Summary { at: NOW.minus(Duration::from_secs(seconds)), ..summary }.to_json());
            head
        };
        let mut heads = [
            of("a", Some(Health::Healthy), 3, 9),
            of("b", Some(Health::Down), 1, 5),
            of("c", None, 0, 7),
            of("d", Some(Health::Down), 5, 1),
        ];
        let mut by = |sort: Sort| {
            heads.sort_by(|a, b| a.record.cmp(&b.record));
            super::sort(&mut heads, sort);
            heads.iter().map(|head| head.record.id.as_str()).collect::<String>()
        };
        assert_eq!(
            [by(Sort::Name), by(Sort::Health), by(Sort::Nodes), by(Sort::Refreshed)],
            ["abcd", "bdca", "dabc", "acbd"]
        );
        let summary = Summary::parse(cluster_head().summary.as_deref());
        let asked = |health: &[HealthArg], kind: &[&str]| {
            let list = list(&[], None);
            let kind = kind.iter().map(|kind| (*kind).to_owned()).collect();
            let labels = LabelArgs::default();
            is_asked(
                &ClustersArgs { health: health.to_vec(), kind, labels, sort: Sort::Name, list },
                &summary,
            )
        };
        assert!(asked(&[], &[]) && asked(&[HealthArg::Down, HealthArg::Degraded], &["kafka"]));
        assert!(!asked(&[HealthArg::Healthy], &[]) && !asked(&[], &["redis"]));
    }
}
