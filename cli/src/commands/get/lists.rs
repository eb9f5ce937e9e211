//! The lists: clusters and discoveries from their heads; nodes, shards and actions from the bodies of clusters.

use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use replicante_aws::{AwsError, Table};
use replicante_model::pause::Pauses;
use replicante_model::summary::Summary;
use replicante_model::time::Timestamp;
use replicante_model::view::{ClusterState, Health, NodeStatus, NodeView};
use replicante_model::{Kind, RecordName};
use replicante_protocol::head::Head;
use serde_json::{Value, json};

use super::names::Pattern;
use super::{ActionsArgs, ClustersArgs, HealthArg, ListArgs, ListOutput, NodesArgs, Sort, StatusArg};
use crate::demo::screen::Screen;
use crate::error::CliError;
use crate::place::Place;
use crate::records::heads;
use crate::signals::Interrupts;
use crate::view::style::Tone;
use crate::view::{clusters as view, discoveries as discoveries_view, parts, record};
use crate::{out, progress};

/// Bodies that are read at once.
const AT_ONCE: usize = 16;
/// Between two looks of `--watch`.
const LOOK: Duration = Duration::from_secs(2);

/// A list, ready to be shown.
struct Shown {
    /// For programs.
    json: Vec<Value>,
    /// For people, in so many columns at most.
    lines: Vec<String>,
    /// What is said when there is nothing.
    nothing: String,
}

/// The list of clusters.
///
/// # Errors
/// When the table can't be read.
pub async fn clusters(args: &ClustersArgs) -> Result<(), CliError> {
    let table = Place::find(&args.list.place).await?.table();
    show(&args.list, async |width| {
        let mut heads = of_names(&table, Kind::Cluster, &args.list).await?;
        heads.retain(|head| is_asked(args, &Summary::parse(head.summary.as_deref())));
        sort(&mut heads, args.sort);
        let (pauses, now) = (table.pauses().await?, Timestamp::now());
        let lines = match args.list.output {
            ListOutput::Wide => view::wide(&heads, &pauses, now),
            _ => {
                let rows: Vec<_> = heads.iter().map(|head| record::row_at(head, &pauses, now)).collect();
                view::list(&rows, now, width)
            }
        };
        let hint = "get discoveries says whether the sources answer";
        Ok(Shown {
            json: json_of(&heads, &pauses, now),
            lines,
            nothing: nothing("clusters", &args.list, hint),
        })
    })
    .await
}

/// The list of discoveries.
///
/// # Errors
/// When the table can't be read.
pub async fn discoveries(args: &ListArgs) -> Result<(), CliError> {
    let table = Place::find(&args.place).await?.table();
    show(args, async |width| {
        let heads = of_names(&table, Kind::Discovery, args).await?;
        let (pauses, now) = (table.pauses().await?, Timestamp::now());
        let lines = discoveries_view::list(&heads, &pauses, now, width);
        Ok(Shown {
            json: json_of(&heads, &pauses, now),
            lines,
            nothing: nothing("discoveries", args, "apply -f FILE"),
        })
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
        let states = states(&table, &args.list).await?;
        let all = states.iter().flat_map(|(record, state)| {
            let nodes = state.view.iter().flat_map(|view| &view.nodes);
            nodes.map(move |(id, node)| (record, id.as_str(), node))
        });
        let nodes: Vec<(&RecordName, &str, &NodeView)> =
            all.filter(|(_, _, node)| is_meant(args, node)).collect();
        let json = nodes
            .iter()
            .map(|(record, id, node)| json!({ "cluster": record.key(), "node": id, "view": node }));
        let hint = "get clusters shows them all";
        Ok(Shown {
            json: json.collect(),
            lines: parts::nodes(&nodes, args.list.output == ListOutput::Wide, width),
            nothing: nothing("nodes", &args.list, hint),
        })
    })
    .await
}

