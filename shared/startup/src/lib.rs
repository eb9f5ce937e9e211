//! The start of a function: logs, settings and clients, once a process.
//!
//! What keeps a function from starting is one line in its log, and the same words go to Lambda's Runtime API, which shows
//! them to whoever invoked it. Neither is Rust's debug output.

use std::process::ExitCode;

use lambda_runtime::Error;
use lambda_runtime_api_client::PooledClient;
use lambda_runtime_api_client::body::Body;
use replicante_aws::Clients;
pub use replicante_logs::line;
use replicante_settings::Settings;

/// Where the Runtime API is. Lambda sets it.
const API: &str = "AWS_LAMBDA_RUNTIME_API";

/// Starts a function and runs it for as long as its process lives: `serve` is handed its clients and settings, and returns
/// when the Runtime API is gone.
pub async fn start(serve: impl AsyncFnOnce(Clients, Settings) -> Result<(), Error>) -> ExitCode {
    replicante_logs::init();
    std::panic::set_hook(Box::new(|panic| tracing::error!("{}", panicked(panic))));
    let begun = match begin() {
        Ok((clients, settings)) => serve(clients, settings).await,
        Err((kind, error)) => {
            report(kind, &error.to_string()).await;
            Err(error)
        }
    };
    match begun {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the function ended: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the settings and makes the clients. What is wrong comes with the type of error that Lambda is told.
fn begin() -> Result<(Clients, Settings), (&'static str, Error)> {
    let settings = Settings::from_env().map_err(|error| ("Replicante.Settings", error.into()))?;
    let clients = Clients::of_function(|name| std::env::var(name).ok())
        .map_err(|error| ("Replicante.Environment", error.into()))?;
    Ok((clients, settings))
}

/// Tells the Runtime API why the function can't start. Where that fails there is still the log.
async fn report(kind: &str, message: &str) {
    if std::env::var_os(API).is_none() {
        return;
    }
    let body = serde_json::json!({ "errorType": kind, "errorMessage": message, "stackTrace": [] });
    let request = http::Request::post("/2018-06-01/runtime/init/error")
        .header("content-type", "application/json")
        .header("lambda-runtime-function-error-type", kind)
        .body(Body::from(body.to_string()));
    let told = match request {
        Ok(request) => PooledClient::builder().build().call(request).await.map(|_| ()),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = told {
        tracing::error!("the Runtime API could not be told: {error}");
    }
}

/// A panic in one line: a panic's message may have more.
fn panicked(panic: &std::panic::PanicHookInfo<'_>) -> String {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("no message");
    format!("panic at {place}: {}", message.escape_debug())
}
