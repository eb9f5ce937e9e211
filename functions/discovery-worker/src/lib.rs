//! The discovery worker: fetches a source, and commits which clusters it reports.
//!
//! Triggered by the queue of discovery tasks. What a commit owes are the discovery items of the clusters that
//! changed; delivering one writes the item, and creates the cluster's head or asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use replicante_aws::{
    AwsError, Clients, DiscoveryItem, ItemWrite, MAX_DISCOVERED, Object as StoredObject, ObjectKind, Table,
    Untold, encode_cluster,
};
use replicante_metrics::{Measures, Metric};
use replicante_model::absence::RemovalRules;
use replicante_model::discovery::{
    ClusterSettings, DiscoveryState, Given, KnownCluster, Run, answered, contested, failed, forgotten, item,
};
use replicante_model::intent::Intents;
use replicante_model::notice;
use replicante_model::object::tell;
use replicante_model::record::{ClusterRecord, RejectedRecord, SourceAnswer};
use replicante_model::summary::Summary;
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_objects::{Discovery, DiscoverySpec, IgnoreSpec, Object, RemovalSpec};
use replicante_outbound::{Outbound, Secrets};
use replicante_protocol::head::Head;
use replicante_protocol::turns::Turns;
use replicante_s3::Objects;
use replicante_settings::AddressPolicy;
use replicante_settings::Settings;
pub use replicante_sources::Outside;
use replicante_ssm::Parameters;
use replicante_worker::{Context, Delivered, Function, Job, WorkError, Worked};
use tokio::time::{sleep_until, timeout_at};
use wildmatch::WildMatch;

/// Items of contested clusters that are read at once.
const READS_AT_ONCE: usize = 16;
/// How far the first of them moves on with each run.
const OWNERS_STRIDE: usize = 1_000;

/// A record of so few nodes fits its item whatever it holds: ids of 256 bytes, escaped, addresses of 1,024, and labels of so
/// many bytes in all.
const ALWAYS_FITS: usize = 64;
const LABELS_FIT: usize = 128 * 1024;

/// The function.
pub type DiscoveryWorker = Function<Discover>;

/// The work on a discovery's record.
pub struct Discover {
    outside: Outside,
    back_off: Duration,
}

/// What a run would commit, from one look at the source. Nothing is stored, and clusters that another discovery owned the
/// last time count as still owned.
///
/// # Errors
/// What was asked, why it gave no complete answer, and the way out.
pub async fn preview(
    outside: &Outside,
    name: &str,
    spec: &DiscoverySpec,
    state: &DiscoveryState,
    intents: &Intents,
    now: Timestamp,
) -> Result<(SourceAnswer, Run), String> {
    let source = replicante_sources::open(&spec.source).map_err(|error| error.to_string())?;
    let mut answer = source.fetch(outside).await.map_err(|error| error.to_string())?;
    ignore(&mut answer, &spec.ignore);
    let settings = settings_of(spec);
    set_aside_too_large(&mut answer, state, name, &settings).map_err(|error| error.to_string())?;
    let (rules, owners) = (rules_of(spec), BTreeMap::new());
    let given = Given { name, settings: &settings, rules, owners: &owners, intents, now };
    let run = answered(state, &answer, &given);
    Ok((answer, run))
}

/// What sources reach the world by. What is read of a secret counts for `secrets_age`.
pub fn outside(clients: &Clients, addresses: AddressPolicy, secrets_age: Duration) -> Outside {
    let secrets = Secrets::new(Parameters::of(clients.account()), secrets_age);
    let outbound = Arc::new(Outbound::with_secrets(addresses, secrets));
    Outside { outbound, objects: Objects::of(clients.account()) }
}

/// Leaves out what is not to be looked after, as if the source did not report it: the shrink guard sees it go.
fn ignore(answer: &mut SourceAnswer, patterns: &IgnoreSpec) {
    let all = |patterns: &[String]| patterns.iter().map(|text| WildMatch::new(text)).collect::<Vec<_>>();
    let (clusters, nodes) = (all(&patterns.clusters), all(&patterns.nodes));
    let fits = |patterns: &[WildMatch], text: &str| patterns.iter().any(|pattern| pattern.matches(text));
    answer.clusters.retain(|id, _| !fits(&clusters, id));
    answer.rejected.retain(|rejected| !fits(&clusters, &rejected.record));
    if !nodes.is_empty() {
        for record in answer.clusters.values_mut() {
            record.retain_nodes(|_, address| !fits(&nodes, address));
        }
    }
}

