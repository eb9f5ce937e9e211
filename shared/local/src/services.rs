//! The embedded services, each on its own loopback port.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use replicante_aws::Endpoints;
use rustack_kinesis_core::config::KinesisConfig;
use rustack_kinesis_core::provider::RustackKinesis;
use rustack_kinesis_http::service::{KinesisHttpConfig, KinesisHttpService};
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::error::LocalError;
use crate::stream::{Gate, LocalStream};

/// After a connection could not be accepted: some other must end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// DynamoDB, SQS and Kinesis in this process. They end when this is dropped.
pub struct Services {
    /// Where they listen.
    pub endpoints: Endpoints,
    /// The stream's provider, for putting archived records back.
    pub(crate) kinesis: Arc<RustackKinesis>,
    _tasks: JoinSet<()>,
}

impl Services {
    /// Starts them: the table in a SQLite file of that path or in memory, the queues in memory, the stream in
    /// memory behind an archive, where there is one. The stream drops records that are older than `retention`,
    /// which it counts in whole hours from their arrival, begun hours included.
    ///
    /// # Errors
    /// When the database can't be opened, or there is no port to listen on.
    pub(crate) async fn start(
        database: Option<&Path>,
        gate: Gate,
        retention: Duration,
    ) -> Result<Self, LocalError> {
        let mut tasks = JoinSet::new();

        let path = database.map_or_else(|| "memory".to_owned(), |path| path.display().to_string());
        let failed = |problem: dynoxide::DynoxideError| LocalError::Database {
            path: path.clone(),
            problem: problem.to_string(),
        };
        let database = match database {
            None => dynoxide::Database::memory(),
            Some(file) => dynoxide::Database::new(&file.to_string_lossy()),
        };
        let database = database.map_err(failed)?;
        // This sets SQLite's `synchronous` to NORMAL: with its write-ahead log a killed process loses nothing,
        // and a commit does not wait for the disk.
        database.disable_bulk_loading().map_err(failed)?;
        let (listener, dynamodb) = listen().await?;
        tasks.spawn(dynoxide::server::serve_on(listener, database));

        let (listener, sqs) = listen().await?;
        // Host and port form the URLs of the queues.
        let config = SqsConfig { host: sqs.ip().to_string(), port: sqs.port(), ..SqsConfig::default() };
        let handler = Arc::new(RustackSqsHandler::new(Arc::new(RustackSqs::new(config))));
        let service = SqsHttpService::new(handler, SqsHttpConfig::default());
        tasks.spawn(serve(listener, service));

        let (listener, kinesis) = listen().await?;
        let config = KinesisConfig {
            host: kinesis.ip().to_string(),
            port: kinesis.port(),
            default_retention_hours: u32::try_from(retention.as_secs().div_ceil(3600)).unwrap_or(u32::MAX),
            ..KinesisConfig::default()
        };
        let provider = Arc::new(RustackKinesis::new(config));
        let handler = Arc::new(LocalStream::new(Arc::clone(&provider), gate));
        tasks.spawn(serve(listener, KinesisHttpService::new(handler, KinesisHttpConfig::default())));

        let url = |address: SocketAddr| format!("http://{address}");
        Ok(Services {
            endpoints: Endpoints { dynamodb: url(dynamodb), sqs: url(sqs), kinesis: url(kinesis) },
            kinesis: provider,
            _tasks: tasks,
        })
    }
}

async fn listen() -> Result<(TcpListener, SocketAddr), LocalError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(LocalError::Listen)?;
    let address = listener.local_addr().map_err(LocalError::Listen)?;
    Ok((listener, address))
}

/// Serves connections until the task is dropped.
async fn serve<S, B>(listener: TcpListener, service: S)
where
    S: Service<http::Request<Incoming>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: std::error::Error + Send + Sync,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: std::error::Error + Send + Sync,
{
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, mostly. The connection stays in line: without a pause this would only spin.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        connections.spawn(async move {
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}
