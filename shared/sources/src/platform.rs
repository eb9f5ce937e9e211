//! The source `platform`: what Replicante Platform knows, by `GET <url>/discover`.
//!
//! The answer is that of `http`, without cursors. `node_class` and `node_group` of a node are labels of it: what a node
//! is, its agent says.

use replicante_model::record::SourceAnswer;
use replicante_objects::{Endpoint, Fields};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::answer::Collector;
use crate::endpoint::Caller;
use crate::error::{Failure, SourceError};
use crate::{Fetching, Outside, Settings, Source};

/// What the answer should look like, for errors.
const FORM: &str = r#"{"clusters": [{"cluster_id": "...", "nodes": [...]}]}"#;

/// A Replicante Platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Platform {
    /// Its URL, without `/discover`.
    #[serde(flatten)]
    pub endpoint: Endpoint,
}

impl Settings for Platform {
    const NAME: &'static str = "platform";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Platform { endpoint: Endpoint::read(fields)? })
    }
}

impl Platform {
    /// `discover` below the configured URL, whose query stays.
    fn url(&self) -> Url {
        let mut url = self.endpoint.url.clone();
        // A URL of http or https always has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("discover");
        }
        url
    }

    async fn ask(&self, outside: &Outside) -> Result<SourceAnswer, Failure> {
        let answer = Caller::new(&self.endpoint, outside).await?.get(self.url().as_str()).await?;
        let mut collector = Collector::new(self.endpoint.limits.clone());
        match collector.add_json(&answer)? {
            None => Ok(collector.finish()),
            Some(_) => Err(Failure::UnexpectedCursor),
        }
    }
}

impl Source for Platform {
    fn fetch<'a>(&'a self, outside: &'a Outside) -> Fetching<'a> {
        Box::pin(async move {
            let asked = self.ask(outside).await;
            asked.map_err(|failure| SourceError { tried: self.shown(), form: FORM, failure })
        })
    }

    fn shown(&self) -> String {
        let endpoint = Endpoint { url: self.url(), ..self.endpoint.clone() };
        format!("GET {}", endpoint.shown_url())
    }
}

#[cfg(test)]
#[path = "platform_tests.rs"]
mod tests;
