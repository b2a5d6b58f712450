//! Data keys: held while they may be used, else asked for; once, however many want the same.

mod held;
mod renewal;

use std::sync::{Arc, Mutex, MutexGuard};

use keyhaven_shared::context::EncryptionContext;

use self::held::{Held, Name};
use super::{
    clock::ServerClock,
    device_source::DeviceSource,
    endpoint::Endpoint,
    error::Error,
    held_key::{HeldKey, SealedKey},
    key_name::KeyName,
    leases::Leases,
    limits::Limits,
    lock::locked,
    single_flight::SingleFlight,
    token_source::TokenSource,
    transport::BoxFuture,
};

/// Where data keys come from.
pub(crate) enum Source {
    Token(TokenSource),
    Device(DeviceSource),
}

/// The data keys of a client.
pub(crate) struct DataKeys(Arc<Shared>);

/// Shared with requests on their way; renewals hold it weakly.
struct Shared {
    source: Source,
    endpoint: Endpoint,
    clock: Arc<ServerClock>,
    leases: Arc<Leases>,
    limits: Limits,
    flights: SingleFlight<Name, Arc<HeldKey>>,
    held: Mutex<Held>,
}

impl Source {
    /// A new data key to encrypt with.
    async fn fresh(
        &self,
        key: &KeyName,
        context: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        match self {
            Self::Token(source) => source.fresh(key, context).await,
            Self::Device(source) => source.fresh(key, context).await,
        }
    }

    /// A message's data key.
    async fn opened(
        &self,
        sealed: SealedKey,
        context: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        match self {
            Self::Token(source) => source.opened(sealed, context).await,
            Self::Device(source) => source.opened(sealed, context).await,
        }
    }
}

impl DataKeys {
    pub(crate) fn new(
        source: Source,
        (endpoint, clock, leases): (&Endpoint, &Arc<ServerClock>, &Arc<Leases>),
        limits: Limits,
    ) -> Self {
        Self(Arc::new(Shared {
            source,
            endpoint: endpoint.clone(),
            clock: Arc::clone(clock),
            leases: Arc::clone(leases),
            limits,
            flights: SingleFlight::new(),
            held: Mutex::new(Held::new(limits.max_entries)),
        }))
    }

    /// A key to encrypt one message of so many bytes: held, or new. A stream, whose length nobody knows,
    /// takes one of its own, so that the limit on bytes holds; only when the server cannot be reached it
    /// shares a held one.
    ///
    /// # Errors
    /// What the source says; [`Error::Closed`]; [`Error::LeaseEnded`] when that came before the key.
    pub(crate) async fn for_encryption(
        &self,
        key: &KeyName,
        context: &EncryptionContext,
        bytes: Option<u64>,
    ) -> Result<Arc<HeldKey>, Error> {
        let name = Name::Encryption(key.clone(), context.hash());
        let limits = &self.0.limits;
        let fits = self.0.shares() && bytes.is_some_and(|bytes| bytes <= limits.max_bytes);
        let given = if fits {
            self.shared(key, context, (&name, bytes.unwrap_or_default())).await
        } else {
            self.own(key, context).await
        };
        match given {
            // In vain, so that a lease in its grace may serve.
            Err(error) if self.0.endpoint.reachability().is_offline() => {
                self.0.take(&name, bytes.unwrap_or_default())?.ok_or(error)
            }
            given => given,
        }
    }