fn settings_of(spec: &DiscoverySpec) -> ClusterSettings {
    ClusterSettings { agents: spec.agents.clone(), refresh_interval: spec.refresh.interval }
}

fn rules_of(spec: &DiscoverySpec) -> RemovalRules {
    let RemovalSpec { grace, confirmations, max_shrink } = spec.removal;
    RemovalRules { grace, confirmations, max_shrink }
}

impl Job for Discover {
    const KIND: Kind = Kind::Discovery;

    type State = DiscoveryState;

    fn new(clients: &Clients, settings: &Settings) -> Self {
        let outside = outside(clients, settings.addresses.clone(), settings.secrets_age);
        Discover { outside, back_off: settings.back_off }
    }

    async fn work(
        &self,
        context: &Context<'_>,
        state: DiscoveryState,
    ) -> Result<Worked<DiscoveryState>, WorkError> {
        let record = &context.head.record;
        let turns = Turns::of(context.head, context.task, context.now, self.back_off);
        let intents = Intents::at(context.now, context.table.intents(record).await?);
        let untold = context.untold().await?;
        let (mut run, failed) = match &state.failing {
            _ if context.only_tells(&untold) => (notice::unchanged(state.clone()), false),
            // A source that keeps failing is not asked every time.
            Some(failing) if !turns.has(failing.since, 0) => (notice::unchanged(state.clone()), false),
            _ => self.look(context, &state, &intents).await?,
        };
        match context.table.notices(record).await {
            Ok(notices) => notice::add(&mut run, &notices, context.now),
            // They are no part of the run: the next one reads them again.
            Err(error) => tracing::warn!(%record, %error, "the notices for the discovery can't be read"),
        }
        let mut worked = seal(context, &state, run, &untold)?;
        worked.measures.count(Metric::HeldRuns, f64::from(u8::from(worked.summary.held > 0)));
        worked.measures.count(Metric::SourcesFailed, f64::from(u8::from(failed)));
        Ok(worked)
    }

    fn contested(
        &self,
        context: &Context<'_>,
        state: DiscoveryState,
        owners: &[(String, String)],
    ) -> Result<Worked<DiscoveryState>, WorkError> {
        let owners: BTreeMap<String, String> = owners.iter().cloned().collect();
        let run = contested(&state, &owners, context.now);
        seal(context, &state, run, &Untold::default())
    }

    async fn deliver(&self, context: &Context<'_>, item: &[u8]) -> Result<Delivered, AwsError> {
        let item: DiscoveryItem = serde_json::from_slice(item).map_err(|error| AwsError::Stored {
            what: format!("an item in the outbox of {}", context.head.record),
            problem: error.to_string(),
        })?;
        match context.table.write_discovery_item(&item, context.head.fence).await? {
            ItemWrite::Written => {}
            ItemWrite::Contested { owner } => {
                return Ok(Delivered::Contested { id: item.cluster.record.cluster_id, owner });
            }
            ItemWrite::TakenOver => return Ok(Delivered::TakenOver),
        }
        if item.cluster.removed.is_some() {
            // To be told and ended by its own refresh, enabled or not. Where there is none, there is nothing to end.
            let (record, interval) = (item.record(), item.cluster.refresh_interval);
            context.table.want(&record, interval, true, None, Timestamp::now()).await?;
            return Ok(Delivered::Done);
        }
        ask_for(context.table, &item.record(), item.cluster.refresh_interval).await?;
        Ok(Delivered::Done)
    }
}

