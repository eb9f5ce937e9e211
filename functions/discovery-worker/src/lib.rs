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
    encode_cluster,
};
use replicante_model::discovery::{ClusterSettings, DiscoveryState, Run, answered, contested, failed, item};
use replicante_model::record::{RejectedRecord, SourceAnswer};
use replicante_model::summary::Summary;
use replicante_model::{RecordName, Timestamp};
use replicante_objects::{Discovery, DiscoverySpec, Object};
use replicante_outbound::{Outbound, Secrets};
use replicante_protocol::head::Head;
use replicante_s3::Objects;
use replicante_settings::Settings;
use replicante_sources::Outside;
use replicante_ssm::Parameters;
use replicante_worker::{Context, Delivered, Function, Job, WorkError, Worked};
use tokio::time::{sleep_until, timeout_at};

/// Items of contested clusters that are read at once.
const READS_AT_ONCE: usize = 16;
/// How far the first of them moves on with each run.
const OWNERS_STRIDE: usize = 1_000;

/// A record of so few nodes fits its item whatever it holds: ids of 256 bytes, escaped, and addresses of 1,024.
const ALWAYS_FITS: usize = 64;

/// The function.
pub type DiscoveryWorker = Function<Discover>;

/// The work on a discovery's record.
pub struct Discover {
    outside: Outside,
}

impl Job for Discover {
    type State = DiscoveryState;

    fn new(clients: &Clients, settings: &Settings) -> Self {
        let secrets = Secrets::new(Parameters::of(clients.account()), settings.secrets_age);
        let outbound = Arc::new(Outbound::with_secrets(settings.addresses.clone(), secrets));
        Discover { outside: Outside { outbound, objects: Objects::of(clients.account()) } }
    }

    async fn work(
        &self,
        context: &Context<'_>,
        state: DiscoveryState,
    ) -> Result<Worked<DiscoveryState>, WorkError> {
        let record = &context.head.record;
        let spec = spec_of(context.table, record).await?;
        let source = replicante_sources::open(&spec.source)
            .map_err(|error| WorkError::Input(format!("the object of {record}: {error}")))?;
        let run = match timeout_at(context.gather_until, source.fetch(&self.outside)).await {
            Ok(Ok(mut answer)) => {
                let settings = ClusterSettings {
                    agents: spec.agents,
                    refresh_interval: spec.refresh.interval,
                    confirmations: spec.removal.confirmations,
                };
                set_aside_too_large(&mut answer, &record.id, &settings)?;
                let owners = owners(context, &state).await?;
                answered(&state, &record.id, &answer, &settings, &owners, context.now)
            }
            Ok(Err(error)) => {
                tracing::warn!(%record, %error, "the source gave no complete answer");
                failed(&state, &error.reason(), context.now)
            }
            Err(_) => failed(&state, "no complete answer before the function's deadline", context.now),
        };
        seal(context, &state, run)
    }

    fn contested(
        &self,
        context: &Context<'_>,
        state: DiscoveryState,
        owners: &[(String, String)],
    ) -> Result<Worked<DiscoveryState>, WorkError> {
        let owners: BTreeMap<String, String> = owners.iter().cloned().collect();
        let run = contested(&state, &owners, context.now);
        seal(context, &state, run)
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
        ask_for(context.table, &item.record(), item.cluster.refresh_interval).await?;
        Ok(Delivered::Done)
    }
}

/// The specification of a discovery, from its object.
async fn spec_of(table: &Table, record: &RecordName) -> Result<DiscoverySpec, WorkError> {
    let refused = |problem: String| WorkError::Input(format!("the object of {record}: {problem}"));
    let object = table.object(ObjectKind::Discovery, &record.namespace, &record.id).await?;
    let object = object.ok_or_else(|| refused("there is none, apply it again".into()))?;
    match Object::from_json(&object.json).map_err(|error| refused(error.to_string()))? {
        Object::Discovery(Discovery { spec, .. }) => Ok(spec),
        Object::Cluster(_) => Err(refused("it is a Cluster".into())),
    }
}

/// Sets aside each record whose discovery item the table would not take. Found out when the item is written, after
/// the commit, it would hold up the discovery for good.
fn set_aside_too_large(
    answer: &mut SourceAnswer,
    discovery: &str,
    settings: &ClusterSettings,
) -> Result<(), AwsError> {
    let mut too_large = Vec::new();
    for (id, record) in answer.clusters.iter().filter(|(_, record)| record.nodes.len() > ALWAYS_FITS) {
        if encode_cluster(&item(discovery, record, None, settings))?.len() > MAX_DISCOVERED {
            too_large.push(id.clone());
        }
    }
    for id in too_large {
        answer.clusters.remove(&id);
        let most = MAX_DISCOVERED / 1024;
        let reason = format!(
            "its record is larger than the {most} KiB that are stored: expected fewer nodes, or shorter ids and addresses"
        );
        answer.rejected.push(RejectedRecord { record: id, reason });
    }
    answer.rejected.sort();
    Ok(())
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
            Ok((id, item.map(|item| item.discovery)))
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
        let now = Timestamp::now();
        if !table.want(record, interval, enabled, now).await? {
            table.create_head(&Head::new(record.clone(), interval, enabled, now)).await?;
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

fn seal(context: &Context<'_>, old: &DiscoveryState, run: Run) -> Result<Worked<DiscoveryState>, WorkError> {
    let mut sealer = context.sealer();
    sealer.time = sealer.time.max(old.last_event);
    let events = sealer.seal(&run.changes, usize::MAX, usize::MAX)?;
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
        store: run.store,
        more: run.more,
    })
}
