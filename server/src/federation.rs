//! The identity providers of the configuration, and their keys: fetched, checked, kept for a bounded time.
//!
//! What is connected to follows from the configuration alone, never from a token. Where a provider's word
//! leads elsewhere it is not followed: not by redirects, not by its own document. Whatever goes wrong, there
//! are no keys, and so nobody is believed.

mod cache;
mod config;
mod fetch;
pub(crate) mod web;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use keyhaven_engine::{
    federation::{Federation, TrustedIssuer},
    port::issuer_keys::{IssuerKeys, KeysFuture},
};
use keyhaven_shared::jwt::KeySet;
use tokio::{task::spawn_blocking, time::Instant};

pub use self::config::IssuerConfig;
pub(crate) use self::web::{Endpoint, WebError};
use self::{
    cache::{Cache, Look},
    fetch::Provider,
};
use crate::tls::TlsError;

/// The configured providers: those that are believed, and those that know their keys.
///
/// # Errors
/// [`TlsError`] for a file of authorities that cannot be read. No provider is asked yet.
pub(crate) fn open(configured: &[IssuerConfig]) -> Result<(Federation, Arc<Providers>), TlsError> {
    let mut issuers = HashMap::new();
    for config in configured {
        let provider = Arc::new(Provider::open(config)?);
        let max_age = Duration::from_secs(config.keys_max_age_s);
        let (cache, fetching) = (Mutex::default(), tokio::sync::Mutex::default());
        let issuer = Issuer { provider, max_age, cache, fetching };
        issuers.insert(config.issuer.clone(), issuer);
    }
    let providers = Arc::new(Providers { issuers });
    let trusted = configured.iter().map(|config| TrustedIssuer {
        issuer: config.issuer.clone(),
        audience: config.audience.clone(),
        other_audiences: config.other_audiences.clone(),
        algorithms: config.algorithms.clone(),
        max_lifetime_s: config.max_lifetime_s,
        single_use: config.single_use,
    });
    let federation = Federation::new(trusted.collect(), Arc::clone(&providers) as _);
    Ok((federation, providers))
}

/// The providers' keys.
#[derive(Default)]
pub(crate) struct Providers {
    issuers: HashMap<String, Issuer>,
}

impl Providers {
    /// Fetches all keys, so that the first token need not wait, and the log tells at once of a provider that
    /// cannot be reached. That one keeps nobody else waiting.
    pub(crate) async fn look_ahead(&self) {
        futures_util::future::join_all(self.issuers.values().map(|issuer| issuer.keys(""))).await;
    }
}

impl IssuerKeys for Providers {
    fn keys<'a>(&'a self, issuer: &'a str, key_id: &'a str) -> KeysFuture<'a> {
        Box::pin(async move { self.issuers.get(issuer)?.keys(key_id).await })
    }
}

/// One provider, and what is kept of it.
struct Issuer {
    provider: Arc<Provider>,
    max_age: Duration,
    cache: Mutex<Cache>,
    /// Held by whoever fetches: others wait for that, rather than fetch as well.
    fetching: tokio::sync::Mutex<()>,
}

impl Issuer {
    async fn keys(&self, key_id: &str) -> Option<Arc<KeySet>> {
        if let Look::Use(keys) = self.look(key_id) {
            return Some(keys);
        }
        let _turn = self.fetching.lock().await;
        match self.look(key_id) {
            Look::Use(keys) => Some(keys),
            Look::Nothing => None,
            Look::Fetch => {
                self.cached(|cache, now| cache.begin(now));
                self.fetch().await;
                self.cached(|cache, now| cache.present(self.max_age, now))
            }
        }
    }

    /// Fetches once. What was kept stays when that fails, until it is too old.
    async fn fetch(&self) {
        let provider = Arc::clone(&self.provider);
        let issuer = provider.issuer();
        // The client blocks: on a thread of its own, within its deadlines.
        match spawn_blocking(move || provider.fetch()).await {
            Ok(Ok(keys)) => {
                tracing::info!(issuer, keys = keys.len(), "fetched an identity provider's keys");
                self.cached(|cache, now| cache.keep(Arc::new(keys), now));
            }
            Ok(Err(error)) => {
                let kept_s = self.max_age.as_secs();
                tracing::warn!(
                    issuer, %error, kept_s,
                    "an identity provider's keys cannot be had: its tokens are refused once the kept ones are too old"
                );
            }
            Err(error) => tracing::error!(issuer, %error, "fetching keys broke off"),
        }
    }

    fn look(&self, key_id: &str) -> Look {
        self.cached(|cache, now| cache.look(key_id, self.max_age, now))
    }

    fn cached<T>(&self, with: impl FnOnce(&mut Cache, Instant) -> T) -> T {
        // Nothing in there panics half way.
        with(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner), Instant::now())
    }
}

#[cfg(test)]
pub(crate) mod liar;
#[cfg(test)]
mod tests;
