//! The embedded DynamoDB as a process of its own, in memory, on a free loopback port.
//!
//! For LocalStack without Docker, which has none of its own there (`localstack/run.sh`). The port is the first line that
//! it prints. It ends when it is killed.

use std::net::Ipv4Addr;

use replicante_tests::Failure;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let database = dynoxide::Database::memory()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    dynoxide::server::serve_on(listener, database).await;
    Ok(())
}