/// The list of shards.
///
/// # Errors
/// When the table can't be read.
pub async fn shards(args: &ListArgs) -> Result<(), CliError> {
    let table = Place::find(&args.place).await?.table();
    show(args, async |width| {
        let states = states(&table, args).await?;
        let shards = parts::of_clusters(states.iter().map(|(record, state)| (record, state)));
        let json = shards.iter().map(|shard| {
            json!({ "cluster": shard.record.key(), "shard": shard.id, "primary": shard.primary, "others": shard.others })
        });
        Ok(Shown {
            json: json.collect(),
            lines: parts::shards(&shards, width),
            nothing: nothing("shards", args, "get clusters shows them all"),
        })
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
        let states = states(&table, &args.list).await?;
        let mut actions: Vec<parts::Action<'_>> = Vec::new();
        for (record, state) in &states {
            for (node, known) in &state.actions {
                actions.extend(known.known.iter().map(|(id, action)| parts::Action { record, node, id, action }));
            }
        }
        actions.retain(|listed| !(args.unfinished && listed.action.finished));
        // What goes on comes first.
        actions.sort_by_key(|listed| listed.action.finished);
        let json = actions.iter().map(|listed| {
            json!({ "cluster": listed.record.key(), "node": listed.node, "id": listed.id, "action": listed.action })
        });
        Ok(Shown {
            json: json.collect(),
            lines: parts::actions(&actions, width),
            nothing: nothing("actions", &args.list, "agents list those that they know"),
        })
    })
    .await
}

