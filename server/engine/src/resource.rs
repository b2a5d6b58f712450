//! What an operation acts on, and what policies can see of a request besides who, what and which.
//! Resolving is not deciding: a value of these types grants nothing.

use keyhaven_shared::{context::EncryptionContext, ids::KeyId};

use crate::{
    directory::Loaded,
    error::Error,
    port::store::{Epoch, Place},
    record::{Key, KeyringRecord},
};

/// What an operation acts on, resolved. A key always comes with its keyring: policies may permit by
/// either, and its versions are wrapped under the keyring's domain key.
#[derive(Debug, Clone)]
pub enum Resource {
    /// The installation. It has no row of its own that a decision could rest on.
    Deployment,
    /// A keyring.
    Keyring(Loaded<KeyringRecord>),
    /// A key and its keyring.
    Key(Loaded<KeyringRecord>, Loaded<Key>),
}

impl Resource {
    /// The rows that resolving rested on. An alias is not among them: which key it named when it
    /// was looked up is what was decided about, and the record says so by id.
    #[must_use]
    pub fn reads(&self) -> Vec<(Place, Epoch)> {
        match self {
            // What is decided about the installation rests on the caller and the policies alone.
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

/// What policies can see of a request as `context`. The request's own claims. All that can change a
/// decision must also be in what a remembered decision depends on: see `rules/question.rs`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The encryption context; its pairs are tags of `context.encryption`.
    pub encryption: Option<&'a EncryptionContext>,
    /// Seconds of offline grace asked for (`context.offline_grace_s`). 0 where the operation has
    /// none. What the key allows at most is checked in the act.
    pub offline_grace_s: u32,
    /// Whether the client asks to be allowed to export the data key (`context.export`).
    pub export: bool,
}
