//! What an operation acts on, and what policies can see of a request besides who, what and which.

use keyhaven_shared::{context::EncryptionContext, ids::KeyId};

use crate::{
    directory::Loaded,
    error::Error,
    port::store::{Epoch, Place},
    record::{Key, KeyringRecord},
};

/// What an operation acts on, resolved.
#[derive(Debug, Clone)]
pub enum Resource {
    /// The installation.
    Deployment,
    /// A keyring.
    Keyring(Loaded<KeyringRecord>),
    /// A key and its keyring.
    Key(Loaded<KeyringRecord>, Loaded<Key>),
}

impl Resource {
    /// The rows that resolving rested on.
    #[must_use]
    pub fn reads(&self) -> Vec<(Place, Epoch)> {
        match self {
            Self::Deployment => vec![],
            Self::Keyring(keyring) => vec![keyring.read()],
            Self::Key(keyring, key) => vec![keyring.read(), key.read()],
        }
    }

    /// The key's id, where it is a key.
    #[must_use]
    pub fn key_id(&self) -> Option<KeyId> {
        self.key().ok().map(|(_, key)| key.record.id)
    }

    /// The key and its keyring.
    ///
    /// # Errors
    /// [`Error::Internal`] when it is no key: the operation's target says otherwise.
    pub const fn key(&self) -> Result<(&Loaded<KeyringRecord>, &Loaded<Key>), Error> {
        match self {
            Self::Key(keyring, key) => Ok((keyring, key)),
            Self::Deployment | Self::Keyring(_) => Err(Error::Internal),
        }
    }

    /// The keyring, or the key's keyring.
    ///
    /// # Errors
    /// [`Error::Internal`] when it is neither: the operation's target says otherwise.
    pub const fn keyring(&self) -> Result<&Loaded<KeyringRecord>, Error> {
        match self {
            Self::Keyring(keyring) | Self::Key(keyring, _) => Ok(keyring),
            Self::Deployment => Err(Error::Internal),
        }
    }
}

/// What policies can see of a request as `context`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The encryption context; its pairs are tags of `context.encryption`.
    pub encryption: Option<&'a EncryptionContext>,
    /// Seconds of offline grace asked for (`context.offline_grace_s`).
    pub offline_grace_s: u32,
    /// Whether the client asks to be allowed to export the data key (`context.export`).
    pub export: bool,
}
