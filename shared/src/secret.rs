//! Secret bytes. One boxed type a purpose; each zeroizes on drop and has no `Debug`, `Clone`,
//! `Serialize` or `PartialEq`, so it can be neither printed, copied, sent nor compared carelessly.
//!
//! Boxed, so that moving a secret copies a pointer: bytes that lay on the stack would stay there
//! after the move. Not promised: that the system never writes memory to disk, or that a crash dump
//! has none.

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

// A type for each purpose, not one for all: a wrapping key passed for a data key does not compile.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Zeroize, ZeroizeOnDrop)]
        pub struct $name(Box<[u8; $bytes]>);

        impl $name {
            /// Length in bytes.
            pub const BYTES: usize = $bytes;

            /// Fills a new secret in place, so that no copy of it stays on the stack.
            // Made by filling: returning an array by value may leave it on the stack of every
            // function it passes.
            #[must_use]
            pub fn fill_with(fill: impl FnOnce(&mut [u8; $bytes])) -> Self {
                let mut bytes = Box::new([0; $bytes]);
                fill(&mut bytes);
                Self(bytes)
            }

            /// Makes a new secret from a cryptographic random generator.
            #[must_use]
            pub fn make(rng: &mut impl CryptoRng) -> Self {
                Self::fill_with(|bytes| rng.fill_bytes(bytes))
            }

            /// Copies a secret out of bytes whose owner zeroizes them; `None` for another length.
            // By borrow: the caller keeps its bytes, and has to wipe them.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                let bytes: &[u8; $bytes] = bytes.try_into().ok()?;
                Some(Self::fill_with(|secret| secret.copy_from_slice(bytes)))
            }

            /// The secret bytes. Each call says in an `EXPOSE:` comment why it needs them.
            // Not `Deref` or `AsRef`: those would expose it where nobody wrote that they do.
            #[must_use]
            pub const fn expose_secret(&self) -> &[u8; $bytes] {
                &self.0
            }
        }
    };
}

secret!(
    /// A data key: encrypts one object or session, at the client or in a backend.
    DataKey, 32
);
secret!(
    /// Encrypts the frames of one message; derived from its data key and its random id.
    MessageKey, 32
);
secret!(
    /// A key version's material: wraps data keys and encrypts small messages.
    KeyMaterial, 32
);
secret!(
    /// A keyring's domain key: opened by the HSM once, parent of the sub-keys below.
    DomainKey, 32
);
secret!(
    /// Wraps key versions; a sub-key of the domain key.
    WrappingKey, 32
);
secret!(
    /// A device's X25519 private key, where the platform cannot keep it out of our memory.
    SealingPrivateKey, 32
);
secret!(
    /// A device's ML-KEM-768 private key, as the seed d ‖ z that it is expanded from (FIPS 203 §6.1).
    MlKemSeed, 64
);
secret!(
    /// What a device's private key and a delivery's encapsulated key give: by X25519 (RFC 7748 §6.1), by
    /// ML-KEM-768 (FIPS 203 §7.3), or both combined.
    SharedSecret, 32
);
secret!(
    /// Keys the hashes of requests in the audit log, so that they cannot be guessed at; a sub-key of the
    /// system's domain key.
    AuditKey, 32
);
secret!(
    /// The seed of a signing key that the server holds in memory (RFC 8032 §5.1.5).
    SigningSeed, 32
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_length_is_a_secret() {
        assert!(DataKey::from_slice(&[1; 31]).is_none());
        assert!(DataKey::from_slice(&[1; 33]).is_none());
        // EXPOSE: the test compares what went in.
        assert_eq!(DataKey::from_slice(&[1; 32]).unwrap().expose_secret(), &[1; 32]);
    }

    #[test]
    fn zeroizing_leaves_zeros() {
        let mut key = DataKey::fill_with(|bytes| bytes.fill(0xa5));
        key.zeroize();
        // EXPOSE: the test looks at what is left.
        assert_eq!(key.expose_secret(), &[0; 32]);
    }
}
