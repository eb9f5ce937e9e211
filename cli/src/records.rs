//! All records of a kind, from their heads.

use futures::TryFutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use replicante_aws::{AwsError, Heads, Table};
use replicante_model::Kind;
use replicante_model::name::SPREAD_SHARDS;
use replicante_protocol::head::Head;

use crate::view::style::Tone;
use crate::view::text::clean;
use crate::{out, progress};

/// Spread shards that are read at once.
const AT_ONCE: usize = 8;

/// All heads of a kind, by name. One that can't be read is named in a note, and left out.
///
/// # Errors
/// When the table can't be read.
pub async fn heads(table: &Table, kind: Kind) -> Result<Vec<Head>, AwsError> {
    let (heads, damaged) = readable(table, kind).await?;
    damaged.iter().for_each(|damaged| out::note(note(damaged)));
    Ok(heads)
}

/// All heads of a kind, by name, and what is wrong with those that can't be read.
///
/// # Errors
/// When the table can't be read.
pub async fn readable(table: &Table, kind: Kind) -> Result<(Vec<Head>, Vec<AwsError>), AwsError> {
    progress::all("parts of the table", SPREAD_SHARDS);
    let shards: Vec<Heads> = stream::iter(0..SPREAD_SHARDS)
        .map(|shard| table.heads(kind, shard).inspect_ok(|_| progress::step(1)))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let (mut heads, mut damaged) = (Vec::new(), Vec::new());
    for shard in shards {
        heads.extend(shard.heads);
        damaged.extend(shard.unreadable);
    }
    heads.sort_by(|a: &Head, b: &Head| a.record.cmp(&b.record));
    Ok((heads, damaged))
}

/// What is said of a record that can't be read.
pub fn note(damaged: &AwsError) -> String {
    Tone::Bad.paint(&clean(&damaged.to_string()))
}
