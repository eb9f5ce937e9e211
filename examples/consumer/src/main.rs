//! Reads Replicante's stream exactly once: a worked example, explained in `docs/consumers.md`.
//!
//! It keeps the view of every cluster and a table of what it applied in a SQLite file, together with its place in the
//! stream. It may be killed at any moment: started again, it goes on from the file.
//!
//! There is no second way of recovery. Whatever goes wrong ends the process, and what was not committed was not done.

mod shards;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use replicante_model::Timestamp;
use replicante_model::time::{human, parse_human};

use crate::shards::Shards;
use crate::store::Store;

/// Whatever ends the process.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Between two rounds: a shard may be read five times a second, by all its readers together.
const PAUSE: Duration = Duration::from_millis(250);

/// Follows the stream of Replicante, and keeps what it tells of each cluster in a SQLite file.
#[derive(Debug, Parser)]
struct Args {
    /// The name of the stream
    #[arg(long, default_value = "replicante")]
    stream: String,
    /// The file that position and effect are kept in
    #[arg(long, default_value = "consumer.sqlite", value_name = "FILE")]
    database: PathBuf,
    /// Where to start when nothing is stored yet, like 2026-01-02T00:00:00Z [default: at the oldest record]
    #[arg(long, value_parser = Timestamp::parse, value_name = "TIME")]
    since: Option<Timestamp>,
    /// How long a number may be missing until that is reported
    #[arg(long, default_value = "10m", value_parser = parse_human, value_name = "TIME")]
    patience: Duration,
    /// The most records of one transaction
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    page: i32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let mut store = Store::open(&args.database)?;
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).load().await;
    let client = aws_sdk_kinesis::Client::new(&config);
    let mut shards = Shards::open(client, &args.stream, args.since, store.checkpoints()?).await?;
    loop {
        for shard in shards.ready() {
            let page = shards.next_page(&shard, args.page).await?;
            store.take(&shard, &page, Timestamp::now())?;
        }
        for (record, number) in store.overdue(Timestamp::now(), args.patience) {
            let patience = human(args.patience);
            eprintln!("{record}: number {number} did not come for {patience}; the next snapshot goes on");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
