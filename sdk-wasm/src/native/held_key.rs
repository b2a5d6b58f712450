//! A data key in this process.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use keyhaven_shared::{
    ciphertext::Ciphertext,
    ids::{KeyId, Version},
    secret::DataKey,
};

use super::{
    clock::ServerClock,
    error::{ArgumentFault, Error, IntegrityFault},
    lease::{Lease, Stop},
    lock::locked,
};

/// A data key as the server encrypted it: the key and version that did, and the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SealedKey {
    pub(crate) key: KeyId,
    pub(crate) version: Version,
    pub(crate) ciphertext: Vec<u8>,
}

impl SealedKey {
    /// Refuses bytes that name another key or version than the answer they came with: nobody could open
    /// the message.
    pub(crate) fn answered(
        key: KeyId,
        version: Version,
        ciphertext: Vec<u8>,
    ) -> Result<Self, IntegrityFault> {
        let named = Ciphertext::parse(&ciphertext).map_err(|_| IntegrityFault::Delivery)?;
        let same = (named.key, named.version) == (key, version);
        same.then_some(Self { key, version, ciphertext }).ok_or(IntegrityFault::Delivery)
    }
}

/// A data key, as long as it may be used. Zeroized when its lease ends, or when nobody holds it any more.
pub(crate) struct HeldKey {
    pub(crate) sealed: SealedKey,
    /// A device's data key is leased. A backend with an API token got its in plaintext, for good.
    lease: Option<Arc<Lease>>,
    /// New messages use it until then: a time of the client's [`ServerClock`].
    reusable_until: Duration,
    key: Mutex<Option<DataKey>>,
}

impl HeldKey {
    pub(crate) fn new(
        sealed: SealedKey,
        key: DataKey,
        lease: Option<Arc<Lease>>,
        reusable_until: Duration,
    ) -> Result<Arc<Self>, Error> {
        let held = Arc::new(Self { sealed, lease, reusable_until, key: Mutex::new(Some(key)) });
        if let Some(lease) = &held.lease {
            lease.used_by(&held)?;
        }
        Ok(held)
    }

    pub(crate) const fn lease(&self) -> Option<&Arc<Lease>> {
        self.lease.as_ref()
    }

    /// Whether a new message may be begun with it.
    pub(crate) fn is_fresh(&self, clock: &ServerClock) -> bool {
        let now = clock.now();
        now < self.reusable_until && self.check(now).is_ok()
    }

    /// Begins work with the key.
    pub(crate) fn begin<T>(
        &self,
        clock: &ServerClock,
        work: impl FnOnce(&DataKey) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.check(clock.now())?;
        if let Some(key) = locked(&self.key).as_ref() {
            return work(key);
        }
        // The lease ended just now.
        self.check(clock.now())?;
        Err(ArgumentFault::Finished.into())
    }

    /// Refuses when its lease has ended.
    pub(crate) fn check(&self, now: Duration) -> Result<(), Error> {
        self.lease.as_ref().map_or(Ok(()), |lease| lease.check(now))
    }
}

impl Stop for HeldKey {
    fn stop(&self) {
        drop(locked(&self.key).take());
    }
}
