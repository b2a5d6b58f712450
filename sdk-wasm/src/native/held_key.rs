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
    right: Right,
    /// `None` once its lease has ended.
    key: Mutex<Option<DataKey>>,
}

/// The right to use a data key.
enum Right {
    /// A device's data key is leased.
    Leased(Arc<Lease>),
    /// A backend with an API token got its data key in plaintext, for good. New messages use it until then: a
    /// time of the client's [`ServerClock`].
    Owned(Duration),
}

impl HeldKey {
    /// A device's data key; refused if its lease has ended meanwhile.
    pub(crate) fn leased(
        sealed: SealedKey,
        key: DataKey,
        lease: Arc<Lease>,
    ) -> Result<Arc<Self>, Error> {
        let right = Right::Leased(Arc::clone(&lease));
        let held = Arc::new(Self { sealed, right, key: Mutex::new(Some(key)) });
        lease.held_by(&held)?;
        Ok(held)
    }

    /// A backend's data key, for new messages until then.
    pub(crate) fn owned(sealed: SealedKey, key: DataKey, until: Duration) -> Arc<Self> {
        Arc::new(Self { sealed, right: Right::Owned(until), key: Mutex::new(Some(key)) })
    }

    /// Its lease, if it has one.
    pub(crate) const fn lease(&self) -> Option<&Arc<Lease>> {
        match &self.right {
            Right::Leased(lease) => Some(lease),
            Right::Owned(_) => None,
        }
    }

    /// Whether a new message may be begun with it; `resting` says that the server was just tried in vain.
    pub(crate) fn is_usable(&self, now: Duration, resting: bool) -> bool {
        match &self.right {
            Right::Leased(lease) => lease.is_usable(now, resting),
            Right::Owned(until) => now < *until,
        }
    }

    /// Whether a new message may ever be begun with it.
    pub(crate) fn is_worth_holding(&self, now: Duration) -> bool {
        match &self.right {
            Right::Leased(lease) => lease.check(now).is_ok(),
            Right::Owned(until) => now < *until,
        }
    }

    /// Begins work with the key. It is lent, not given: what outlives this are the message's own keys.
    ///
    /// # Errors
    /// The work's; [`Error::LeaseEnded`].
    pub(crate) fn begin<T>(
        &self,
        clock: &ServerClock,
        work: impl FnOnce(&DataKey) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.check(clock.now())?;
        if let Some(lease) = self.lease() {
            lease.note_use();
        }
        if let Some(key) = locked(&self.key).as_ref() {
            return work(key);
        }
        // The lease ended just now.
        self.check(clock.now())?;
        Err(ArgumentFault::Finished.into())
    }

    /// Refuses when its lease has ended.
    pub(crate) fn check(&self, now: Duration) -> Result<(), Error> {
        self.lease().map_or(Ok(()), |lease| lease.check(now))
    }
}

impl Stop for HeldKey {
    fn stop(&self) {
        drop(locked(&self.key).take());
    }
}
