//! An HSM in memory with real cryptography, for tests of what stands on the port. It holds its keys in
//! the open: never a part of the server.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit, Payload},
};
use chacha20::ChaCha20Rng;
use ed25519_dalek::{Signer, SigningKey};
use keyhaven_shared::{ids::DeploymentId, secret::DomainKey};
use rand_core::{Rng, SeedableRng};

use crate::{
    permit::Permit,
    port::hsm::{Hsm, HsmError, HsmFuture, HsmKey, HsmRole},
};

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call did not happen, and is reported as [`HsmError::Unavailable`].
    Lost,
    /// The call happened, and is reported as [`HsmError::Unavailable`].
    AppliedButReportedFailed,
}

/// The fake. Its keys live as long as it does: share it to play a restart.
#[derive(Debug)]
pub struct MemoryHsm(Mutex<State>);

struct State {
    rng: ChaCha20Rng,
    keys: BTreeMap<HsmKey, [u8; 32]>,
    faults: VecDeque<Option<Fault>>,
    offline: bool,
    calls: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl MemoryHsm {
    /// An empty token whose randomness comes from `seed`, so that a failing test can be repeated.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            rng: ChaCha20Rng::seed_from_u64(seed),
            keys: BTreeMap::new(),
            faults: VecDeque::new(),
            offline: false,
            calls: 0,
        }))
    }

    /// Fails the next call. Called again, fails the one after it, and so on.
    pub fn fail_next(&self, fault: Fault) {
        self.state().faults.push_back(Some(fault));
    }

    /// Lets `calls` calls pass before the next fault.
    pub fn pass_next(&self, calls: usize) {
        self.state().faults.extend(std::iter::repeat_n(None, calls));
    }

    /// While offline, every call is [`Fault::Lost`].
    pub fn set_offline(&self, offline: bool) {
        self.state().offline = offline;
    }

    /// How many calls came, failed ones too.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many keys there are, of all installations.
    #[must_use]
    pub fn held(&self) -> usize {
        self.state().keys.len()
    }

    /// Takes a key out of the token, as an operator with the vendor's tool would.
    pub fn remove(&self, key: HsmKey) {
        self.state().keys.remove(&key);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call: its fault first, then its work.
    fn call<'a, T: Send + 'a>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, HsmError>,
    ) -> HsmFuture<'a, T> {
        let mut state = self.state();
        state.calls += 1;
        let fault =
            if state.offline { Some(Fault::Lost) } else { state.faults.pop_front().flatten() };
        let answer = match fault {
            Some(Fault::Lost) => Err(HsmError::Unavailable("lost".to_owned())),
            Some(Fault::AppliedButReportedFailed) => work(&mut state)
                .and_then(|_| Err(HsmError::Unavailable("applied, reported as failed".to_owned()))),
            None => work(&mut state),
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Hsm for MemoryHsm {
    fn make_key<'a>(&'a self, _permit: &'a Permit, key: HsmKey) -> HsmFuture<'a, ()> {
        self.call(|state| {
            if state.keys.contains_key(&key) {
                return Err(HsmError::Refused(format!("the key `{key}` exists")));
            }
            let mut bytes = [0; 32];
            state.rng.fill_bytes(&mut bytes);
            state.keys.insert(key, bytes);
            Ok(())
        })
    }

    fn destroy_root<'a>(&'a self, _permit: &'a Permit, key: HsmKey) -> HsmFuture<'a, ()> {
        self.call(|state| {
            is_root(key)?;
            state.keys.remove(&key);
            Ok(())
        })
    }

    fn abandon<'a>(&'a self, _permit: &'a Permit, deployment: DeploymentId) -> HsmFuture<'a, ()> {
        self.call(|state| {
            state.keys.retain(|key, _| key.deployment != deployment);
            Ok(())
        })
    }

    fn keys(&self, deployment: DeploymentId) -> HsmFuture<'_, Vec<HsmKey>> {
        self.call(|state| {
            let own = |key: &HsmKey| key.deployment == deployment;
            Ok(state.keys.keys().copied().filter(own).collect())
        })
    }

    fn check_key(&self, key: HsmKey) -> HsmFuture<'_, ()> {
        self.call(|state| state.key(key).map(drop))
    }

    fn seal<'a>(
        &'a self,
        _permit: &'a Permit,
        root: HsmKey,
        aad: Vec<u8>,
        secret: &'a DomainKey,
    ) -> HsmFuture<'a, Vec<u8>> {
        self.call(|state| {
            is_root(root)?;
            let cipher = Aes256Gcm::new(&state.key(root)?.into());
            let mut nonce = [0; 12];
            state.rng.fill_bytes(&mut nonce);
            // EXPOSE: sealing is what the caller asks for.
            let payload = Payload { msg: secret.expose_secret(), aad: &aad };
            let body = cipher
                .encrypt(&nonce.into(), payload)
                .map_err(|_| HsmError::Refused("too long".to_owned()))?;
            Ok([nonce.as_slice(), &body].concat())
        })
    }

    fn open(&self, root: HsmKey, aad: Vec<u8>, sealed: Vec<u8>) -> HsmFuture<'_, DomainKey> {
        self.call(|state| {
            is_root(root)?;
            let cipher = Aes256Gcm::new(&state.key(root)?.into());
            let (nonce, body) = sealed.split_first_chunk::<12>().ok_or(HsmError::NotOpened)?;
            let opened = cipher
                .decrypt(&(*nonce).into(), Payload { msg: body, aad: &aad })
                .map_err(|_| HsmError::NotOpened)?;
            DomainKey::from_slice(&opened).ok_or(HsmError::NotOpened)
        })
    }

    fn sign(&self, key: HsmKey, message: Vec<u8>) -> HsmFuture<'_, [u8; 64]> {
        self.call(|state| Ok(state.signer(key)?.sign(&message).to_bytes()))
    }

    fn public_key(&self, key: HsmKey) -> HsmFuture<'_, [u8; 32]> {
        self.call(|state| Ok(state.signer(key)?.verifying_key().to_bytes()))
    }

    fn ping(&self) -> HsmFuture<'_, ()> {
        self.call(|_| Ok(()))
    }
}