    /// The data key of a message: held, or opened by the server. Held is what opened under this very context:
    /// with another one the server is asked, and refuses.
    ///
    /// # Errors
    /// As [`Self::for_encryption`].
    pub(crate) async fn for_decryption(
        &self,
        sealed: SealedKey,
        context: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        let name = Name::Decryption(sealed.clone(), context.hash());
        if let Some(held) = self.0.find(&name)? {
            return Ok(held);
        }
        let (shared, asked, context) = (Arc::clone(&self.0), name.clone(), context.clone());
        let ask = || -> BoxFuture<'static, _> {
            Box::pin(async move { shared.opened(asked, sealed, &context).await })
        };
        match self.0.flights.join(name.clone(), ask).await {
            Err(error) if self.0.endpoint.reachability().is_offline() => {
                self.0.find(&name)?.ok_or(error)
            }
            given => given,
        }
    }

    /// Lets go of all keys.
    pub(crate) fn forget(&self) {
        locked(&self.0.held).forget();
    }

    /// As [`Self::forget`], and gives none any more.
    pub(crate) fn close(&self) {
        locked(&self.0.held).close();
    }

    /// Lets go of keys that no new message can use.
    pub(crate) fn sweep(&self) {
        let (now, rotations) = (self.0.clock.now(), self.0.leases.rotations());
        let mut held = locked(&self.0.held);
        held.encryption.retain(|counted| {
            counted.key.is_worth_holding(now) && !rotations.is_old(&counted.key.sealed)
        });
        held.decryption.retain(|key| key.is_worth_holding(now));
    }

    /// A data key of that name, held for others, too.
    async fn shared(
        &self,
        key: &KeyName,
        context: &EncryptionContext,
        (name, bytes): (&Name, u64),
    ) -> Result<Arc<HeldKey>, Error> {
        loop {
            if let Some(held) = self.0.take(name, bytes)? {
                return Ok(held);
            }
            // Others who waited for it may have used it up: then it is asked again.
            let fresh = self.0.successor(key, context).await?;
            fresh.check(self.0.clock.now())?;
            if self.0.leases.rotations().is_old(&fresh.sealed) {
                // Overtaken by a rotation: good for those who waited, and for nobody after them.
                return Ok(fresh);
            }
        }
    }

    /// A data key for one message alone.
    async fn own(&self, key: &KeyName, context: &EncryptionContext) -> Result<Arc<HeldKey>, Error> {
        // Before a ticket is spent for nothing.
        drop(self.0.open()?);
        let held = self.0.source.fresh(key, context).await?;
        self.0.keep_up_encryption(&held, key, context);
        Ok(held)
    }
}

impl Shared {
    /// Whether a data key serves more than one message.
    const fn shares(&self) -> bool {
        self.limits.max_entries > 0 && self.limits.max_messages > 1
    }

    /// A new data key to encrypt with, which is held from now on. Those who want it at once get the same.
    async fn successor(
        self: &Arc<Self>,
        key: &KeyName,
        context: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        let name = Name::Encryption(key.clone(), context.hash());
        let (shared, asked) = (Arc::clone(self), name.clone());
        let (key, context) = (key.clone(), context.clone());
        let ask = || -> BoxFuture<'static, _> {
            Box::pin(async move {
                let held = shared.source.fresh(&key, &context).await?;
                shared.keep_up_encryption(&held, &key, &context);
                // A client that was closed meanwhile holds nothing of the answer.
                if shared.shares() {
                    shared.open()?.hold_to_encrypt(asked, &held);
                }
                Ok(held)
            })
        };
        self.flights.join(name, ask).await
    }

    /// Has the server open a message's data key, which is held from now on.
    async fn opened(
        self: Arc<Self>,
        name: Name,
        sealed: SealedKey,
        context: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        let held = self.source.opened(sealed, context).await?;
        self.keep_up_decryption(&held, context);
        self.open()?.decryption.insert(name, Arc::clone(&held));
        Ok(held)
    }

    /// What is held, unless the client was closed.
    fn open(&self) -> Result<MutexGuard<'_, Held>, Error> {
        let held = locked(&self.held);
        if held.is_closed() { Err(Error::Closed) } else { Ok(held) }
    }

    /// A held key that may encrypt so much more. Counts it.
    fn take(&self, name: &Name, bytes: u64) -> Result<Option<Arc<HeldKey>>, Error> {
        let mut held = self.open()?;
        let counted = held.encryption.get(name);
        let rotations = self.leases.rotations();
        let counted = counted.filter(|counted| {
            self.is_usable(&counted.key) && !rotations.is_old(&counted.key.sealed)
        });
        Ok(counted.and_then(|counted| counted.claim(bytes, &self.limits)))
    }

    /// A held key to decrypt with.
    fn find(&self, name: &Name) -> Result<Option<Arc<HeldKey>>, Error> {
        let held = self.open()?.decryption.get(name).cloned();
        Ok(held.filter(|held| self.is_usable(held)))
    }

    /// Whether a new message may be begun with a key: also in its grace, while the server is away.
    fn is_usable(&self, key: &HeldKey) -> bool {
        let monotonic = self.clock.moment().monotonic;
        key.is_usable(self.clock.now(), self.endpoint.reachability().is_resting(monotonic))
    }
}
