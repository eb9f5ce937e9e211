//! The policy itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::built_in;
use crate::parse::{ParseError, PortRange, networks, ports};

/// Why a connection is refused. The text names no address and no port: it is stored as a node's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The address lies in a built-in range that no allowed network names.
    #[error("address is {0}, which is not allowed")]
    BuiltIn(&'static str),
    /// The address lies in a network of the deny-list.
    #[error("address is in a denied network")]
    DeniedNetwork,
    /// There is an allow-list, and the address is not in it.
    #[error("address is in no allowed network")]
    OtherNetwork,
    /// The port is on the deny-list.
    #[error("port is denied")]
    DeniedPort,
    /// The port is zero, or there is an allow-list of ports and it is not in it.
    #[error("port is not among the allowed ones")]
    OtherPort,
}

/// Which addresses and ports may be connected to; the crate's page states the rules.
///
/// The default denies the built-in ranges and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Networks within a built-in range that are reachable all the same: those of `allow`, and loopback in local runs.
    exceptions: Vec<IpNet>,
    /// All allowed networks: when there is one, nothing but these and the exceptions is reachable.
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    allow_ports: Vec<PortRange>,
    deny_ports: Vec<PortRange>,
}

impl AddressPolicy {
    /// A policy of lists; an empty one says nothing.
    pub fn new(
        allow: Vec<IpNet>,
        deny: Vec<IpNet>,
        allow_ports: Vec<PortRange>,
        deny_ports: Vec<PortRange>,
    ) -> Self {
        let exceptions = allow.iter().filter(|network| built_in::holds(network)).copied().collect();
        AddressPolicy { exceptions, allow, deny, allow_ports, deny_ports }
    }

    /// A policy as settings write it: four lists with commas, see [`networks`] and [`ports`].
    ///
    /// # Errors
    /// Names the first bad item and what is expected.
    pub fn parse(allow: &str, deny: &str, allow_ports: &str, deny_ports: &str) -> Result<Self, ParseError> {
        Ok(AddressPolicy::new(networks(allow)?, networks(deny)?, ports(allow_ports)?, ports(deny_ports)?))
    }

    /// The default with loopback allowed: for local runs.
    pub fn local() -> Self {
        AddressPolicy::default().with_loopback()
    }

