//! Errors: what was tried, on what, and what AWS said.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::error::SdkError;
use replicante_protocol::slot::SlotError;

/// What services say when the same call may work some time later: they are too busy, or broken. The SDK has tried it
/// again by then.
const PASSING: [&str; 13] = [
    "InternalFailure",
    "InternalFailureException",
    "InternalServerError",
    "KMSThrottlingException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
];

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
        /// Whether the same may work some time later: it was too busy or broken just now, or can't be reached.
        passing: bool,
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
        let passing = match error {
            // No answer of the service's own: something in between answered.
            SdkError::ServiceError(service) => {
                service.err().meta().code().is_none_or(|code| PASSING.contains(&code))
            }
            // A connection that ends under a request is neither: its kind is not told. Credentials that there are not, too.
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(error) => !error.is_user() && !chain(error).contains("credential"),
                None => false,
            },
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
            _ => false,
        };
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
        AwsError::Call { action: action.into(), reason, passing }
    }

    /// Whether the same may work some time later: the service was too busy or broken, or can't be reached.
    pub fn is_passing(&self) -> bool {
        matches!(self, AwsError::Call { passing: true, .. })
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

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_kinesis::operation::get_records::GetRecordsError;
    use aws_smithy_runtime_api::client::result::ConnectorError;

    #[test]
    fn what_passes_by_itself_is_told_from_what_somebody_must_mend() {
        let is_passing =
            |error: SdkError<GetRecordsError, ()>| AwsError::call("reading", &error).is_passing();
        let said = |code: Option<&str>| {
            let mut meta = ErrorMetadata::builder().message("m");
            if let Some(code) = code {
                meta = meta.code(code);
            }
            SdkError::service_error(GetRecordsError::generic(meta.build()), ())
        };
        let passing = ["ProvisionedThroughputExceededException", "KMSThrottlingException", "InternalFailure"];
        assert!(passing.into_iter().all(|code| is_passing(said(Some(code)))));
        assert!(is_passing(said(None)), "a gateway answered");
        let lasting = ["AccessDeniedException", "ResourceNotFoundException", "ExpiredTokenException"];
        assert!(lasting.into_iter().all(|code| !is_passing(said(Some(code)))));
        assert!(is_passing(SdkError::timeout_error("late")));
        let broken = |error| SdkError::dispatch_failure(error);
        assert!(is_passing(broken(ConnectorError::io("refused".into()))));
        assert!(is_passing(broken(ConnectorError::timeout("late".into()))));
        let other = |text: &str| broken(ConnectorError::other(text.into(), None));
        assert!(is_passing(other("connection closed before message completed")));
        assert!(!is_passing(other("the credential provider was not enabled")));
        assert!(!is_passing(broken(ConnectorError::user("no credentials".into()))));
        assert!(!is_passing(SdkError::construction_failure("no credentials")));
        assert!(!AwsError::stored("a", "b").is_passing());
    }
}
