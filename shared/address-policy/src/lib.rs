//! Where outgoing connections may go.
//!
//! What a discovery source answers is input from outside, and the workers connect to what it says. This
//! crate decides, for an address and a port, whether they may. It is pure: it resolves no name and opens no
//! socket. `replicante-outbound` asks it for the address that is connected to, after name resolution.
//!
//! # The rules, in this order
//!
//! 1. A **denied** port or network is refused, whatever else is said.
//! 2. The **built-in** ranges (loopback, link-local with the instance metadata, multicast, unspecified,
//!    broadcast, local-use NAT64) are refused, but for the part that an allowed network *names*: one that lies within the
//!    built-in range, like `127.0.0.0/8`. A wide one such as `0.0.0.0/0` opens none of them.
//! 3. A list of allowed networks is complete: when one is given, nothing else is reachable, whichever networks it
//!    names. The same for ports. Loopback for local runs is no part of the list, and restricts nothing.
//!
//! An IPv6 address that stands for an IPv4 one (`::ffff:127.0.0.1`) is judged as that one. One that a translator or a
//! tunnel on the way would make an IPv4 one of (NAT64, 6to4, Teredo) is judged as both.

mod built_in;
mod parse;
mod policy;

pub use ipnet::IpNet;
pub use parse::{ParseError, PortRange, networks, ports};
pub use policy::{AddressPolicy, Refused};