    /// This policy with loopback allowed beside whatever else is. A denied network is still denied.
    #[must_use]
    pub fn with_loopback(mut self) -> Self {
        // Both are whole built-in ranges; see `built_in.rs`.
        self.exceptions.push(IpNet::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)));
        self.exceptions.push(IpNet::V6(ipnet::Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)));
        self
    }

    /// Whether a connection to this address and port may be opened.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn check(&self, address: SocketAddr) -> Result<(), Refused> {
        self.check_port(address.port())?;
        self.check_address(address.ip())
    }

    /// The part of [`check`](Self::check) that needs no address: to be asked before a name is resolved.
    ///
    /// # Errors
    /// The rule that refuses the port.
    pub fn check_port(&self, port: u16) -> Result<(), Refused> {
        let among = |list: &[PortRange]| list.iter().any(|range| range.contains(port));
        if among(&self.deny_ports) {
            return Err(Refused::DeniedPort);
        }
        if port == 0 || (!self.allow_ports.is_empty() && !among(&self.allow_ports)) {
            return Err(Refused::OtherPort);
        }
        Ok(())
    }

    /// The part of [`check`](Self::check) that needs no port: for what a name resolves to.
    ///
    /// # Errors
    /// The rule that refuses the address.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Refused> {
        let address = built_in::canonical(address);
        let translated = built_in::translated(&address);
        let among = |list: &[IpNet], address: &IpAddr| list.iter().any(|network| network.contains(address));
        for form in [Some(address), translated].iter().flatten() {
            if among(&self.deny, form) {
                return Err(Refused::DeniedNetwork);
            }
            if let Some(kind) = built_in::kind(form)
                && !among(&self.exceptions, form)
            {
                return Err(Refused::BuiltIn(kind));
            }
        }
        let excepted = among(&self.exceptions, &address);
        if !self.allow.is_empty() && !excepted && !among(&self.allow, &address) {
            return Err(Refused::OtherNetwork);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(policy: &AddressPolicy, address: &str) -> Result<(), String> {
        policy.check(SocketAddr::new(address.parse().unwrap(), 8000)).map_err(|refused| refused.to_string())
    }

    fn built_in(kind: &str) -> Result<(), String> {
        Err(format!("address is {kind}, which is not allowed"))
    }

    fn elsewhere() -> Result<(), String> {
        Err("address is in no allowed network".into())
    }

    const DENIED: [(&str, &str); 30] = [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("64:ff9b::127.0.0.1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("::ffff:0:127.0.0.1", "loopback"),
        ("2002:7f00:1::", "loopback"),
        ("2002:7f00:1::1", "loopback"),
        ("2001:0:5366:7cee::80ff:fffe", "loopback"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:a9fe:a9fe", "link-local"),
        ("64:ff9b::169.254.169.254", "link-local"),
        ("::ffff:0:169.254.169.254", "link-local"),
        ("2002:a9fe:a9fe::", "link-local"),
        ("2001:0:5366:7cee:8000:f227:5601:5601", "link-local"),
        ("fe80::1", "link-local"),
        ("febf::1", "link-local"),
        ("fd00:ec2::254", "instance metadata"),
        ("224.0.0.1", "multicast"),
        ("239.1.2.3", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),
        ("2002::1", "unspecified"),
        ("::", "unspecified"),
        ("255.255.255.255", "broadcast"),
        ("::ffff:255.255.255.255", "broadcast"),
        ("64:ff9b:1::127.0.0.1", "local-use NAT64"),
        ("64:ff9b:1:a9fe:a9:fe00::", "local-use NAT64"),
    ];

    #[test]
    fn the_default_denies_the_built_in_ranges_and_nothing_else() {
        let policy = AddressPolicy::default();
        for (address, kind) in DENIED {
            assert_eq!(judge(&policy, address), built_in(kind), "{address}");
        }
        for address in
            ["10.0.0.1", "192.168.1.1", "8.8.8.8", "169.253.0.1", "fd00::1", "2001:db8::1", "fec0::1"]
                .into_iter()
                .chain(["64:ff9b::10.0.0.1", "2002:a00:1::1", "2001:0:5366:7cee::f5ff:fffe"])
        {
            assert_eq!(judge(&policy, address), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_local_policy_allows_loopback_in_every_form_and_no_more() {
        let policy = AddressPolicy::local();
        for (address, kind) in DENIED {
            let expected = if kind == "loopback" { Ok(()) } else { built_in(kind) };
            assert_eq!(judge(&policy, address), expected, "{address}");
        }
        assert_eq!(judge(&policy, "10.0.0.1"), Ok(()), "loopback restricts nothing");
        let policy = AddressPolicy::parse("10.0.0.0/8", "", "", "").unwrap().with_loopback();
        assert_eq!((judge(&policy, "127.0.0.1"), judge(&policy, "10.0.0.1")), (Ok(()), Ok(())));
        assert_eq!(judge(&policy, "192.168.1.1"), elsewhere());
    }

    #[test]
    fn an_allowed_network_within_a_built_in_range_opens_that_part_alone() {
        let policy = AddressPolicy::parse("169.254.8.0/24", "", "", "").unwrap();
        assert_eq!(judge(&policy, "169.254.8.1"), Ok(()));
        assert_eq!(judge(&policy, "169.254.169.254"), built_in("link-local"));
    }

    #[test]
    fn a_list_of_allowed_networks_is_complete_whichever_it_names() {
        for list in ["169.254.8.0/24", "127.0.0.0/8", "127.0.0.1, ::1", "192.168.0.0/16"] {
            let policy = AddressPolicy::parse(list, "", "", "").unwrap();
            assert_eq!(judge(&policy, "10.0.0.1"), elsewhere(), "{list}");
        }
    }

    #[test]
    fn a_wide_allowed_network_opens_no_built_in_range() {
        let policy = AddressPolicy::parse("0.0.0.0/0, ::/0", "", "", "").unwrap();
        for (address, kind) in DENIED {
            assert_eq!(judge(&policy, address), built_in(kind), "{address}");
        }
        assert_eq!(judge(&policy, "10.0.0.1"), Ok(()));
        assert_eq!(judge(&policy, "2001:db8::1"), Ok(()));
    }

    #[test]
    fn where_networks_are_allowed_only_they_and_the_exceptions_are_reachable() {
        let policy = AddressPolicy::parse("10.0.0.0/8, 127.0.0.1", "", "", "").unwrap();
        assert_eq!(judge(&policy, "10.1.2.3"), Ok(()));
        assert_eq!(judge(&policy, "::ffff:10.1.2.3"), Ok(()));
        assert_eq!(judge(&policy, "127.0.0.1"), Ok(()));
        assert_eq!(judge(&policy, "127.0.0.2"), built_in("loopback"));
        for address in ["192.168.1.1", "2001:db8::1"] {
            assert_eq!(judge(&policy, address), elsewhere(), "{address}");
        }
    }

    #[test]
    fn a_denied_network_beats_an_allowed_one() {
        let policy =
            AddressPolicy::parse("10.0.0.0/8, 127.0.0.0/8", "10.9.0.0/16, 127.0.0.9", "", "").unwrap();
        for address in ["10.9.1.1", "127.0.0.9", "::ffff:10.9.1.1", "64:ff9b::10.9.1.1", "2002:a09:101::1"] {
            assert_eq!(judge(&policy, address), Err("address is in a denied network".into()), "{address}");
        }
        assert_eq!(judge(&policy, "10.8.1.1"), Ok(()));
        let policy = AddressPolicy::parse("", "127.0.0.0/8", "", "").unwrap().with_loopback();
        assert_eq!(judge(&policy, "127.0.0.1"), Err("address is in a denied network".into()));
    }

    #[test]
    fn ports_are_judged_by_both_lists() {
        let policy = AddressPolicy::parse("", "", "1024-65535, 443", "6379").unwrap();
        assert_eq!(policy.check_port(443), Ok(()));
        assert_eq!(policy.check_port(8000), Ok(()));
        assert_eq!(policy.check_port(22).unwrap_err().to_string(), "port is not among the allowed ones");
        assert_eq!(policy.check_port(6379).unwrap_err().to_string(), "port is denied");
        assert_eq!(AddressPolicy::default().check_port(22), Ok(()));
        assert!(AddressPolicy::default().check_port(0).is_err());
        assert_eq!(policy.check("10.0.0.1:22".parse().unwrap()), Err(Refused::OtherPort));
    }

    proptest::proptest! {
        #[test]
        fn a_mapped_address_is_judged_as_its_ipv4_form(bits: u32) {
            let four = Ipv4Addr::from(bits);
            for policy in [AddressPolicy::default(), AddressPolicy::local()] {
                proptest::prop_assert_eq!(
                    policy.check_address(four.to_ipv6_mapped().into()),
                    policy.check_address(four.into())
                );
            }
        }
    }
}
