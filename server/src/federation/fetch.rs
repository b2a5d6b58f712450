//! How a provider's keys are fetched: its document (OpenID Connect Discovery 1.0), then the keys.

use keyhaven_shared::jwt::KeySet;
use serde::Deserialize;
use ureq::Agent;

use super::{
    IssuerConfig,
    web::{self, Endpoint, WebError},
};
use crate::tls::TlsError;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// There is no document.
    #[error(transparent)]
    Web(#[from] WebError),
    /// Its document is another issuer's: whoever answers is not whom the tokens name.
    #[error("its document names another issuer")]
    OtherIssuer,
    /// Its document leads elsewhere.
    #[error(
        "its document says that its keys are at another host or port: set `jwks_uri` if that is right"
    )]
    OtherHost,
}

/// Where one provider's keys are.
pub(super) struct Provider {
    issuer: String,
    jwks_uri: Option<String>,
    agent: Agent,
}

/// What is read of its document; the rest is for those who log in.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Provider {
    /// A provider, not asked yet.
    ///
    /// # Errors
    /// [`TlsError`] for a file of authorities that cannot be used.
    pub(super) fn open(config: &IssuerConfig) -> Result<Self, TlsError> {
        let IssuerConfig { issuer, jwks_uri, ca, .. } = config;
        // The addresses were checked with the configuration; one that is none is never connected to.
        let url = jwks_uri.as_ref().unwrap_or(issuer);
        let endpoint = Endpoint::parse(url).unwrap_or_else(Endpoint::nowhere);
        let agent = web::agent(&endpoint, ca.as_deref())?;
        Ok(Self { issuer: issuer.clone(), jwks_uri: jwks_uri.clone(), agent })
    }

    /// Its name, for the log.
    pub(super) fn issuer(&self) -> String {
        self.issuer.clone()
    }

    /// Fetches its keys. It blocks.
    ///
    /// # Errors
    /// [`FetchError`].
    pub(super) fn fetch(&self) -> Result<KeySet, FetchError> {
        let jwks_uri = match &self.jwks_uri {
            Some(configured) => configured.clone(),
            None => self.discover()?,
        };
        let document = self.get(&jwks_uri)?;
        Ok(KeySet::parse(&document).map_err(|_| WebError::NotTheDocument)?)
    }

    /// Where its document says that its keys are, which must be where it is itself.
    fn discover(&self) -> Result<String, FetchError> {
        let discovery: Discovery = web::json(&self.get(&web::discovery_url(&self.issuer))?)?;
        if discovery.issuer != self.issuer {
            return Err(FetchError::OtherIssuer);
        }
        let found = Endpoint::parse(&discovery.jwks_uri);
        if found.is_none() || found != Endpoint::parse(&self.issuer) {
            return Err(FetchError::OtherHost);
        }
        Ok(discovery.jwks_uri)
    }

    fn get(&self, url: &str) -> Result<Vec<u8>, WebError> {
        web::document(self.agent.get(url).call()?)
    }
}
