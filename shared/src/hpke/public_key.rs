//! Public keys that were checked, and sealing to them.

use hpke::{
    Deserializable, Kem, OpModeS, Serializable,
    aead::AesGcm256,
    kdf::HkdfSha256,
    kem::{X25519HkdfSha256, XWing},
};
use rand_core::CryptoRng;

use super::{Binding, SealError, Sealed, SealingSuite};

/// A public key that nothing must be sealed to: a point of low order, or coefficients beyond the modulus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealing key is not usable: make a new one")]
pub struct UnusableKey;

/// A recipient's public key. Every value of this type has passed the checks of [`Self::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingPublicKey {
    /// Decides what the bytes are, so it is kept with them.
    suite: SealingSuite,
    /// Checked, and kept as they came: ids and signatures are over exactly these.
    bytes: Box<[u8]>,
}

impl SealingPublicKey {
    /// Takes an X25519 key (RFC 7748), or for the hybrid suite an ML-KEM-768 key (FIPS 203) ‖ X25519 key.
    ///
    /// # Errors
    /// [`UnusableKey`] for another length, an X25519 key of low order (anyone could compute its half of the
    /// secret), and an ML-KEM key that fails the modulus check of FIPS 203 §7.2.
    // Checked when a device enrols, and not when a delivery is sealed: then it would be too late to
    // say so.
    pub fn new(suite: SealingSuite, bytes: &[u8]) -> Result<Self, UnusableKey> {
        if bytes.len() != suite.public_key_bytes() {
            return Err(UnusableKey);
        }
        // The X25519 half is the last in the hybrid suite, and all of it in the other.
        let point = bytes.last_chunk().ok_or(UnusableKey)?;
        let usable = match suite {
            SealingSuite::X25519Aes256Gcm => true,
            SealingSuite::MlKem768X25519Aes256Gcm => parse::<XWing>(bytes).is_ok(),
        };
        if !usable || is_low_order(*point) {
            return Err(UnusableKey);
        }
        Ok(Self { suite, bytes: bytes.into() })
    }

    /// The suite that it is for.
    #[must_use]
    pub const fn suite(&self) -> SealingSuite {
        self.suite
    }

    /// The key as [`Self::new`] takes it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Seals one message: `SealBase(pkR, info, aad, pt)` of RFC 9180 §6.1.
    ///
    /// # Errors
    /// [`SealError`] if the binding or message is far too long.
    pub fn seal(
        &self,
        binding: &Binding<'_>,
        plaintext: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Sealed, SealError> {
        match self.suite {
            SealingSuite::X25519Aes256Gcm => {
                seal::<X25519HkdfSha256>(&self.bytes, binding, plaintext, rng)
            }
            SealingSuite::MlKem768X25519Aes256Gcm => {
                seal::<XWing>(&self.bytes, binding, plaintext, rng)
            }
        }
    }
}

/// A context for one message: nonces cannot repeat, as there is one.
fn seal<K: Kem>(
    recipient: &[u8],
    binding: &Binding<'_>,
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Sealed, SealError> {
    if binding.info.len() > Binding::MAX_INFO {
        return Err(SealError);
    }
    // Checked when the value was made. It is read again here because each suite has a type of its
    // own.
    let public = parse::<K>(recipient)?;
    let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, K>(
        &OpModeS::Base,
        &public,
        binding.info,
        plaintext,
        binding.aad,
        rng,
    )
    .map_err(|_| SealError)?;
    Ok(Sealed { enc: enc.to_bytes().to_vec(), ciphertext })
}

/// The bytes as the KEM's own type, with its checks.
fn parse<K: Kem>(bytes: &[u8]) -> Result<K::PublicKey, SealError> {
    K::PublicKey::from_bytes(bytes).map_err(|_| SealError)
}

/// Whether a point gives the all-zero secret with every private key (RFC 7748 §6.1): one trial tells.
fn is_low_order(point: [u8; 32]) -> bool {
    // Any private key serves: what a point of low order gives does not depend on it, since clamping
    // clears the low bits.
    let trial = x25519_dalek::StaticSecret::from([1; 32]);
    !trial.diffie_hellman(&point.into()).was_contributory()
}
