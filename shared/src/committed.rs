//! Committed authenticated encryption: AES-256-GCM under a fresh key for each message, with a
//! commitment to that key. One ciphertext opens under one key and one `info` only.
//!
//! ```text
//! key ‖ commitment = HKDF-SHA-256(ikm = parent key, salt = 32 random bytes, info, 64 bytes)   RFC 5869
//! body             = AES-256-GCM(key, nonce = 12 zero bytes, aad = empty, plaintext)          SP 800-38D
//! sealed           = salt (32) ‖ commitment (32) ‖ body (plaintext + 16)
//! ```
//! A key is used once, so the nonce is fixed and no nonce limit is ever near. Everything that must be
//! bound (place, suite, context) stands in `info`, so it decides the key itself.
//!
//! Why the commitment: AES-GCM alone does not bind a ciphertext to one key. Two keys can be found
//! with a ciphertext that both open, which lets a sender show two readers two texts, or try many
//! keys with one request (a partitioning oracle).

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit},
};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes that sealing adds: salt, commitment and authentication tag.
pub const OVERHEAD: usize = SALT + COMMITMENT + TAG;

/// Bytes of the salt: 256 random bits, so that no two messages share a key.
const SALT: usize = 32;
/// Bytes of the commitment: 256 bits, for 128 against a collision.
const COMMITMENT: usize = 32;
/// Bytes of AES-GCM's tag.
const TAG: usize = 16;

/// The bytes were not sealed with this key and info, or were changed since. Which, is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext was changed, or belongs to another key or context")]
pub struct OpenError;

/// Seals `plaintext` under a key derived from `parent`, a fresh salt and `info`.
///
/// `rng` must be a cryptographic generator: a salt that repeats under one parent and `info` repeats
/// key and nonce, which gives plaintext away.
///
/// # Errors
/// [`OpenError`] only for a plaintext beyond AES-GCM's 64 GiB limit.
pub fn seal(
    parent: &[u8; 32],
    info: &[u8],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, OpenError> {
    let mut salt = [0; SALT];
    rng.fill_bytes(&mut salt);
    let derived = derive(parent, &salt, info)?;
    // Key and commitment are two parts of one output: who knows the commitment learns nothing of
    // the key.
    let (key, commitment) = derived.split_at(32);
    let body = cipher(key)?.encrypt(&[0; 12].into(), plaintext).map_err(|_| OpenError)?;
    Ok([salt.as_slice(), commitment, &body].concat())
}

/// Opens what [`seal`] made. The commitment is compared, in constant time, before anything is decrypted.
///
/// # Errors
/// [`OpenError`] for another key or info, or any change to the bytes.
pub fn open(
    parent: &[u8; 32],
    info: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (salt, rest) = sealed.split_first_chunk::<SALT>().ok_or(OpenError)?;
    let (claimed, body) = rest.split_first_chunk::<COMMITMENT>().ok_or(OpenError)?;
    let derived = derive(parent, salt, info)?;
    let (key, commitment) = derived.split_at(32);
    // The same answer as for a wrong tag below: where it stopped would tell whether the key was
    // guessed.
    if !bool::from(commitment.ct_eq(claimed)) {
        return Err(OpenError);
    }
    // No associated data: what must be bound is in `info`, and has decided the key already.
    cipher(key)?.decrypt(&[0; 12].into(), body).map(Zeroizing::new).map_err(|_| OpenError)
}

/// HKDF-SHA-256 (RFC 5869 §2.2 and §2.3): 32 bytes of key, then 32 of commitment.
fn derive(
    parent: &[u8; 32],
    salt: &[u8; SALT],
    info: &[u8],
) -> Result<Zeroizing<[u8; 64]>, OpenError> {
    let mut derived = Zeroizing::new([0; 64]);
    let hkdf = Hkdf::<Sha256>::new(Some(salt), parent);
    hkdf.expand(info, derived.as_mut_slice()).map_err(|_| OpenError)?;
    Ok(derived)
}

/// AES-256-GCM under a key of 32 bytes.
fn cipher(key: &[u8]) -> Result<Aes256Gcm, OpenError> {
    Aes256Gcm::new_from_slice(key).map_err(|_| OpenError)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A repeatable generator for tests: counts up, so that outputs differ.
    pub(crate) struct CountingRng(pub(crate) u8);

    impl rand_core::TryRng for CountingRng {
        type Error = core::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            self.0 = self.0.wrapping_add(1);
            Ok(u32::from_be_bytes([self.0; 4]))
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.0 = self.0.wrapping_add(1);
            Ok(u64::from_be_bytes([self.0; 8]))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            for byte in bytes {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
            Ok(())
        }
    }

    impl rand_core::TryCryptoRng for CountingRng {}

    #[test]
    fn every_flipped_bit_every_cut_and_every_addition_is_refused() {
        let sealed = seal(&[1; 32], b"info", b"secret", &mut CountingRng(0)).unwrap();
        assert_eq!(open(&[1; 32], b"info", &sealed).unwrap().as_slice(), b"secret");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&[1; 32], b"info", &changed).unwrap_err(), OpenError, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open(&[1; 32], b"info", &sealed[..length]).is_err(), "cut to {length}");
        }
        for extra in 1..=64 {
            let longer = [sealed.as_slice(), &vec![0; extra]].concat();
            assert!(open(&[1; 32], b"info", &longer).is_err(), "longer by {extra}");
        }
    }

    #[test]
    fn another_key_or_info_does_not_open() {
        let sealed = seal(&[1; 32], b"info", b"secret", &mut CountingRng(0)).unwrap();
        assert!(open(&[2; 32], b"info", &sealed).is_err());
        assert!(open(&[1; 32], b"Info", &sealed).is_err());
    }

    #[test]
    fn equal_messages_seal_to_different_bytes() {
        let mut rng = CountingRng(0);
        let one = seal(&[1; 32], b"", b"same", &mut rng).unwrap();
        assert_ne!(one, seal(&[1; 32], b"", b"same", &mut rng).unwrap());
    }
}