impl Discover {
    /// Asks the source, and says what follows from its answer or its failure, and whether it failed.
    async fn look(
        &self,
        context: &Context<'_>,
        state: &DiscoveryState,
        intents: &Intents,
    ) -> Result<(Run, bool), WorkError> {
        let record = &context.head.record;
        // Whatever became of the object or the source: what is to be forgotten goes.
        let forget = || {
            let (settings, owners) = (&state.settings, &BTreeMap::new());
            let (name, rules, now) = (&*record.id, RemovalRules::default(), context.now);
            let given = Given { name, settings, rules, owners, intents, now };
            state.has_to_forget(intents).then(|| forgotten(state, &given))
        };
        let spec = match spec_of(context.table, record).await {
            Ok(Some(spec)) => spec,
            // Its object was deleted, and the task was sent before or by an operator: there is nobody to ask.
            Ok(None) => {
                return Ok((forget().unwrap_or_else(|| notice::unchanged(state.clone())), false));
            }
            Err(error) => return forget().map(|run| (run, false)).ok_or(error),
        };
        let source = replicante_sources::open(&spec.source)
            .map_err(|error| WorkError::Input(format!("the object of {record}: {error}")))?;
        let reason = match timeout_at(context.gather_until, source.fetch(&self.outside)).await {
            Ok(Ok(mut answer)) => {
                ignore(&mut answer, &spec.ignore);
                let settings = settings_of(&spec);
                set_aside_too_large(&mut answer, state, &record.id, &settings)?;
                let (rules, owners) = (rules_of(&spec), owners(context, state).await?);
                let (name, settings, owners) = (&*record.id, &settings, &owners);
                let given = Given { name, settings, rules, owners, intents, now: context.now };
                return Ok((answered(state, &answer, &given), false));
            }
            Ok(Err(error)) => {
                tracing::warn!(%record, %error, "the source gave no complete answer");
                error.reason()
            }
            Err(_) => "no complete answer before the function's deadline".into(),
        };
        Ok((forget().unwrap_or_else(|| failed(state, &reason, context.now)), true))
    }
}

/// The specification of a discovery, from its object. `None`: there is no object.
async fn spec_of(table: &Table, record: &RecordName) -> Result<Option<DiscoverySpec>, WorkError> {
    let refused = |problem: String| WorkError::Input(format!("the object of {record}: {problem}"));
    let Some(object) = table.object(ObjectKind::Discovery, &record.namespace, &record.id).await? else {
        return Ok(None);
    };
    match Object::from_json(&object.json).map_err(|error| refused(error.to_string()))? {
        Object::Discovery(Discovery { spec, .. }) => Ok(Some(spec)),
        Object::Cluster(_) => Err(refused("it is a Cluster".into())),
    }
}

/// Sets aside each record whose discovery item the table would not take, with the nodes that the source no longer
/// reports and that are not removed yet. Found out when the item is written, after the commit, it would hold up the
/// discovery for good. A record that fits without its labels counts without them.
fn set_aside_too_large(
    answer: &mut SourceAnswer,
    state: &DiscoveryState,
    discovery: &str,
    settings: &ClusterSettings,
) -> Result<(), AwsError> {
    let mut too_large = Vec::new();
    for (id, record) in &answer.clusters {
        let known = state.clusters.get(id);
        let most = known.map_or(0, |known| known.record.nodes.len() + known.nodes.absent.len());
        let labels = label_bytes(record) + known.map_or(0, |known| label_bytes(&known.record));
        if record.nodes.len() + most <= ALWAYS_FITS && labels <= LABELS_FIT {
            continue;
        }
        let fits = |all: &KnownCluster| {
            Ok::<_, AwsError>(encode_cluster(&item(discovery, all, None, settings))?.len() <= MAX_DISCOVERED)
        };
        let mut all = known.cloned().unwrap_or_default();
        all.record.nodes.extend(record.nodes.clone());
        all.record.labels.extend(record.labels.clone());
        if !fits(&all)? {
            all.record.labels.retain(|node, _| !record.nodes.contains_key(node));
            too_large.push((id.clone(), !record.labels.is_empty() && fits(&all)?));
        }
    }
    let most = MAX_DISCOVERED / 1024;
    for (id, fits_without_labels) in too_large {
        let reason = if fits_without_labels {
            answer.clusters.entry(id.clone()).and_modify(|record| record.labels.clear());
            format!("with its labels it is larger than the {most} KiB that are stored: they are left out")
        } else {
            answer.clusters.remove(&id);
            format!(
                "its record is larger than the {most} KiB that are stored: expected fewer nodes, or shorter ids and addresses"
            )
        };
        answer.rejected.push(RejectedRecord { record: id, reason });
    }
    answer.rejected.sort();
    Ok(())
}

