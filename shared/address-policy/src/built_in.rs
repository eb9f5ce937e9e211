//! The ranges that are refused unless an allowed network names them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), prefix))
}

const fn v6(first: u16, second: u16, last: u16, prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, last), prefix))
}

/// Range and its word in the reason. Sources: RFC 6890 (special-purpose addresses), RFC 1112 and 4291
/// (multicast), and the EC2 user guide for `fd00:ec2::254`, the instance metadata over IPv6, which no
/// standard calls link-local. RFC 8215: behind `64:ff9b:1::/48` a translator of the local network makes any IPv4 address of
/// an IPv6 one, and where in it that is written only the network knows.
const RANGES: [(IpNet, &str); 11] = [
    (v4(127, 0, 8), "loopback"),
    (v6(0, 0, 1, 128), "loopback"),
    (v4(169, 254, 16), "link-local"),
    (v6(0xfe80, 0, 0, 10), "link-local"),
    (v6(0xfd00, 0x0ec2, 0, 32), "instance metadata"),
    (v4(224, 0, 4), "multicast"),
    (v6(0xff00, 0, 0, 8), "multicast"),
    (v4(0, 0, 8), "unspecified"),
    (v6(0, 0, 0, 128), "unspecified"),
    (IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32)), "broadcast"),
    (IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48)), "local-use NAT64"),
];

/// The word for the built-in range that holds the address.
pub(crate) fn kind(address: &IpAddr) -> Option<&'static str> {
    RANGES.iter().find(|(range, _)| range.contains(address)).map(|(_, kind)| *kind)
}

/// Whether the network lies within a built-in range, and so names an exception to it.
pub(crate) fn holds(network: &IpNet) -> bool {
    RANGES.iter().any(|(range, _)| range.contains(network))
}

/// The address that a connection really goes to: IPv4 where it is written as IPv4-mapped IPv6.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// The IPv4 address that a translator or a tunnel on the way would make of an IPv6 one: the well-known NAT64 prefix
/// `64:ff9b::/96` (RFC 6052), 6to4's `2002::/16` (RFC 3056), Teredo's `2001::/32`, which holds it inverted (RFC 4380),
/// `::ffff:0:a.b.c.d` (RFC 2765) and the deprecated `::a.b.c.d` (RFC 4291).
pub(crate) fn translated(address: &IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(six) = address else { return None };
    let [.., a, b, c, d] = six.octets();
    let last = Ipv4Addr::new(a, b, c, d);
    let four = match six.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => last,
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => last,
        [0x2001, 0, ..] => Ipv4Addr::from(!u32::from(last)),
        [0x2002, high, low, ..] => Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)),
        _ => return None,
    };
    Some(IpAddr::V4(four))
}
