//! The server's own ciphertext: what `Encrypt` returns, and the encrypted data key in a message.
//! An opaque blob to callers; it names its key and version, so decrypting is one look-up.
//!
//! ```text
//! offset  bytes  field
//!      0      4  magic `KHC1` (format version in the last byte)
//!      4      1  suite: 1 = HKDF-SHA-256, AES-256-GCM, committed
//!      5     16  key id
//!     21      4  key version, big-endian
//!     25     32  salt
//!     57     32  commitment
//!     89      n  AES-256-GCM body and tag
//! ```

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    committed::{self, OpenError},
    context::EncryptionContext,
    encoding::{Label, Transcript},
    ids::{KeyId, Version},
    secret::KeyMaterial,
};

/// The bytes are no Keyhaven ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseCiphertextError {
    /// Too short, or does not begin as one.
    #[error("not a Keyhaven ciphertext")]
    NotCiphertext,
    /// Made by a suite that this build does not know or no longer accepts.
    #[error("the ciphertext's suite is unknown or not accepted")]
    UnknownSuite,
}

/// The header and body of a ciphertext, parsed but not yet believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ciphertext<'a> {
    /// The key it says it was made with.
    pub key: KeyId,
    /// That key's version.
    pub version: Version,
    sealed: &'a [u8],
}

/// Bytes that encrypting adds to the plaintext.
pub const OVERHEAD: usize = 25 + committed::OVERHEAD;

/// Keyhaven ciphertext, format 1.
const MAGIC: &[u8; 4] = b"KHC1";
/// The one suite. Numbers are never used again for another.
const SUITE_COMMITTED_AES_256_GCM: u8 = 1;

impl<'a> Ciphertext<'a> {
    /// Reads the header.
    /// Nothing is authenticated by that: key and version only say where to look, and
    /// [`Self::decrypt`] binds both.
    ///
    /// # Errors
    /// [`ParseCiphertextError`] when the bytes cannot be a ciphertext of ours.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseCiphertextError> {
        use ParseCiphertextError::{NotCiphertext, UnknownSuite};
        let rest = bytes.strip_prefix(MAGIC).ok_or(NotCiphertext)?;
        let (&[suite], rest) = rest.split_first_chunk::<1>().ok_or(NotCiphertext)?;
        // Told apart from bytes that are no ciphertext: a suite that was given up asks for an older
        // server, not for a backup.
        if suite != SUITE_COMMITTED_AES_256_GCM {
            return Err(UnknownSuite);
        }
        let (key, rest) = rest.split_first_chunk::<16>().ok_or(NotCiphertext)?;
        let (version, sealed) = rest.split_first_chunk::<4>().ok_or(NotCiphertext)?;
        let version = Version::new(u32::from_be_bytes(*version)).ok_or(NotCiphertext)?;
        // Shorter than an empty plaintext sealed: it was cut off, whatever its key.
        if sealed.len() < committed::OVERHEAD {
            return Err(NotCiphertext);
        }
        Ok(Self { key: KeyId::from_bytes(*key), version, sealed })
    }

    /// Decrypts under the version's material and the context it was made with.
    ///
    /// # Errors
    /// [`OpenError`] for another key, version or context, or changed bytes.
    pub fn decrypt(
        &self,
        material: &KeyMaterial,
        context: &EncryptionContext,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        // EXPOSE: the parent key of this message's derivation.
        // Key and version go into `info` as they were read: changed, they decide another key, and
        // nothing opens.
        committed::open(
            material.expose_secret(),
            &info(self.key, self.version, context),
            self.sealed,
        )
    }
}

/// Encrypts `plaintext` under a key version and binds it to `context`.
///
/// # Errors
/// [`OpenError`] only for a plaintext beyond AES-GCM's 64 GiB limit.
pub fn encrypt(
    (key, version, material): (KeyId, Version, &KeyMaterial),
    context: &EncryptionContext,
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, OpenError> {
    // EXPOSE: the parent key of this message's derivation.
    let parent = material.expose_secret();
    let sealed = committed::seal(parent, &info(key, version, context), plaintext, rng)?;
    let mut bytes = Vec::with_capacity(OVERHEAD + plaintext.len());
    bytes.extend_from_slice(MAGIC);
    bytes.push(SUITE_COMMITTED_AES_256_GCM);
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(&version.number().to_be_bytes());
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// The suite stands in the derivation too, so a changed suite byte can never select a weaker reading.
fn info(key: KeyId, version: Version, context: &EncryptionContext) -> Vec<u8> {
    Transcript::new(Label::CIPHERTEXT)
        .field(&[SUITE_COMMITTED_AES_256_GCM])
        .field(key.as_bytes())
        .number(version.number().into())
        .field(&context.encode())
        .finish()
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committed::tests::CountingRng;

    fn material(byte: u8) -> KeyMaterial {
        KeyMaterial::fill_with(|bytes| bytes.fill(byte))
    }

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        EncryptionContext::from_pairs(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())))
            .unwrap()
    }

    fn sample() -> Vec<u8> {
        let key = KeyId::from_random([9; 16]);
        let place = (key, Version::FIRST, &material(1));
        encrypt(place, &context(&[("a", "1")]), b"secret", &mut CountingRng(0)).unwrap()
    }

    fn decrypt(bytes: &[u8], with: &EncryptionContext) -> Option<Vec<u8>> {
        Some(Ciphertext::parse(bytes).ok()?.decrypt(&material(1), with).ok()?.to_vec())
    }

    #[test]
    fn only_the_exact_context_opens() {
        let bytes = sample();
        assert_eq!(bytes.len(), OVERHEAD + 6);
        assert_eq!(decrypt(&bytes, &context(&[("a", "1")])).unwrap(), b"secret");
        let others: [&[(&str, &str)]; 4] =
            [&[], &[("a", "")], &[("1", "a")], &[("a", "1"), ("b", "")]];
        for other in others {
            assert_eq!(decrypt(&bytes, &context(other)), None, "{other:?}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let (bytes, with) = (sample(), context(&[("a", "1")]));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decrypt(&changed, &with), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(decrypt(&bytes[..length], &with), None, "cut to {length}");
        }
        for extra in 1..=64 {
            let longer = [bytes.as_slice(), &vec![0; extra]].concat();
            assert_eq!(decrypt(&longer, &with), None, "longer by {extra}");
        }
    }

    #[test]
    fn other_suites_are_named_as_such() {
        for suite in (0..=255).filter(|suite| *suite != SUITE_COMMITTED_AES_256_GCM) {
            let mut changed = sample();
            changed[4] = suite;
            let refused = Ciphertext::parse(&changed).unwrap_err();
            assert_eq!(refused, ParseCiphertextError::UnknownSuite);
        }
    }
}
