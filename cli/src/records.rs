//! All records of a kind, from their heads.

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
    progress::say("reading the table");
    let shards: Vec<Heads> = stream::iter(0..SPREAD_SHARDS)
        .map(|shard| table.heads(kind, shard))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    for damaged in shards.iter().flat_map(|shard| &shard.unreadable) {
        out::note(Tone::Bad.paint(&clean(&damaged.to_string())));
    }
    let mut heads: Vec<Head> = shards.into_iter().flat_map(|shard| shard.heads).collect();
    heads.sort_by(|a, b| a.record.cmp(&b.record));
    Ok(heads)
}
