//! Errors: what was tried, on what, and what AWS said.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::error::SdkError;
use replicante_protocol::slot::SlotError;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// AWS refused it, or can't be reached. Whether a write took effect is not known.
    #[error("{action} failed: {reason}")]
    Call {
        /// What was tried, on what.
        action: String,
        /// What AWS said, or why it can't be reached.
        reason: String,
    },
    /// What is stored is not what this release writes or reads.
    #[error("{what} is not as expected: {problem}")]
    Stored {
        /// What was read.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A body that can't be encoded or decoded.
    #[error("the body of {record}: {source}")]
    Slot {
        /// The record.
        record: String,
        /// Why.
        source: SlotError,
    },
}

/// A guarded write that failed.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// The fence is no longer ours: someone else took over.
    #[error("the fence is no longer ours")]
    TakenOver,
    /// The call failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl AwsError {
    /// An error of the SDK, with what was tried.
    pub(crate) fn call<E, R>(action: impl Into<String>, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let reason = match error {
            SdkError::ServiceError(service) => {
                let meta = service.err().meta();
                match (meta.code(), meta.message()) {
                    (Some(code), Some(message)) => format!("{code}: {message}"),
                    (Some(code), None) => code.to_owned(),
                    // No answer of the service's own: something in between answered.
                    (None, _) => chain(service.err()),
                }
            }
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(error) => chain(error),
                None => "the request could not be sent".to_owned(),
            },
            other => chain(other),
        };
        AwsError::Call { action: action.into(), reason }
    }

    /// Something stored that is not as expected.
    pub(crate) fn stored(what: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        AwsError::Stored { what: what.into(), problem: problem.to_string() }
    }
}

/// An error and what caused it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
