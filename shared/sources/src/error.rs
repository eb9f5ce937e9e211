//! Why a source gave no list.

use replicante_model::observation::MAX_REASON;
use replicante_outbound::FetchError;

/// A fetch that failed: what was tried, on what, what came of it, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{tried}: {failure}; {}", .failure.way_out(form))]
pub struct SourceError {
    /// What was tried and on what: `POST http://inventory/clusters, page 2`. Without the URL's query, which may hold
    /// a secret.
    pub tried: String,
    /// What an answer of this source looks like.
    pub form: &'static str,
    /// What came of it.
    pub failure: Failure,
}

impl SourceError {
    /// Short, stable text for a stored state and for events: the same failure gives the same text, at most
    /// [`MAX_REASON`] characters, without times and addresses.
    pub fn reason(&self) -> String {
        let reason = match &self.failure {
            Failure::Fetch(error) => error.reason(),
            Failure::Malformed { format, .. } => format!("malformed {format}"),
            failure => failure.to_string(),
        };
        reason.chars().take(MAX_REASON).collect()
    }
}

/// What keeps an answer from being a complete list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No answer came.
    #[error("{0}")]
    Fetch(FetchError),
    /// The value of a header could not be had.
    #[error("header {header}: {problem}")]
    Header {
        /// The header's name.
        header: String,
        /// Which reference failed, and what to do.
        problem: String,
    },
    /// Another status than 200.
    #[error("status {0} instead of 200")]
    Status(u16),
    /// Another content type than JSON.
    #[error("content type {} instead of application/json", .0.as_deref().unwrap_or("missing"))]
    ContentType(Option<String>),
    /// What a source that is not asked over HTTP says: no answer came.
    #[error("{problem}")]
    Source {
        /// Short, stable text, without times and addresses.
        problem: String,
        /// What the operator can do about it.
        way_out: &'static str,
    },
    /// The answer can't be parsed.
    #[error("malformed {format}: {problem}")]
    Malformed {
        /// `JSON` or `YAML`.
        format: &'static str,
        /// The parser's words, with line and column.
        problem: String,
    },
    /// The answer parses, but is no list of clusters.
    #[error("{0}")]
    Shape(String),
    /// A cursor that was given before: following it would never end.
    #[error("the cursor of an earlier page was given again")]
    RepeatedCursor,
    /// There are further pages where none can be asked for.
    #[error("the answer has a cursor, but only POST asks for further pages")]
    UnexpectedCursor,
    /// There is more than the source's limit.
    #[error("more than {most} {what}, the limit `{limit}`")]
    Limit {
        /// The limit's name in the object.
        limit: &'static str,
        /// What it counts.
        what: &'static str,
        /// The most that is allowed.
        most: u64,
    },
}

impl Failure {
    /// What the operator can do about it.
    fn way_out(&self, form: &str) -> String {
        match self {
            Failure::Fetch(FetchError::TooLarge(_)) => raise("bytes"),
            Failure::Fetch(FetchError::Timeout(_)) => {
                "check that the source answers, or raise the discovery's `timeout`".into()
            }
            Failure::Fetch(FetchError::AddressRefused(_)) => {
                "allow its network and port in the deployment's address policy, if it should be reachable"
                    .into()
            }
            Failure::Fetch(FetchError::Tls(_) | FetchError::TlsSettings { .. }) => {
                "check the discovery's `tls` settings against the source".into()
            }
            Failure::Fetch(_) => "check that the source runs and that the discovery's `url` is right".into(),
            Failure::Header { .. } => "check the discovery's `headers`".into(),
            Failure::Status(300..=399) => {
                "redirects are not followed: give the final address as `url`".into()
            }
            Failure::Status(401 | 403 | 407) => {
                "check the discovery's `headers` and client certificate".into()
            }
            Failure::Status(404) => "check the discovery's `url`".into(),
            Failure::Status(405) => "check the discovery's `method`".into(),
            Failure::Status(_) => "look into the source's log".into(),
            Failure::Source { way_out, .. } => (*way_out).into(),
            Failure::ContentType(_) | Failure::Malformed { .. } | Failure::Shape(_) => {
                format!("expected {form} as the documentation of sources shows it")
            }
            Failure::RepeatedCursor => "the source must end its pages with a null cursor".into(),
            Failure::UnexpectedCursor => "answer with all clusters at once, or use method POST".into(),
            Failure::Limit { limit, .. } => raise(limit),
        }
    }
}

fn raise(limit: &str) -> String {
    format!("check what the source answers, or raise `limits.{limit}`")
}
