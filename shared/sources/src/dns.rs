//! The source `dns`: the SRV records of a name for each cluster, where each record is a node.
//!
//! A record says host and port of an agent, and nothing else that is kept: a node is known by its address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use replicante_model::labels::Labels;
use replicante_model::name::{MAX_ID_ENCODED, check_id};
use replicante_model::record::SourceAnswer;
use replicante_model::time::as_millis;
use replicante_objects::{Fields, Limits};
use replicante_outbound::{DNS_PORT, FetchError, LookupError, Srv, SrvLookup, is_dns_name};
use serde::{Deserialize, Serialize};

use crate::answer::Collector;
use crate::error::{Failure, SourceError};
use crate::lenient::Text;
use crate::node::RawNodes;
use crate::record::RawRecord;
use crate::target::Targets;
use crate::{Fetching, Outside, Settings, Source};

/// What the answer should look like, for errors.
const FORM: &str = "SRV records";
/// What a cluster is given with, for errors.
const NAME_OF_RECORDS: &str = "the DNS name of its SRV records, like _agent._tcp.orders.example.com";
/// The most clusters: each is a lookup, one after the other, and a run has to end.
const MAX_CLUSTERS: usize = 500;
/// The most names that are shown of what is asked.
const SHOWN: usize = 3;
/// For one lookup, unless said otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Names of DNS, each with the SRV records of a cluster's agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dns {
    /// The id of each cluster, and the name to look up.
    pub clusters: BTreeMap<String, String>,
    /// The name server to ask; the system's when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<SocketAddr>,
    /// For one lookup.
    #[serde(with = "as_millis")]
    pub timeout: Duration,
    #[serde(flatten)]
    pub targets: Targets,
    /// What the answers may hold.
    #[serde(default)]
    pub limits: Limits,
}

impl Settings for Dns {
    const NAME: &'static str = "dns";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let expected = format!("1 to {MAX_CLUSTERS} clusters, each with its id and {NAME_OF_RECORDS}");
        let server = read_server(fields);
        let timeout = fields.timeout("timeout").unwrap_or(TIMEOUT);
        let targets = Targets::read(fields);
        let limits = fields.nested("limits", Limits::read).unwrap_or_default();
        let Some(entry) = fields.take("clusters") else {
            fields.missing("clusters", expected);
            return None;
        };
        let clusters = fields.nested("clusters", read_clusters)??;
        if clusters.is_empty() {
            fields.refuse_as(entry, "empty", expected);
            return None;
        }
        Some(Dns { clusters, server, timeout, targets, limits })
    }
}

fn read_clusters(fields: &mut Fields<'_>) -> Option<BTreeMap<String, String>> {
    let entries = fields.all();
    if let Some(entry) = entries.get(MAX_CLUSTERS) {
        fields.refuse_as(entry, "one cluster too many", format!("at most {MAX_CLUSTERS}"));
        return None;
    }
    let mut clusters = BTreeMap::new();
    for entry in entries {
        let id = entry.key();
        if check_id(id).is_err() {
            let expected =
                format!("text that is not blank, at most {MAX_ID_ENCODED} bytes once percent-encoded");
            fields.refuse_as(entry, "no id of a cluster", expected);
        }
        match fields.text_of(entry, NAME_OF_RECORDS) {
            Some(name) if is_dns_name(name) => {
                clusters.insert(id.into(), name.into());
            }
            Some(_) => fields.refuse(entry, NAME_OF_RECORDS),
            None => (),
        }
    }
    // Those that are not among them were reported: none left is not none given.
    (clusters.len() == entries.len()).then_some(clusters)
}

fn read_server(fields: &mut Fields<'_>) -> Option<SocketAddr> {
    const EXPECTED: &str =
        "the IP address of a name server, with or without a port: 10.0.0.2, 10.0.0.2:53 or [fd00::2]:53";
    let (text, entry) = fields.text("server", EXPECTED)?;
    let without_port = || text.parse::<IpAddr>().map(|address| SocketAddr::from((address, DNS_PORT)));
    let server =
        text.parse().or_else(|_| without_port()).ok().filter(|server: &SocketAddr| server.port() != 0);
    if server.is_none() {
        fields.refuse(entry, EXPECTED);
    }
    server
}

