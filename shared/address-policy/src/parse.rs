//! Networks and ports as operators write them: lists with commas.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::built_in;

/// An item of a list that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{item}` is {problem}: expected {expected}")]
pub struct ParseError {
    /// The item as it was written, without the spaces around it.
    pub item: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// What would be right.
    pub expected: String,
}

/// An inclusive range of ports, `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// A range from `first` to `last`, both included; `None` when `first` is zero or above `last`.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first > 0 && first <= last).then_some(PortRange { first, last })
    }

    /// Whether the port lies in the range.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Reads networks: `10.0.0.0/8, 192.168.7.1, fd00::/8`. A bare address is a network of one. Empty text is
/// an empty list.
///
/// # Errors
/// Names the first item that is no network, or that has bits set behind its prefix.
pub fn networks(text: &str) -> Result<Vec<IpNet>, ParseError> {
    items(text).map(network).collect()
}

fn network(item: &str) -> Result<IpNet, ParseError> {
    let bad = |problem, expected: String| ParseError { item: item.to_owned(), problem, expected };
    let network = match item.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => item.parse::<IpNet>().map_err(|_| {
            bad("no network", "an address or a network, like 10.0.0.0/8, 192.168.7.1 or fd00::/8".into())
        })?,
    };
    if network != network.trunc() {
        return Err(bad("no network, it has bits set behind its prefix", network.trunc().to_string()));
    }
    Ok(as_ipv4(network))
}

/// An IPv4-mapped IPv6 network as the IPv4 network that it stands for.
fn as_ipv4(network: IpNet) -> IpNet {
    let (address, prefix) = (network.addr(), network.prefix_len());
    match (address, built_in::canonical(address), prefix.checked_sub(96)) {
        (IpAddr::V6(_), four @ IpAddr::V4(_), Some(prefix)) => IpNet::new(four, prefix).unwrap_or(network),
        _ => network,
    }
}

/// Reads ports and ranges of ports: `443, 1024-65535`. Empty text is an empty list.
///
/// # Errors
/// Names the first item that is no port from 1 to 65535 and no rising range of such.
pub fn ports(text: &str) -> Result<Vec<PortRange>, ParseError> {
    items(text)
        .map(|item| {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let port = |text: &str| text.trim().parse::<u16>().ok();
            port(first).zip(port(last)).and_then(|(first, last)| PortRange::new(first, last)).ok_or_else(
                || ParseError {
                    item: item.to_owned(),
                    problem: "no port",
                    expected: "a port from 1 to 65535 or a range of them, like 443 or 1024-65535".into(),
                },
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_commas_and_spaces() {
        let read: Vec<String> = networks(" 10.0.0.0/8,192.168.7.1 , fd00::/8,")
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(read, ["10.0.0.0/8", "192.168.7.1/32", "fd00::/8"]);
        let read: Vec<String> = ports("1024-65535, 443").unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(read, ["1024-65535", "443"]);
        assert!(networks("").unwrap().is_empty());
        assert!(ports(" ").unwrap().is_empty());
    }

    #[test]
    fn a_mapped_network_is_the_ipv4_network_it_stands_for() {
        assert_eq!(networks("::ffff:127.0.0.0/104").unwrap(), networks("127.0.0.0/8").unwrap());
        assert_eq!(networks("::/0").unwrap()[0].to_string(), "::/0");
    }

    #[test]
    fn an_error_names_the_bad_item_and_what_is_expected() {
        assert_eq!(
            networks("10.0.0.0/8, ten").unwrap_err().to_string(),
            "`ten` is no network: expected an address or a network, like 10.0.0.0/8, 192.168.7.1 or fd00::/8"
        );
        assert_eq!(
            networks("10.0.0.1/8").unwrap_err().to_string(),
            "`10.0.0.1/8` is no network, it has bits set behind its prefix: expected 10.0.0.0/8"
        );
        for bad in ["0", "65536", "10-", "20-10", "http", "-1", "0-10"] {
            let error = ports(&format!("443, {bad}")).unwrap_err();
            assert_eq!(error.item, bad);
            assert!(error.to_string().ends_with("like 443 or 1024-65535"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,40}|[0-9a-f:./, -]{0,40}") {
            let _ = networks(&text);
            let _ = ports(&text);
        }
    }
}
