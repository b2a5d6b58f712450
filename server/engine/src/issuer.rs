//! The node's signing key: made in memory at start, certified for a day by the issuer key in the HSM.
//! It signs deliveries and lease events, so that the HSM is not asked for each.
//!
//! The key is never stored: a restart makes another. Devices pin the HSM's key alone, so they need
//! not know. A stolen node key is good until its certificate ends, at most a day.

use std::sync::{Arc, PoisonError, RwLock};

use keyhaven_shared::{
    ids::DeploymentId,
    issuer::{NodeClaims, NodeSigner},
    secret::SigningSeed,
};

use crate::{
    error::Error,
    port::{
        environment::Environment,
        hsm::{Hsm, HsmKey, HsmRole},
    },
};

/// Has the node's key certified, and certified anew before the certificate ends. When the HSM is
/// gone, the present key goes on until its renewal is due, half a day after it was certified.
pub struct Issuer {
    key: HsmKey,
    hsm: Arc<dyn Hsm>,
    environment: Arc<dyn Environment>,
    current: RwLock<Option<Current>>,
    /// Held while the HSM is asked, so that many requests at once ask it once.
    renewing: tokio::sync::Mutex<()>,
}

/// A certified key, and when, in Unix time, another is to take its place.
struct Current {
    signer: Arc<NodeSigner>,
    renew_at: u64,
}

/// Devices' clocks may be a little behind.
/// Seconds by which a certificate is dated back, so that they find it valid already.
const SKEW: u64 = 300;

impl Issuer {
    /// An issuer that has certified nothing yet.
    #[must_use]
    pub fn new(
        deployment: DeploymentId,
        hsm: Arc<dyn Hsm>,
        environment: Arc<dyn Environment>,
    ) -> Self {
        let key = HsmKey { deployment, role: HsmRole::Issuer };
        let (current, renewing) = (RwLock::default(), tokio::sync::Mutex::default());
        Self { key, hsm, environment, current, renewing }
    }

    /// The issuer's public key, which devices pin.
    ///
    /// # Errors
    /// As the HSM.
    pub async fn public_key(&self) -> Result<[u8; 32], Error> {
        Ok(self.hsm.public_key(self.key).await?)
    }

    /// The node's signing key, certified for at least half a day more, less five minutes.
    ///
    /// # Errors
    /// As the HSM; without randomness.
    pub async fn signer(&self) -> Result<Arc<NodeSigner>, Error> {
        let now = self.environment.now();
        if let Some(signer) = self.current(now) {
            return Ok(signer);
        }
        let _one_renewal = self.renewing.lock().await;
        // Asked again under the lock: whoever held it before has most likely renewed it.
        if let Some(signer) = self.current(now) {
            return Ok(signer);
        }
        let signer = Arc::new(self.certify(now).await?);
        let renew_at = now.saturating_add(NodeClaims::LONGEST_S / 2);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Current { signer: Arc::clone(&signer), renew_at });
        Ok(signer)
    }

    /// The certified key, if it is not yet time for another.
    fn current(&self, now: u64) -> Option<Arc<NodeSigner>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let current = current.as_ref().filter(|current| now < current.renew_at)?;
        Some(Arc::clone(&current.signer))
    }

    /// A fresh key with a certificate from the HSM. The seed is dropped, zeroizing, in here.
    async fn certify(&self, now: u64) -> Result<NodeSigner, Error> {
        // A new key each time, not the old one certified anew: what is stolen ends with its
        // certificate.
        let seed = SigningSeed::make(&mut self.environment.make_rng()?);
        let not_before = now.saturating_sub(SKEW);
        let claims = NodeClaims {
            deployment: self.key.deployment,
            node_public_key: NodeSigner::public_key(&seed),
            not_before,
            // From the date that was put back: clients refuse a certificate of more than a day.
            not_after: not_before.saturating_add(NodeClaims::LONGEST_S),
        };
        let signature = self.hsm.sign(self.key, claims.to_be_signed()).await?;
        NodeSigner::new(&seed, claims.certified(signature)).map_err(|_| Error::Internal)
    }
}