impl Dns {
    async fn ask(&self, outside: &Outside) -> Result<SourceAnswer, SourceError> {
        let mut collector = Collector::new(self.limits.clone());
        for (id, name) in &self.clusters {
            let added = self.ask_one(id, name, outside, &mut collector).await;
            added.map_err(|failure| SourceError { tried: self.asked(name), form: FORM, failure })?;
        }
        Ok(collector.finish())
    }

    async fn ask_one(
        &self,
        id: &str,
        name: &str,
        outside: &Outside,
        collector: &mut Collector,
    ) -> Result<(), Failure> {
        let lookup = SrvLookup { name, server: self.server, timeout: self.timeout };
        let found = outside.outbound.srv(&lookup).await.map_err(|error| self.no_records(id, &error))?;
        collector.add(self.record(id, &found))
    }

    /// The record of a cluster. No target at all is a cluster without nodes.
    fn record(&self, id: &str, found: &[Srv]) -> RawRecord {
        let mut nodes = RawNodes::none();
        for Srv { target, port } in found {
            let url = self.targets.url(&format!("{target}:{port}"));
            nodes.add_checked(url.map(|url| (url.clone(), url, Labels::new())));
        }
        RawRecord::of(id.into(), Text::Missing, nodes)
    }

    /// Why a lookup failed. What an answer says is of one cluster, which is named. Where none came the name server is what
    /// is wrong, whichever cluster was asked for then.
    fn no_records(&self, id: &str, error: &LookupError) -> Failure {
        let way_out = match error {
            LookupError::Fetch(refused @ FetchError::AddressRefused(_)) => {
                return Failure::Fetch(refused.clone());
            }
            LookupError::Fetch(FetchError::Timeout(_)) => {
                "check that the name server answers over TCP, or raise the discovery's `timeout`"
            }
            LookupError::Fetch(FetchError::Exhausted(_)) => "look into what else this process has open",
            LookupError::Fetch(_) | LookupError::NotDns if self.server.is_some() => {
                "check that the discovery's `server` is a name server that answers over TCP"
            }
            LookupError::Fetch(_) | LookupError::NotDns => {
                "check that they answer over TCP, or give another one as the discovery's `server`"
            }
            LookupError::NoServer => "set one there, or as the discovery's `server`",
            LookupError::TooManyAliases => {
                "correct the aliases (CNAME) of the name that the discovery's `clusters` gives"
            }
            LookupError::NoRecursion => {
                "give one that does, or that has the name, as the discovery's `server`"
            }
            LookupError::Refused(_) => {
                "look into the name server's log, or give the discovery another `server`"
            }
            LookupError::BadName(_) | LookupError::NoSuchName | LookupError::NoRecords => {
                "check the name in the discovery's `clusters`, and that the name server knows it"
            }
            LookupError::Truncated => {
                "leave fewer SRV records at the name that the discovery's `clusters` gives"
            }
            LookupError::NoHost | LookupError::Contradiction => {
                "correct the SRV records at the name that the discovery's `clusters` gives"
            }
        };
        let problem = match error {
            LookupError::Fetch(_) | LookupError::NotDns | LookupError::NoServer => error.to_string(),
            error => format!("{error} (cluster `{}`)", id.escape_debug()),
        };
        Failure::Source { problem, way_out }
    }

    fn asked(&self, names: &str) -> String {
        match self.server {
            Some(server) => format!("SRV records of {names} from {server}"),
            None => format!("SRV records of {names} from the system's name servers"),
        }
    }
}

impl Source for Dns {
    fn fetch<'a>(&'a self, outside: &'a Outside) -> Fetching<'a> {
        Box::pin(self.ask(outside))
    }

    fn shown(&self) -> String {
        let mut names: Vec<&str> = self.clusters.values().map(String::as_str).take(SHOWN).collect();
        let more = self.clusters.len().saturating_sub(SHOWN);
        let more = (more > 0).then(|| format!("{more} more"));
        names.extend(more.as_deref());
        self.asked(&names.join(", "))
    }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
