//! The HTTP client that speaks to identity providers, in the server and on the command line.

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use http::{Uri, uri::Scheme};
use serde::de::DeserializeOwned;
use ureq::{
    Agent, Body,
    config::Config,
    http::Response,
    tls::{Certificate, RootCerts, TlsConfig},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use crate::tls::{self, TlsError};

/// How long one answer may take, from its first look-up to its last byte.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest document that is read, in bytes. A hundred keys with their certificates fit.
const LONGEST_DOCUMENT: u64 = 256 * 1024;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    /// No answer, or none that is trusted; or one that is too long.
    #[error("{0}")]
    NoAnswer(#[from] ureq::Error),
    /// Another status than 200. A redirect is one: it is not followed.
    #[error("the answer has the status {0}; redirects are not followed")]
    Status(u16),
    /// Not the JSON that it should be.
    #[error("the answer is not the document that it should be")]
    NotTheDocument,
}

/// A host and port, and whether TLS is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) tls: bool,
    host: String,
    pub(crate) port: u16,
}

impl Endpoint {
    /// Reads a URL: a scheme, a host, a port where it is not the usual one, and a path.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let (scheme, authority) = (uri.scheme()?, uri.authority()?);
        let tls = *scheme == Scheme::HTTPS;
        let plain = !tls && *scheme == Scheme::HTTP;
        // A name before the host is there to mislead people; a fragment is never sent.
        let odd = authority.as_str().contains('@') || uri.query().is_some() || url.contains('#');
        if (!tls && !plain) || odd || authority.host().is_empty() {
            return None;
        }
        // A port that is none reads as absent: the text behind the host tells.
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host)?.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None if authority.as_str() == host => {
                if tls {
                    443
                } else {
                    80
                }
            }
            None => return None,
        };
        Some(Self { tls, host: host.to_owned(), port })
    }

    /// Nothing is there: for what was no URL.
    pub(super) const fn nowhere() -> Self {
        Self { tls: true, host: String::new(), port: 0 }
    }

    /// Whether it is this machine, said by name or address.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|address| address.is_loopback())
    }

    /// Whether the host is one that names no other machine's address.
    fn is_literal(&self) -> bool {
        self.host == "localhost" || self.address().is_some()
    }

    fn address(&self) -> Option<IpAddr> {
        self.host.trim_matches(['[', ']']).parse().ok()
    }
}

/// A client that speaks to one provider: to its URL, over TLS unless that says otherwise, with the
/// authorities of this file, without proxies, redirects, or more than a few seconds.
///
/// # Errors
/// [`TlsError`] for a file of authorities that cannot be used.
pub(crate) fn agent(endpoint: &Endpoint, authorities: Option<&Path>) -> Result<Agent, TlsError> {
    let mut roots = Vec::new();
    for certificate in authorities.map(tls::certificates).transpose()?.unwrap_or_default() {
        roots.push(Certificate::from_der(&certificate).to_owned());
    }
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(tls::provider());
    let config = Agent::config_builder()
        .tls_config(tls.build())
        .https_only(endpoint.tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(DEADLINE))
        .max_idle_connections(0)
        .proxy(None)
        .build();
    let resolver = Guard { literal: endpoint.is_literal(), usual: DefaultResolver::default() };
    Ok(Agent::with_parts(config, DefaultConnector::default(), resolver))
}

/// Where an issuer's document is (OpenID Connect Discovery 1.0 §4).
pub(crate) fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The document of an answer.
///
/// # Errors
/// [`WebError`].
pub(crate) fn document(response: Response<Body>) -> Result<Vec<u8>, WebError> {
    let status = response.status().as_u16();
    if status == 200 { body(response) } else { Err(WebError::Status(status)) }
}

/// The body of an answer, whatever its status.
///
/// # Errors
/// [`WebError`].
pub(crate) fn body(mut response: Response<Body>) -> Result<Vec<u8>, WebError> {
    Ok(response.body_mut().with_config().limit(LONGEST_DOCUMENT).read_to_vec()?)
}

/// A document of JSON.
///
/// # Errors
/// [`WebError`].
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WebError> {
    serde_json::from_slice(bytes).map_err(|_| WebError::NotTheDocument)
}

/// Looks names up, and takes no address that is this machine's own or its link's: whoever answers for a
/// name could otherwise make the server knock at services that trust whoever is near.
#[derive(Debug)]
struct Guard {
    /// An address, or `localhost`, stands in the configuration itself.
    literal: bool,
    usual: DefaultResolver,
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.usual.resolve(uri, config, timeout)?;
        if self.literal {
            return Ok(found);
        }
        let mut kept = self.empty();
        for address in found.iter().filter(|address| is_elsewhere(address.ip())) {
            kept.push(*address);
        }
        if kept.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(kept) }
    }
}

/// Whether an address may be another machine's that serves people. Private networks may: companies have
/// their providers there.
fn is_elsewhere(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link_local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_no_address_of_this_machine_or_its_link() {
        for near in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(!is_elsewhere(near.parse().unwrap()), "{near}");
        }
        for elsewhere in ["192.0.2.1", "10.1.2.3", "192.168.1.1", "2001:db8::1", "fd00::1"] {
            assert!(is_elsewhere(elsewhere.parse().unwrap()), "{elsewhere}");
        }
    }

    #[test]
    fn a_name_that_leads_to_this_machine_is_not_followed_and_one_that_is_configured_is() {
        // `localhost` by another name, which every resolver knows.
        let uri: Uri = "https://localhost:1/keys".parse().unwrap();
        let resolve = |literal| {
            let guard = Guard { literal, usual: DefaultResolver::default() };
            guard.resolve(&uri, &Config::default(), NextTimeout::default()).map(|found| found.len())
        };
        assert!(resolve(true).unwrap() > 0);
        assert!(matches!(resolve(false), Err(ureq::Error::HostNotFound)));
    }
}
