//! All records of a kind, from their heads.

use futures::stream::{self, StreamExt, TryStreamExt};
use replicante_aws::{AwsError, Table};
use replicante_model::Kind;
use replicante_model::name::SPREAD_SHARDS;
use replicante_protocol::head::Head;

/// Spread shards that are read at once.
const AT_ONCE: usize = 8;

/// All heads of a kind, by name.
///
/// # Errors
/// When the table can't be read.
pub async fn heads(table: &Table, kind: Kind) -> Result<Vec<Head>, AwsError> {
    let shards: Vec<Vec<Head>> = stream::iter(0..SPREAD_SHARDS)
        .map(|shard| table.heads(kind, shard))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut heads: Vec<Head> = shards.into_iter().flatten().collect();
    heads.sort_by(|a, b| a.record.cmp(&b.record));
    Ok(heads)
}
