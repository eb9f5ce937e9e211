//! The SRV records of a name, from a name server, over TCP: whole or not at all, where UDP cuts what is long.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use resolv_conf::{Config, ScopedIp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::classify::of_io;
use crate::dns_message;
use crate::error::FetchError;
use crate::fetch::Outbound;

/// Where the system's name servers stand (resolv.conf(5)).
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Name servers that count, of those; resolv.conf(5) has the same bound.
const MAX_SERVERS: usize = 3;
/// The largest `resolv.conf` that is read, in bytes.
const MAX_RESOLV_CONF: u64 = 64 * 1024;
/// The port of name servers (RFC 1035, 4.2).
pub const DNS_PORT: u16 = 53;

/// A question for the SRV records of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrvLookup<'a> {
    /// The whole name, `_agent._tcp.zookeeper.example.com`: see [`is_dns_name`](crate::is_dns_name).
    pub name: &'a str,
    /// The name server to ask, which obeys the address policy. `None`: those of the system, one after the other until
    /// one knows, each for its share of the time. They are the deployment's own.
    pub server: Option<SocketAddr>,
    /// Limit for the whole lookup.
    pub timeout: Duration,
}

/// An SRV record (RFC 2782), without priority and weight: all targets are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Srv {
    /// The host, in small letters, without a dot at its end.
    pub target: String,
    /// Its port. Zero is one, too, and can't be connected to.
    pub port: u16,
}

/// Why a lookup brought no records.
///
/// `Display` holds no address and no time that passed: the same failure reads the same each time, and may be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No answer came.
    #[error("{0}")]
    Fetch(FetchError),
    /// The name is none that can be asked for. Nothing was sent.
    #[error("`{0}` is no DNS name")]
    BadName(String),
    /// The system names no name server. Nothing was sent.
    #[error("no name server is set in {RESOLV_CONF}")]
    NoServer,
    /// The name does not exist.
    #[error("no such name")]
    NoSuchName,
    /// The name exists and has no SRV records, or the name server does not know them.
    #[error("the name has no SRV records")]
    NoRecords,
    /// The name server gave an error, in DNS's own words.
    #[error("the name server answered {0}")]
    Refused(&'static str),
    /// The name server knows nothing of the name, and asks no other.
    #[error("the name server does not know the name, nor asks others")]
    NoRecursion,
    /// The name is an alias of an alias, and so on, too often or in a circle.
    #[error("the name's aliases lead too far, or in a circle")]
    TooManyAliases,
    /// The answer is no DNS, or none to the question.
    #[error("answer is not DNS")]
    NotDns,
    /// There are more records than a message of DNS holds, 64 KiB.
    #[error("more records than an answer of DNS holds")]
    Truncated,
    /// A record lacks its data, or there are several where a name has one alias and nothing beside it.
    #[error("the records of the name are damaged or contradict each other")]
    Contradiction,
    /// A target is no name of a host.
    #[error("a target is no host name")]
    NoHost,
}

impl Outbound {
    /// Asks for the SRV records of a name, or of what it is an alias of. They come sorted, each once. The only empty
    /// list is that of a name whose target is the root: by RFC 2782 it has decidedly no service.
    ///
    /// An answer has at most 64 KiB, DNS's own bound. Nothing is asked twice, and no answer is kept.
    ///
    /// # Errors
    /// Whatever keeps the records from being all there are. See [`LookupError`].
    pub async fn srv(&self, lookup: &SrvLookup<'_>) -> Result<Vec<Srv>, LookupError> {
        let question = dns_message::question(lookup.name)?;
        let Some(server) = lookup.server else {
            let servers = system_servers(Path::new(RESOLV_CONF)).map_err(of_network)?;
            return ask_each(&servers, &self.name_server, &question, lookup).await;
        };
        let allowed = self.policy().check(server);
        allowed.map_err(|refused| LookupError::Fetch(FetchError::AddressRefused(refused)))?;
        ask_each(&[server], &AtomicUsize::default(), &question, lookup).await
    }
}

/// Asks one server after the other, until one knows, beginning with the one that knew `last`. What the first says stands when
/// none does. Each has its share of the time that is left, so that one that hangs leaves some for the next.
async fn ask_each(
    servers: &[SocketAddr],
    last: &AtomicUsize,
    question: &[u8],
    lookup: &SrvLookup<'_>,
) -> Result<Vec<Srv>, LookupError> {
    let (started, begin) = (Instant::now(), last.load(Ordering::Relaxed));
    let mut first = None;
    for asked in 0..servers.len() {
        let index = begin.wrapping_add(asked) % servers.len();
        let left = lookup.timeout.saturating_sub(started.elapsed());
        let share = left / u32::try_from(servers.len() - asked).unwrap_or(u32::MAX);
        let answer = timeout(share, ask(servers[index], question, lookup.name)).await;
        match answer.unwrap_or(Err(LookupError::Fetch(FetchError::Timeout(lookup.timeout)))) {
            Err(error) if !error.is_knowledge() => {
                first.get_or_insert(error);
            }
            answered => {
                last.store(index, Ordering::Relaxed);
                return answered;
            }
        }
    }
    Err(first.unwrap_or(LookupError::NoServer))
}

impl LookupError {
    /// Whether a name server said it that knows of the name. Another one would say the same.
    fn is_knowledge(&self) -> bool {
        !matches!(
            self,
            LookupError::Fetch(_) | LookupError::Refused(_) | LookupError::NoRecursion | LookupError::NotDns
        )
    }
}

async fn ask(server: SocketAddr, question: &[u8], name: &str) -> Result<Vec<Srv>, LookupError> {
    let message = exchange(server, question).await.map_err(of_network)?;
    let name = name.to_owned();
    // A message that is made for it takes a second of the processor, which others need meanwhile.
    let read = tokio::task::spawn_blocking(move || dns_message::read(&message, &name)).await;
    read.unwrap_or(Err(LookupError::NotDns))
}

fn of_network(error: io::Error) -> LookupError {
    let other = || FetchError::Other { detail: error.to_string() };
    LookupError::Fetch(of_io(&error).unwrap_or_else(other))
}

/// A message for a message, each with its length before it in two bytes.
async fn exchange(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(question).await?;
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// The name servers that the system's file names, without what is wrong in it. None where there is no such file.
fn system_servers(path: &Path) -> io::Result<Vec<SocketAddr>> {
    let mut text = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_RESOLV_CONF).read_to_end(&mut text)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let (config, _) = Config::parse_with_errors(&text);
    let servers = config.nameservers.iter().filter_map(|server| match server {
        ScopedIp::V4(address) => Some(SocketAddr::from((*address, DNS_PORT))),
        ScopedIp::V6(address, None) => Some(SocketAddr::from((*address, DNS_PORT))),
        // Reachable over the interface of that name alone, which a socket's address knows by its number.
        ScopedIp::V6(_, Some(_)) => None,
    });
    Ok(servers.take(MAX_SERVERS).collect())
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