fn label_bytes(record: &ClusterRecord) -> usize {
    record.labels.values().flatten().map(|(name, value)| name.len() + value.len()).sum()
}

/// Who owns, by now, the clusters that another discovery owned the last time. There may be many: those that time
/// does not suffice for are taken as they were, and each run begins with others.
async fn owners(
    context: &Context<'_>,
    state: &DiscoveryState,
) -> Result<BTreeMap<String, Option<String>>, AwsError> {
    let record = &context.head.record;
    let mut contested: Vec<String> =
        state.clusters.iter().filter(|(_, known)| known.owner.is_some()).map(|(id, _)| id.clone()).collect();
    let begin = usize::try_from(context.head.fence).unwrap_or(0).wrapping_mul(OWNERS_STRIDE);
    let length = contested.len().max(1);
    contested.rotate_left(begin % length);
    stream::iter(contested)
        .map(|id| async move {
            let item = context.table.discovery_item(&RecordName::cluster(&*record.namespace, &*id)).await?;
            let owner = item.filter(|item| item.removed.is_none()).map(|item| item.discovery);
            Ok((id, owner))
        })
        .buffer_unordered(READS_AT_ONCE)
        .take_until(sleep_until(context.gather_until))
        .try_collect()
        .await
}

/// Asks for a cluster: its head is made, or brought forward, as its discovery and its `Cluster` object say.
async fn ask_for(table: &Table, record: &RecordName, interval: Duration) -> Result<(), AwsError> {
    let mut object = cluster_object(table, record).await?;
    loop {
        let (interval, enabled) = schedule_of(record, object.as_ref(), interval);
        let (now, version) = (Timestamp::now(), object.as_ref().map(|object| object.version));
        if !table.want(record, interval, enabled, version, now).await? {
            let head = Head::new(record.clone(), interval, enabled, now);
            table.create_head(&Head { object: version.unwrap_or(0), ..head }).await?;
        }
        // Somebody may have applied another object since it was read: what stands last counts.
        let latest = cluster_object(table, record).await?;
        if latest == object {
            return Ok(());
        }
        object = latest;
    }
}

async fn cluster_object(table: &Table, record: &RecordName) -> Result<Option<StoredObject>, AwsError> {
    table.object(ObjectKind::Cluster, &record.namespace, &record.id).await
}

/// How often a cluster is refreshed, and whether: its discovery's word, unless a `Cluster` object says otherwise.
fn schedule_of(record: &RecordName, object: Option<&StoredObject>, interval: Duration) -> (Duration, bool) {
    match object.map(|object| Object::from_json(&object.json)) {
        Some(Ok(Object::Cluster(cluster))) => {
            (cluster.spec.interval.unwrap_or(interval), cluster.spec.enabled)
        }
        None | Some(Ok(Object::Discovery(_))) => (interval, true),
        // Of a newer release, maybe. It must not keep the other clusters of the discovery waiting.
        Some(Err(error)) => {
            tracing::warn!(%record, %error, "the Cluster object can't be read: the discovery's word counts");
            (interval, true)
        }
    }
}

