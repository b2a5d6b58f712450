//! How the leases of data keys are renewed.

use std::sync::{Arc, Weak};

use keyhaven_shared::context::EncryptionContext;

use super::{Shared, held::Name};
use crate::native::{
    error::Error,
    held_key::{HeldKey, SealedKey},
    key_name::KeyName,
    lease::{Lease, Renewal, Times},
    lock::locked,
    transport::BoxFuture,
};

/// Renews the right to decrypt with a data key, by having the same opened again.
struct OpenAgain {
    /// Weak, as all that a lease holds: the client holds the lease, and a circle would never be freed.
    keys: Weak<Shared>,
    sealed: SealedKey,
    context: EncryptionContext,
}

/// Renews the right to encrypt: whoever is given another data key of the same key and context may go on with
/// the one at work. The next message takes the new one.
struct Succeed {
    keys: Weak<Shared>,
    lease: Weak<Lease>,
    key: KeyName,
    context: EncryptionContext,
}

impl Shared {
    /// From now on the lease of a message's data key is renewed while it is in use.
    pub(super) fn keep_up_decryption(
        self: &Arc<Self>,
        held: &HeldKey,
        context: &EncryptionContext,
    ) {
        if let Some(lease) = held.lease() {
            let (sealed, context) = (held.sealed.clone(), context.clone());
            let keys = Arc::downgrade(self);
            self.leases.keep_up(lease, OpenAgain { keys, sealed, context });
        }
    }

    /// The same for a data key to encrypt with.
    pub(super) fn keep_up_encryption(
        self: &Arc<Self>,
        held: &HeldKey,
        key: &KeyName,
        context: &EncryptionContext,
    ) {
        if let Some(lease) = held.lease() {
            let (key, context) = (key.clone(), context.clone());
            let (keys, own) = (Arc::downgrade(self), Arc::downgrade(lease));
            self.leases.keep_up(lease, Succeed { keys, lease: own, key, context });
        }
    }

    /// A held key that was given after this lease: another message asked for it meanwhile.
    fn newer(&self, name: &Name, lease: &Lease) -> Option<Arc<HeldKey>> {
        let mut held = locked(&self.held);
        let counted = held.encryption.get(name)?;
        let times = counted.key.lease()?.times();
        let newer = times.issued_at > lease.times().issued_at && self.is_usable(&counted.key);
        newer.then(|| Arc::clone(&counted.key))
    }
}

impl Renewal for OpenAgain {
    fn is_possible(&self) -> bool {
        self.keys.strong_count() > 0
    }

    fn renew(&self) -> BoxFuture<'static, Result<Times, Error>> {
        let (keys, sealed, context) =
            (self.keys.clone(), self.sealed.clone(), self.context.clone());
        Box::pin(async move {
            let keys = keys.upgrade().ok_or(Error::Closed)?;
            // The same bytes come once more, and are zeroized here: the held key stays as it is.
            let again = keys.source.opened(sealed, &context).await?;
            granted(&again)
        })
    }
}

impl Renewal for Succeed {
    fn is_possible(&self) -> bool {
        self.keys.strong_count() > 0
    }

    fn renew(&self) -> BoxFuture<'static, Result<Times, Error>> {
        let (keys, own, key, context) =
            (self.keys.clone(), self.lease.clone(), self.key.clone(), self.context.clone());
        Box::pin(async move {
            let keys = keys.upgrade().ok_or(Error::Closed)?;
            let own = own.upgrade().ok_or(Error::Closed)?;
            let name = Name::Encryption(key.clone(), context.hash());
            let next = match keys.newer(&name, &own) {
                Some(newer) => newer,
                None => keys.successor(&key, &context).await?,
            };
            // The name may mean another key by now: that says nothing about this one.
            if next.sealed.key == own.key() { granted(&next) } else { Ok(own.times()) }
        })
    }
}

/// The times that a data key was given for.
fn granted(held: &HeldKey) -> Result<Times, Error> {
    held.lease().map(|lease| lease.times()).ok_or(Error::Closed)
}
