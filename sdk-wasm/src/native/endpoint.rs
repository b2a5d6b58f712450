//! Where the server is, and what reaches it.

use std::{fmt, net::Ipv4Addr, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use http::Uri;

use super::{
    error::{ArgumentFault, Error, TransportError},
    reachability::Reachability,
    transport::{BoxFuture, Runtime, Transport},
};

/// A server's address, and the transport and runtime to reach it with. Cheap to clone.
#[derive(Clone)]
pub struct Endpoint {
    base: Arc<str>,
    transport: Arc<dyn Transport>,
    runtime: Arc<dyn Runtime>,
    /// Of this server: all clients and all minting by this endpoint, and its clones, learn together.
    reachability: Arc<Reachability>,
    timeout: Duration,
}

/// How long an answer may take, unless the application says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Endpoint {
    /// Takes an address such as `https://keys.example`; a path in it belongs to a relay. Plain `http` is
    /// for this machine itself only.
    ///
    /// # Errors
    /// [`ArgumentFault::Address`] for anything else.
    pub fn new(
        address: &str,
        transport: impl Transport,
        runtime: impl Runtime,
    ) -> Result<Self, ArgumentFault> {
        Ok(Self {
            base: base_of(address).ok_or(ArgumentFault::Address)?.into(),
            transport: Arc::new(transport),
            runtime: Arc::new(runtime),
            reachability: Arc::default(),
            timeout: TIMEOUT,
        })
    }

    /// Waits so long for each answer, and for each ticket; 30 seconds otherwise.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The address without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// What sends requests.
    pub(crate) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// What runs tasks and tells the time.
    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// Whether the server answers, as far as is known.
    pub(crate) const fn reachability(&self) -> &Arc<Reachability> {
        &self.reachability
    }

    /// Runs an exchange with the server, but no longer than this endpoint waits; learns whether it answers.
    pub(crate) async fn exchange<T>(
        &self,
        exchange: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let outcome = self.in_time(exchange).await;
        self.reachability.observe(&outcome, self.runtime.moment().monotonic);
        outcome
    }

    /// Runs a piece of work, but no longer than this endpoint waits.
    pub(crate) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let work: BoxFuture<'_, _> = Box::pin(work);
        match select(work, self.runtime.sleep(self.timeout)).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => Err(Error::Network(TransportError::new("no answer came in time"))),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The address without a slash at its end, if it is one that tokens and data keys may be sent to.
fn base_of(address: &str) -> Option<String> {
    let uri: Uri = address.parse().ok()?;
    let authority = uri.authority()?;
    let encrypted = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    // A password in an address ends up in logs; a query or fragment would swallow the paths that follow.
    let bare = !authority.as_str().contains('@') && uri.query().is_none() && !address.contains('#');
    let fits = bare && !uri.host()?.is_empty() && (encrypted || is_this_machine(uri.host()?));
    fits.then(|| address.trim_end_matches('/').to_owned())
}

/// Whether a host names this machine; `localhost` does so by RFC 6761 §6.3.
fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_no_more_than_a_path() {
        for (address, base) in [
            ("https://keys.example", "https://keys.example"),
            ("https://keys.example:8443/", "https://keys.example:8443"),
            ("https://app.example/keyhaven/", "https://app.example/keyhaven"),
            ("http://localhost:8200", "http://localhost:8200"),
            ("http://127.0.0.1:8200", "http://127.0.0.1:8200"),
            ("http://[::1]:8200", "http://[::1]:8200"),
        ] {
            assert_eq!(base_of(address).as_deref(), Some(base));
        }
    }

    #[test]
    fn other_addresses_and_plain_http_to_other_machines_are_refused() {
        for address in [
            "",
            "keys.example",
            "/api",
            "ftp://keys.example",
            "http://keys.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "https://user@keys.example",
            "https://keys.example?x=1",
            "https://keys.example#x",
            "https:///path",
        ] {
            assert_eq!(base_of(address), None, "{address}");
        }
    }
}
