//! Sealing to a device: HPKE (RFC 9180 and its successor draft), Base mode, one message a context.
//!
//! A recipient's X25519 key may be a non-extractable WebCrypto key, in either suite. Then that step
//! happens there and only its result comes here: see [`SealingPublicKey::open`].
//!
//! A context seals one message and is dropped, so its counter never moves from 0 and cannot wrap; the
//! secret exporter and the export-only AEAD cannot be reached from here.

mod hybrid;
mod open;
mod public_key;

pub use self::{
    hybrid::MlKemPrivateKey,
    open::Agreement,
    public_key::{SealingPublicKey, UnusableKey},
};

/// How a data key is sealed to a device. Codes stand in authenticated bytes and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SealingSuite {
    /// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (RFC 9180 §7: 0x0020, 0x0001, 0x0002).
    X25519Aes256Gcm = 1,
    /// MLKEM768-X25519, which is X-Wing (draft-ietf-hpke-pq: 0x647a), with the same KDF and AEAD: opens
    /// only for who breaks both ML-KEM-768 and X25519.
    MlKem768X25519Aes256Gcm = 2,
}

/// What a sealed message is bound to besides its recipient.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Decides the key: RFC 9180's `info`, at most [`Binding::MAX_INFO`] bytes.
    pub info: &'a [u8],
    /// Authenticated with the message: RFC 9180's `aad`.
    pub aad: &'a [u8],
}

/// A sealed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The encapsulated key, RFC 9180's `enc`: [`SealingSuite::encapsulated_bytes`] long.
    pub enc: Vec<u8>,
    /// AES-256-GCM ciphertext and tag: 16 bytes longer than the message.
    pub ciphertext: Vec<u8>,
}

/// Nothing can be sealed by these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be sealed to this public key: enrol the device with a new key")]
pub struct SealError;

impl Binding<'_> {
    /// The most bytes of `info`; ours are far shorter.
    // A bound because the key schedule hashes all of it, before anything has been authenticated.
    pub const MAX_INFO: usize = 4096;
}

impl SealingSuite {
    /// Every suite, weakest first.
    pub const ALL: &'static [Self] = &[Self::X25519Aes256Gcm, Self::MlKem768X25519Aes256Gcm];

    /// The code that stands for this suite in authenticated bytes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::X25519Aes256Gcm => 1,
            Self::MlKem768X25519Aes256Gcm => 2,
        }
    }

    /// The suite with this code.
    // `None`, never a default: an unknown suite must not be read as the first.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::X25519Aes256Gcm),
            2 => Some(Self::MlKem768X25519Aes256Gcm),
            _ => None,
        }
    }

    /// Bytes of a public key: RFC 9180's `Npk`.
    #[must_use]
    pub const fn public_key_bytes(self) -> usize {
        match self {
            Self::X25519Aes256Gcm => X25519,
            Self::MlKem768X25519Aes256Gcm => hybrid::ENCAPSULATION_KEY + X25519,
        }
    }

    /// Bytes of an encapsulated key: RFC 9180's `Nenc`.
    #[must_use]
    pub const fn encapsulated_bytes(self) -> usize {
        match self {
            Self::X25519Aes256Gcm => X25519,
            Self::MlKem768X25519Aes256Gcm => hybrid::CIPHERTEXT + X25519,
        }
    }
}

impl Sealed {
    /// The sender's ephemeral X25519 key, to agree a secret with: `enc` itself, or its end.
    // In both suites the last 32 bytes: so WebCrypto can do its step without knowing which suite it
    // is for.
    #[must_use]
    pub fn x25519_share(&self) -> Option<&[u8; 32]> {
        self.enc.last_chunk()
    }
}

/// Bytes of a key or shared secret of X25519 (RFC 7748).
const X25519: usize = 32;

#[cfg(test)]
pub(crate) mod tests;
