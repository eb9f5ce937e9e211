//! The client for everything that is not AWS, agents and discovery sources: HTTP, and the SRV records of DNS.
//!
//! Both live at addresses that came from outside, so every request is bounded and watched:
//!
//! - the address that is connected to is checked against the [`AddressPolicy`], after name resolution;
//! - redirects are not followed, no proxy is used, no cookie is kept;
//! - connecting, the whole request and the body have limits;
//! - secrets are references until they are sent, and are printed by nothing: see [`Secrets`];
//! - what failed is a [`FetchError`] with a short, stable [`reason`](FetchError::reason), or a [`LookupError`] of
//!   [`Outbound::srv`].
//!
//! [`Outbound`] is made once a process and shared: it keeps one pool of connections for each TLS setting, so
//! that requests one soon after the other to the same address share a connection.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use replicante_outbound::{AddressPolicy, Outbound, Request};
//! # async fn example() -> Result<(), replicante_outbound::FetchError> {
//! let outbound = Outbound::new(AddressPolicy::default());
//! let request = Request { timeout: Duration::from_secs(30), ..Request::get("https://inventory.example.com/nodes") };
//! let answer = outbound.fetch(&request).await?;
//! assert_eq!(answer.status, 200);
//! # Ok(())
//! # }
//! ```

mod classify;
mod clients;
mod dns;
mod dns_message;
mod error;
mod fetch;
#[cfg(test)]
#[path = "../tests/name_server/mod.rs"]
mod name_server;
mod reference;
mod resolve;
mod secrets;
mod tls;

pub use dns::{DNS_PORT, LookupError, Srv, SrvLookup};
pub use dns_message::is_dns_name;
pub use error::{FetchError, TlsFailure};
pub use fetch::{Fetched, Outbound, Request};
pub use reference::{Reference, ReferenceError};
pub use replicante_address_policy::{AddressPolicy, Refused};
pub use replicante_model::record::TlsSettings;
pub use secrets::{Reading, Secret, SecretStore, Secrets, StoreError};