impl State {
    fn key(&self, key: HsmKey) -> Result<[u8; 32], HsmError> {
        self.keys.get(&key).copied().ok_or(HsmError::Missing(key))
    }

    fn signer(&self, key: HsmKey) -> Result<SigningKey, HsmError> {
        match key.role {
            HsmRole::Issuer | HsmRole::Log => Ok(SigningKey::from_bytes(&self.key(key)?)),
            HsmRole::Root { .. } => Err(HsmError::Refused("a root signs nothing".to_owned())),
        }
    }
}

fn is_root(key: HsmKey) -> Result<(), HsmError> {
    match key.role {
        HsmRole::Root { .. } => Ok(()),
        HsmRole::Issuer | HsmRole::Log => Err(HsmError::Refused(format!("`{key}` is no root"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::hsm::run_all;

    const PERMIT: Permit = Permit::for_conformance();

    fn log() -> HsmKey {
        HsmKey { deployment: DeploymentId::from_random([9; 16]), role: HsmRole::Log }
    }

    #[tokio::test]
    async fn does_what_every_hsm_must() {
        run_all(&MemoryHsm::new(1), 0).await.unwrap();
    }

    #[tokio::test]
    async fn a_lost_call_did_not_happen_and_an_applied_one_did() {
        let hsm = MemoryHsm::new(1);
        hsm.fail_next(Fault::Lost);
        assert!(hsm.make_key(&PERMIT, log()).await.is_err());
        assert_eq!(hsm.check_key(log()).await, Err(HsmError::Missing(log())));
        hsm.pass_next(1);
        hsm.fail_next(Fault::AppliedButReportedFailed);
        hsm.ping().await.unwrap();
        assert!(matches!(hsm.make_key(&PERMIT, log()).await, Err(HsmError::Unavailable(_))));
        hsm.check_key(log()).await.unwrap();
        assert_eq!(hsm.calls(), 5);
    }

    #[tokio::test]
    async fn an_offline_token_comes_back_with_its_keys() {
        let hsm = MemoryHsm::new(1);
        hsm.make_key(&PERMIT, log()).await.unwrap();
        hsm.set_offline(true);
        assert!(matches!(hsm.ping().await, Err(HsmError::Unavailable(_))));
        hsm.set_offline(false);
        hsm.check_key(log()).await.unwrap();
        hsm.remove(log());
        assert_eq!(hsm.check_key(log()).await, Err(HsmError::Missing(log())));
    }
}