/// What a run commits: first the changes of its object that are to be told, then its own.
fn seal(
    context: &Context<'_>,
    old: &DiscoveryState,
    mut run: Run,
    untold: &Untold,
) -> Result<Worked<DiscoveryState>, WorkError> {
    let mut sealer = context.sealer();
    sealer.time = sealer.time.max(old.last_event);
    let mut events = tell(&untold.audits, &sealer, old.last_event)?;
    if !events.is_empty() {
        run.state.last_event = sealer.time;
    }
    sealer.sequence += events.len() as u64;
    events.extend(sealer.seal(&run.changes, usize::MAX, usize::MAX)?);
    let namespace = &context.head.record.namespace;
    let item = |cluster| {
        let item = DiscoveryItem { namespace: namespace.clone(), cluster };
        serde_json::to_vec(&item)
            .map_err(|error| WorkError::Input(format!("an item can't be stored: {error}")))
    };
    Ok(Worked {
        summary: Summary::of_discovery(&run.state),
        state: run.state,
        events,
        items: run.items.into_iter().map(item).collect::<Result<_, _>>()?,
        store: run.store || untold.told.is_some(),
        more: run.more || untold.more,
        ended: false,
        told: untold.told,
        measures: Measures::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_a_pattern_is_as_if_it_was_not_reported() {
        let record = |id: &str, nodes: &[&str]| {
            let nodes = nodes.iter().map(|at| ((*at).to_string(), (*at).to_string())).collect();
            (id.to_string(), ClusterRecord { cluster_id: id.into(), nodes, ..ClusterRecord::default() })
        };
        let mut answer = SourceAnswer {
            clusters: [
                record("test-1", &["http://10.0.0.1"]),
                record("orders", &["http://10.0.0.1", "http://10.9.0.1"]),
                record("contest", &[]),
            ]
            .into(),
            rejected: vec![RejectedRecord { record: "test-2".into(), reason: "no nodes".into() }],
            ..SourceAnswer::default()
        };
        ignore(&mut answer, &IgnoreSpec::default());
        assert_eq!((answer.clusters.len(), answer.rejected.len()), (3, 1));
        let (clusters, nodes) = (vec!["test-?".into()], vec!["http://10.9.*".into()]);
        ignore(&mut answer, &IgnoreSpec { clusters, nodes });
        assert_eq!(answer.clusters.keys().collect::<Vec<_>>(), ["contest", "orders"]);
        assert_eq!(answer.clusters["orders"].nodes.keys().collect::<Vec<_>>(), ["http://10.0.0.1"]);
        assert!(answer.rejected.is_empty());
    }
    /// Labels that don't compress: hexadecimal of a hash each.
    fn labelled(nodes: usize, labels: usize) -> ClusterRecord {
        let name = |n: usize| format!("n{n:05}");
        let value = |n: usize, label: usize| {
            (0..4)
                .map(|part| {
                    format!("{:016x}", RecordName::cluster(name(n), format!("{label}/{part}")).hash())
                })
                .collect()
        };
        let of = |n: usize| (0..labels).map(|label| (format!("l{label:02}"), value(n, label))).collect();
        ClusterRecord {
            cluster_id: "orders".into(),
            nodes: (0..nodes).map(|n| (name(n), format!("http://{}", name(n)))).collect(),
            labels: (0..nodes).filter(|_| labels > 0).map(|n| (name(n), of(n))).collect(),
            ..ClusterRecord::default()
        }
    }

    fn set_aside(record: &ClusterRecord, known: &ClusterRecord) -> SourceAnswer {
        let clusters = [("orders".to_string(), record.clone())].into();
        let mut answer = SourceAnswer { clusters, ..SourceAnswer::default() };
        let known = KnownCluster { record: known.clone(), ..KnownCluster::default() };
        let state =
            DiscoveryState { clusters: [("orders".to_string(), known)].into(), ..DiscoveryState::default() };
        set_aside_too_large(&mut answer, &state, "fleet", &ClusterSettings::default()).unwrap();
        answer
    }

    #[test]
    fn a_record_that_fits_without_its_labels_alone_counts_without_them_and_that_is_told() {
        let (fits, large) = (labelled(1_000, 1), labelled(1_000, 20));
        let answer = set_aside(&fits, &fits);
        assert_eq!((&answer.clusters["orders"], answer.rejected.len()), (&fits, 0));
        let answer = set_aside(&large, &fits);
        assert_eq!(answer.clusters["orders"], labelled(1_000, 0));
        assert_eq!(answer.rejected[0].record, "orders");
        assert!(answer.rejected[0].reason.starts_with("with its labels it is larger than the 350 KiB"));
        // Few nodes may have large labels too.
        let few = labelled(ALWAYS_FITS / 2, 32);
        assert!(2 * label_bytes(&few) > LABELS_FIT && set_aside(&few, &few).rejected.is_empty());
    }
}
