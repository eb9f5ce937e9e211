//! The measurements of `bench schedule`: one pass of the scheduler over very many clusters.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use replicante_aws::Table;
use replicante_local::{Local, LocalConfig};
use replicante_model::{Kind, RecordName, Timestamp};
use replicante_protocol::head::Head;

use crate::bench::apart::{self, PassDone};
use crate::bench::figures::{Figure, Wanted, figure};
use crate::error::CliError;
use crate::out;
use crate::records::heads;
use crate::view::text::thousands;

/// Heads that are created at once.
const AT_ONCE: usize = 32;
/// How often each cluster is due, and how long nobody asked.
const INTERVAL: Duration = Duration::from_secs(60);
const OUTAGE: Duration = Duration::from_secs(3600);

/// A pass with everything due after an outage of an hour, and one with nothing due.
///
/// # Errors
/// When something can't start, or a pass fails.
pub async fn measure(clusters: usize) -> Result<Vec<Figure>, CliError> {
    let config = LocalConfig { tick: INTERVAL, overrides: apart::times(), ..LocalConfig::default() };
    let local = Local::start(&config).await?;
    let table = Table::new(&local.clients, &local.settings.table);
    out::note(format_args!("creating {clusters} clusters ..."));
    let due = Timestamp::now().minus(OUTAGE);
    stream::iter(0..clusters)
        .map(|n| {
            let table = &table;
            async move {
                let record = RecordName::cluster("default", format!("cluster-{n:06}"));
                let mut head = Head::new(record, INTERVAL, true, due);
                // As large as heads are once they have been refreshed.
                head.summary =
                    Some("{\"health\":\"healthy\",\"kinds\":[\"Kafka\"],\"nodes\":5,\"shards\":40}".into());
                table.create_head(&head).await
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    let mut figures = Vec::new();
    for (name, all) in [("everything due", true), ("nothing due", false)] {
        out::note(format_args!("a pass with {name} ..."));
        let pass: PassDone = apart::start(&local, &["scheduler"]).await?;
        let wanted = if all { clusters as f64 } else { 0.0 };
        let name = format!("{} clusters, {name}", thousands(clusters as u64));
        figures.push(figure(format!("{name}: tasks"), pass.queued as f64, "", Some(Wanted::Exactly(wanted))));
        figures.push(figure(format!("{name}: time"), pass.seconds, "seconds", None));
        figures.push(figure(format!("{name}: memory"), pass.peak, "MiB", None));
        figures.push(figure(format!("{name}: read"), pass.read_units, "read units", None));
        figures.push(figure(format!("{name}: written"), pass.write_units, "write units", None));
        if all {
            let what = format!("{name}: peak second of the due times that follow, over their mean");
            figures.push(figure(what, spread(&table).await?, "", Some(Wanted::AtMost(1.5))));
        }
    }
    Ok(figures)
}

/// The second in which most records are due, over the mean of all.
async fn spread(table: &Table) -> Result<f64, CliError> {
    let mut seconds: BTreeMap<i64, u64> = BTreeMap::new();
    for head in heads(table, Kind::Cluster).await? {
        // Where in its interval each is due: the same at every turn.
        *seconds.entry(head.due.seconds() % INTERVAL.as_secs().cast_signed()).or_default() += 1;
    }
    let total: u64 = seconds.values().sum();
    let peak = seconds.values().max().copied().unwrap_or(0);
    Ok(peak as f64 / (total as f64 / INTERVAL.as_secs_f64()))
}
