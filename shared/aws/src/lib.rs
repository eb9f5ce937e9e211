//! The AWS adapter: the table, the queues and the stream. Nothing outside this crate names the AWS SDK.
//!
//! It carries out what `replicante-protocol` decides, and decides nothing itself. Each call says in its error
//! what was tried and on what. [`Meter`] counts what the calls cost.

mod apply;
mod audit;
mod backlog;
mod body;
mod calls;
mod clients;
mod describe;
mod ends;
mod error;
mod expression;
mod guarded;
mod head_item;
mod heads;
mod intents;
mod items;
mod maintenance;
mod meter;
mod notices;
mod pauses;
mod queue;
mod restore;
mod setup;
mod shards;
mod stream;
mod table;
mod transport;

pub use apply::ObjectWrite;
pub use audit::Untold;
pub use backlog::Depth;
pub use body::LoadError;
pub use clients::{Account, Clients, Endpoints, Said};
pub use describe::{QueueFacts, Redrive, StreamFacts, TableFacts};
pub use ends::{Buried, Tombstone};
pub use error::{AwsError, FenceError};
pub use guarded::ClaimError;
pub use head_item::head_size;
pub use heads::Heads;
pub use items::{DiscoveryItem, ItemWrite, MAX_DISCOVERED, Object, ObjectKind, encode_cluster};
pub use meter::{Cost, Meter};
pub use queue::{Message, Queue, Sent};
pub use restore::{Restart, RestoreMark};
pub use shards::{Page, Record, ShardReader, Shards, Start};
pub use stream::Stream;
pub use table::Table;
pub use transport::{Broken, Transport};
