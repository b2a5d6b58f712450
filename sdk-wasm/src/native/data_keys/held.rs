//! The data keys that are held.

use std::sync::Arc;

use crate::native::{
    held_key::{HeldKey, SealedKey},
    key_name::KeyName,
    limits::Limits,
    recent::Recent,
};

/// What is asked for: the same name, the same answer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Encryption(KeyName, [u8; 32]),
    Decryption(SealedKey, [u8; 32]),
}

/// The data keys that are held, by their names.
pub(super) struct Held {
    pub(super) encryption: Recent<Name, Counted>,
    pub(super) decryption: Recent<Name, Arc<HeldKey>>,
    closed: bool,
}

/// A data key to encrypt with, and what it encrypted.
pub(super) struct Counted {
    pub(super) key: Arc<HeldKey>,
    messages: u64,
    bytes: u64,
}

impl Held {
    /// At most so many of each kind.
    pub(super) fn new(most: usize) -> Self {
        Self { encryption: Recent::new(most), decryption: Recent::new(most), closed: false }
    }

    /// Holds a key that encrypted nothing yet.
    pub(super) fn hold_to_encrypt(&mut self, name: Name, key: &Arc<HeldKey>) {
        let counted = Counted { key: Arc::clone(key), messages: 0, bytes: 0 };
        self.encryption.insert(name, counted);
    }

    /// Lets go of all keys.
    pub(super) fn forget(&mut self) {
        self.encryption.clear();
        self.decryption.clear();
    }

    /// As [`Self::forget`]; nothing is to be held any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.forget();
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Counted {
    /// The key, if it may encrypt one message of so many bytes more. Counts it.
    pub(super) fn claim(&mut self, bytes: u64, limits: &Limits) -> Option<Arc<HeldKey>> {
        let (messages, bytes) = (self.messages + 1, self.bytes.saturating_add(bytes));
        if messages > limits.max_messages || bytes > limits.max_bytes {
            return None;
        }
        (self.messages, self.bytes) = (messages, bytes);
        Some(Arc::clone(&self.key))
    }
}
