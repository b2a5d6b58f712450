//! Data keys: held while they may be used, else asked for; once, however many want the same.

use std::sync::{Arc, Mutex, MutexGuard};

use keyhaven_shared::context::EncryptionContext;

use super::{
    clock::ServerClock,
    device_source::DeviceSource,
    error::Error,
    held_key::{HeldKey, SealedKey},
    key_name::KeyName,
    limits::Limits,
    lock::locked,
    recent::Recent,
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
pub(crate) struct DataKeys {
    shared: Arc<Shared>,
    flights: SingleFlight<Name, Arc<HeldKey>>,
}

struct Shared {
    source: Source,
    clock: Arc<ServerClock>,
    limits: Limits,
    held: Mutex<Held>,
}

struct Held {
    encryption: Recent<Name, Counted>,
    decryption: Recent<Name, Arc<HeldKey>>,
    closed: bool,
}

/// A data key to encrypt with, and what it encrypted.
struct Counted {
    key: Arc<HeldKey>,
    messages: u64,
    bytes: u64,
}

/// What is asked for: the same name, the same answer.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Encryption(KeyName, [u8; 32]),
    Decryption(SealedKey, [u8; 32]),
}

impl Source {
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
    pub(crate) fn new(source: Source, clock: Arc<ServerClock>, limits: Limits) -> Self {
        let held = Held {
            encryption: Recent::new(limits.max_entries),
            decryption: Recent::new(limits.max_entries),
            closed: false,
        };
        let shared = Shared { source, clock, limits, held: Mutex::new(held) };
        Self { shared: Arc::new(shared), flights: SingleFlight::new() }
    }

    /// A key to encrypt one message of so many bytes: held, or new. A stream, whose length nobody knows,
    /// takes one of its own.
    pub(crate) async fn for_encryption(
        &self,
        key: &KeyName,
        context: &EncryptionContext,
        bytes: Option<u64>,
    ) -> Result<Arc<HeldKey>, Error> {
        let limits = &self.shared.limits;
        drop(self.shared.open()?);
        let shares = limits.max_entries > 0 && limits.max_messages > 1;
        let Some(bytes) = bytes.filter(|bytes| shares && *bytes <= limits.max_bytes) else {
            return self.shared.source.fresh(key, context).await;
        };
        let name = Name::Encryption(key.clone(), context.hash());
        loop {
            if let Some(held) = self.shared.take(&name, bytes)? {
                return Ok(held);
            }
            let shared = Arc::clone(&self.shared);
            let (asked, key, context) = (name.clone(), key.clone(), context.clone());
            let ask = || -> BoxFuture<'static, _> {
                Box::pin(async move {
                    let held = shared.source.fresh(&key, &context).await?;
                    let counted = Counted { key: Arc::clone(&held), messages: 0, bytes: 0 };
                    shared.open()?.encryption.insert(asked, counted);
                    Ok(held)
                })
            };
            // Others who waited for it may have used it up: then it is asked again.
            let fresh = self.flights.join(name.clone(), ask).await?;
            fresh.check(self.shared.clock.now())?;
        }
    }

    /// The data key of a message: held, or opened by the server.
    pub(crate) async fn for_decryption(
        &self,
        sealed: SealedKey,
        context: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        let name = Name::Decryption(sealed.clone(), context.hash());
        let held = self.shared.open()?.decryption.get(&name).cloned();
        if let Some(held) = held.filter(|held| held.is_fresh(&self.shared.clock)) {
            return Ok(held);
        }
        let shared = Arc::clone(&self.shared);
        let (asked, context) = (name.clone(), context.clone());
        let ask = || -> BoxFuture<'static, _> {
            Box::pin(async move {
                let held = shared.source.opened(sealed, &context).await?;
                shared.open()?.decryption.insert(asked, Arc::clone(&held));
                Ok(held)
            })
        };
        self.flights.join(name, ask).await
    }

    /// Lets go of all keys.
    pub(crate) fn forget(&self) {
        let mut held = locked(&self.shared.held);
        held.encryption.clear();
        held.decryption.clear();
    }

    /// As [`Self::forget`], and gives none any more.
    pub(crate) fn close(&self) {
        locked(&self.shared.held).closed = true;
        self.forget();
    }

    /// Lets go of keys that no new message can use.
    pub(crate) fn sweep(&self) {
        let clock = &self.shared.clock;
        let mut held = locked(&self.shared.held);
        held.encryption.retain(|counted| counted.key.is_fresh(clock));
        held.decryption.retain(|key| key.is_fresh(clock));
    }
}

impl Shared {
    /// What is held, unless the client was closed.
    fn open(&self) -> Result<MutexGuard<'_, Held>, Error> {
        let held = locked(&self.held);
        if held.closed { Err(Error::Closed) } else { Ok(held) }
    }

    /// A held key that may encrypt so much more. Counts it.
    fn take(&self, name: &Name, bytes: u64) -> Result<Option<Arc<HeldKey>>, Error> {
        let mut held = self.open()?;
        let counted = held.encryption.get(name);
        let counted = counted.filter(|counted| counted.key.is_fresh(&self.clock));
        Ok(counted.and_then(|counted| counted.claim(bytes, &self.limits)))
    }
}

impl Counted {
    fn claim(&mut self, bytes: u64, limits: &Limits) -> Option<Arc<HeldKey>> {
        let (messages, bytes) = (self.messages + 1, self.bytes.saturating_add(bytes));
        if messages > limits.max_messages || bytes > limits.max_bytes {
            return None;
        }
        (self.messages, self.bytes) = (messages, bytes);
        Some(Arc::clone(&self.key))
    }
}