/// Shows a list, or again and again.
async fn show(
    args: &ListArgs,
    list: impl AsyncFn(Option<usize>) -> Result<Shown, CliError>,
) -> Result<(), CliError> {
    let is_table = matches!(args.output, ListOutput::Table | ListOutput::Wide);
    let width = || if args.output == ListOutput::Wide { None } else { out::size().map(|(width, _)| width) };
    if !args.watch {
        let shown = list(width()).await?;
        return match args.output {
            ListOutput::Json => out::json(&shown.json),
            ListOutput::Yaml => out::yaml(&Value::from(shown.json)),
            _ if shown.json.is_empty() => {
                out::note(shown.nothing);
                Ok(())
            }
            _ => shown.lines.into_iter().try_for_each(out::line),
        };
    }
    if !is_table {
        return Err(CliError::Usage("--watch is for people: it needs -o table or -o wide".into()));
    }
    let mut interrupts = Interrupts::watch()?;
    let mut screen = if out::is_screen() { Some(Screen::enter()?) } else { None };
    loop {
        let shown = tokio::select! {
            shown = list(width()) => shown?,
            () = interrupts.next() => return Ok(()),
        };
        let mut lines = if shown.json.is_empty() { vec![shown.nothing] } else { shown.lines };
        match &mut screen {
            Some(screen) => {
                let height = out::size().map_or(usize::MAX, |(_, height)| height);
                let more = lines.len().saturating_sub(height.saturating_sub(1));
                if more > 0 {
                    lines.truncate(lines.len() - more);
                    lines.push(Tone::Quiet.paint(&format!("and {more} more")));
                }
                screen.draw(&lines)?;
            }
            None => {
                lines.push(String::new());
                lines.into_iter().try_for_each(out::line)?;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = interrupts.next() => return Ok(()),
        }
    }
}

fn nothing(what: &str, args: &ListArgs, hint: &str) -> String {
    let within = args.namespace.as_ref().map(|name| format!(" in namespace {name}")).unwrap_or_default();
    let named = if args.names.is_empty() { "yet" } else { "of such a name" };
    match hint.split_once(' ') {
        Some(("get" | "apply", _)) => format!("no {what}{within} {named}: {} {hint}", out::program()),
        _ => format!("no {what}{within} {named}: {hint}"),
    }
}

fn json_of(heads: &[Head], pauses: &Pauses, now: Timestamp) -> Vec<Value> {
    heads.iter().map(|head| record::json_at(head, pauses, now)).collect()
}

/// The heads that are asked for by name.
async fn of_names(table: &Table, kind: Kind, args: &ListArgs) -> Result<Vec<Head>, CliError> {
    let mut heads = heads(table, kind).await?;
    heads.retain(|head| {
        let RecordName { namespace, id, .. } = &head.record;
        args.namespace.as_ref().is_none_or(|wanted| wanted == namespace) && Pattern::any(&args.names, id)
    });
    Ok(heads)
}

/// What is stored of the clusters that are asked for by name, in their order. One that can't be read is named in a
/// note, and left out.
async fn states(table: &Table, args: &ListArgs) -> Result<Vec<(RecordName, ClusterState)>, CliError> {
    let heads = of_names(table, Kind::Cluster, args).await?;
    progress::say("reading clusters");
    let read = stream::iter(heads).map(async |head| match table.look::<ClusterState>(&head.record).await {
        Ok(found) => Ok(found.and_then(|(head, state)| Some((head.record, state?)))),
        Err(error @ AwsError::Call { .. }) => Err(CliError::from(error)),
        Err(damaged) => {
            out::note(Tone::Bad.paint(&damaged.to_string()));
            Ok(None)
        }
    });
    read.buffered(AT_ONCE).try_filter_map(async |state| Ok(state)).try_collect().await
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

fn is_meant(args: &NodesArgs, node: &NodeView) -> bool {
    has_status(&args.status, node) && has_kind(&args.kind, node) && has_attributes(&args.attribute, node)
}

/// Whether the node's agent tells each of them, or its source does.
fn has_attributes(wanted: &[(String, String)], node: &NodeView) -> bool {
    let told = |name: &String| node.details.as_ref().and_then(|details| details.attributes.get(name));
    wanted.iter().all(|(name, value)| told(name) == Some(value) || node.labels.get(name) == Some(value))
}

fn has_status(wanted: &[StatusArg], node: &NodeView) -> bool {
    let status = match &node.status {
        _ if node.missing_since.is_some() => StatusArg::Missing,
        NodeStatus::Up => StatusArg::Up,
        NodeStatus::AgentDown { .. } => StatusArg::AgentDown,
        NodeStatus::NodeDown { .. } => StatusArg::NodeDown,
        NodeStatus::Conflict { .. } => StatusArg::Conflict,
    };
    wanted.is_empty() || wanted.contains(&status)
}

fn has_kind(wanted: &[String], node: &NodeView) -> bool {
    let kind = node.details.as_ref().map(|details| details.kind.as_str()).unwrap_or_default();
    wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::given::{NOW, cluster_head, head};

    #[test]
    fn nodes_are_chosen_by_all_attributes_that_are_given() {
        let mut node = NodeView::unseen("http://a");
        let wanted = |all: &[(&str, &str)]| -> Vec<(String, String)> {
            all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert!(has_attributes(&[], &node) && !has_attributes(&wanted(&[("rack", "r1")]), &node));
        let attributes = [("rack".to_owned(), "r1".to_owned()), ("zone".to_owned(), "a".to_owned())].into();
        let details = replicante_model::observation::NodeDetails { attributes, ..Default::default() };
        node.details = Some(details);
        assert!(has_attributes(&wanted(&[("rack", "r1"), ("zone", "a")]), &node));
        assert!(!has_attributes(&wanted(&[("rack", "r1"), ("zone", "b")]), &node));
        assert!(!has_attributes(&wanted(&[("rack", "")]), &node));
    }

    #[test]
    fn nodes_are_chosen_by_labels_of_their_source_and_attributes_of_their_agents_alike() {
        let mut node = NodeView::unseen("http://a");
        node.labels =
            [("node_class".to_owned(), "kafka".to_owned()), ("rack".to_owned(), "r1".to_owned())].into();
        let has = |node: &NodeView, all: &[(&str, &str)]| {
            let wanted: Vec<_> =
                all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            has_attributes(&wanted, node)
        };
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
            let list = ListArgs {
                names: Vec::new(),
                namespace: None,
                output: ListOutput::Table,
                watch: false,
                place: Default::default(),
            };
            let kind = kind.iter().map(|kind| (*kind).to_owned()).collect();
            is_asked(&ClustersArgs { health: health.to_vec(), kind, sort: Sort::Name, list }, &summary)
        };
        assert!(asked(&[], &[]) && asked(&[HealthArg::Down, HealthArg::Degraded], &["kafka"]));
        assert!(!asked(&[HealthArg::Healthy], &[]) && !asked(&[], &["redis"]));
    }
}
