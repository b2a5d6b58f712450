//! The key that a device signs its requests with: ECDSA, P-256 and SHA-256 (FIPS 186-5).

#[cfg(feature = "p256")]
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};

#[cfg(feature = "p256")]
use super::BadSignature;

/// An uncompressed point of P-256 (SEC 1 §2.3.3): 04 ‖ x ‖ y.
pub(super) const POINT: usize = 65;

/// A device's public key. That it is on the curve was checked here with the feature `p256`; without it
/// these are the device's own keys, and WebCrypto, which made this one, vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AuthenticationKey {
    point: [u8; POINT],
    #[cfg(feature = "p256")]
    verifying: VerifyingKey,
}

impl AuthenticationKey {
    /// `None` for bytes that are no uncompressed point.
    // Uncompressed alone: the compressed form of the same point would give the device a second id.
    pub(super) fn from_point(bytes: &[u8]) -> Option<Self> {
        let point =
            <[u8; POINT]>::try_from(bytes).ok().filter(|point| point.first() == Some(&4))?;
        Some(Self {
            #[cfg(feature = "p256")]
            verifying: VerifyingKey::from_sec1_bytes(&point).ok()?,
            point,
        })
    }

    /// The 65 bytes.
    pub(super) const fn point(&self) -> &[u8; POINT] {
        &self.point
    }

    /// Checks r ‖ s, 64 bytes.
    // r ‖ s alone: DER has several spellings that lax readers accept.
    #[cfg(feature = "p256")]
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
        self.verifying.verify(message, &signature).map_err(|_| BadSignature)
    }
}
