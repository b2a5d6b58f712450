//! A device's public keys: what is sealed to, what verifies its requests, and the id they give.

use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use sha2::{Digest, Sha256};

use crate::{
    encoding::{Label, Transcript},
    fields::{Fields, WrongLength},
    hpke::SealingSuite,
    ids::DeviceId,
};

/// Why a device's public keys are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceKeyError {
    /// The bytes do not follow the layout.
    #[error("not a device's public keys: the layout is in docs/formats.md")]
    Malformed,
    /// No suite, one this build does not know, or suites out of order.
    #[error("the device's sealing suites are missing, unknown or not in ascending order")]
    Suites,
    /// The X25519 key is a point of low order: anyone could open what is sealed to it.
    #[error("the device's sealing key is not usable: make a new one")]
    SealingKey,
    /// The P-256 key is not an uncompressed point on the curve.
    #[error("the device's authentication key is no uncompressed P-256 point")]
    AuthenticationKey,
}

/// The signature is not this device's over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the device's signature is not valid")]
pub struct BadSignature;

/// A device's public keys. Every value of this type has passed the checks of [`Self::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePublicKeys {
    suites: Vec<SealingSuite>,
    sealing_x25519: [u8; 32],
    authentication_p256: VerifyingKey,
}

/// First byte of the layout.
const FORMAT: u8 = 1;
/// An uncompressed point of P-256 (SEC 1 §2.3.3): 04 ‖ x ‖ y.
const POINT: usize = 65;

impl DevicePublicKeys {
    /// The most bytes that [`Self::encode`] gives.
    pub const MAX_BYTES: usize = 2 + SealingSuite::ALL.len() + 32 + POINT;

    /// Checks a device's keys. `suites` ascend by code: the last is what deliveries use.
    ///
    /// # Errors
    /// [`DeviceKeyError`] naming the part at fault.
    pub fn new(
        suites: &[SealingSuite],
        sealing_x25519: [u8; 32],
        authentication_p256: &[u8],
    ) -> Result<Self, DeviceKeyError> {
        if suites.is_empty() || !suites.is_sorted_by(|one, next| one.code() < next.code()) {
            return Err(DeviceKeyError::Suites);
        }
        if is_low_order(sealing_x25519) {
            return Err(DeviceKeyError::SealingKey);
        }
        if authentication_p256.len() != POINT || authentication_p256.first() != Some(&4) {
            return Err(DeviceKeyError::AuthenticationKey);
        }
        let authentication_p256 = VerifyingKey::from_sec1_bytes(authentication_p256)
            .map_err(|_| DeviceKeyError::AuthenticationKey)?;
        Ok(Self { suites: suites.to_vec(), sealing_x25519, authentication_p256 })
    }

    /// Reads what [`Self::encode`] gave; there is one encoding of given keys.
    ///
    /// # Errors
    /// [`DeviceKeyError`] for another layout or keys that [`Self::new`] refuses.
    pub fn parse(bytes: &[u8]) -> Result<Self, DeviceKeyError> {
        let mut fields = Fields::new(bytes);
        if fields.byte()? != FORMAT {
            return Err(DeviceKeyError::Malformed);
        }
        let count = usize::from(fields.byte()?);
        let codes = fields.take_slice(count)?.iter();
        let suites: Option<Vec<_>> = codes.map(|code| SealingSuite::from_code(*code)).collect();
        let (sealing, authentication) = (fields.take()?, fields.take::<POINT>()?);
        fields.end()?;
        Self::new(&suites.ok_or(DeviceKeyError::Suites)?, sealing, &authentication)
    }

    /// The canonical encoding; see `docs/formats.md`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let codes = self.suite_codes();
        let count = u8::try_from(codes.len()).unwrap_or(u8::MAX);
        let point = self.authentication_p256.to_sec1_point(false);
        [&[FORMAT, count], codes.as_slice(), &self.sealing_x25519, point.as_bytes()].concat()
    }

    /// The device's id: SHA-256 over these keys, so that the id proves which keys are meant.
    #[must_use]
    pub fn thumbprint(&self) -> DeviceId {
        let transcript = Transcript::new(Label::DEVICE)
            .field(&self.suite_codes())
            .field(&self.sealing_x25519)
            .field(self.authentication_p256.to_sec1_point(false).as_bytes())
            .finish();
        DeviceId::from_thumbprint(Sha256::digest(transcript).into())
    }

    /// The suite that deliveries to this device use: its strongest. Both sides take it from the keys
    /// pinned at enrolment, so nobody on the way can choose a weaker one.
    #[must_use]
    pub fn suite(&self) -> SealingSuite {
        self.suites.last().copied().unwrap_or(SealingSuite::X25519Aes256Gcm)
    }

    /// The X25519 public key that data keys are sealed to.
    #[must_use]
    pub const fn sealing_key(&self) -> &[u8; 32] {
        &self.sealing_x25519
    }

    /// The P-256 public key that requests are verified with, as an uncompressed point.
    #[must_use]
    pub fn authentication_key(&self) -> Vec<u8> {
        self.authentication_p256.to_sec1_point(false).as_bytes().to_vec()
    }

    /// Checks an ECDSA signature with P-256 and SHA-256, as WebCrypto makes it: r ‖ s, 64 bytes.
    ///
    /// Both values of s are accepted, since WebCrypto does not choose the lower: so a signature is no
    /// unique name of a request; its nonce is.
    ///
    /// # Errors
    /// [`BadSignature`], whatever is wrong.
    pub fn verify_signature(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
        self.authentication_p256.verify(message, &signature).map_err(|_| BadSignature)
    }

    fn suite_codes(&self) -> Vec<u8> {
        self.suites.iter().map(|suite| suite.code()).collect()
    }
}

impl From<WrongLength> for DeviceKeyError {
    fn from(_: WrongLength) -> Self {
        Self::Malformed
    }
}

/// Whether a point gives the all-zero secret with every private key (RFC 7748 §6.1): one trial tells.
fn is_low_order(point: [u8; 32]) -> bool {
    let trial = x25519_dalek::StaticSecret::from([1; 32]);
    !trial.diffie_hellman(&point.into()).was_contributory()
}

#[cfg(test)]
mod properties;

#[cfg(test)]
pub(crate) mod tests {
    use p256::ecdsa::{SigningKey, signature::Signer};

    use super::*;
    use crate::hpke::tests::{LOW_ORDER, hex};

    const SUITES: &[SealingSuite] = &[SealingSuite::X25519Aes256Gcm];

    pub(crate) fn authentication_key(byte: u8) -> SigningKey {
        SigningKey::from_slice(&[byte; 32]).unwrap()
    }

    /// The keys of the device whose private keys are all `byte`.
    pub(crate) fn device(byte: u8) -> DevicePublicKeys {
        let sealing = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from([byte; 32]));
        let authentication = authentication_key(byte).verifying_key().to_sec1_point(false);
        DevicePublicKeys::new(SUITES, sealing.to_bytes(), authentication.as_bytes()).unwrap()
    }

    #[test]
    fn the_encoding_round_trips_and_every_other_length_is_refused() {
        let bytes = device(1).encode();
        assert_eq!(bytes.len(), DevicePublicKeys::MAX_BYTES);
        assert_eq!(DevicePublicKeys::parse(&bytes), Ok(device(1)));
        for length in 0..bytes.len() {
            assert!(DevicePublicKeys::parse(&bytes[..length]).is_err(), "cut to {length}");
        }
        for extra in 1..=64 {
            let longer = [bytes.as_slice(), &vec![0; extra]].concat();
            assert!(DevicePublicKeys::parse(&longer).is_err(), "longer by {extra}");
        }
    }

    #[test]
    fn every_flipped_bit_is_refused_or_makes_another_device() {
        let bytes = device(1).encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = DevicePublicKeys::parse(&changed) {
                assert_ne!(other.thumbprint(), device(1).thumbprint(), "bit {bit}");
            }
        }
    }

    #[test]
    fn unusable_keys_are_refused() {
        let good = device(1);
        let point = good.authentication_p256.to_sec1_point(false);
        let point = point.as_bytes();
        for low in LOW_ORDER {
            let refused = DevicePublicKeys::new(SUITES, hex(low).try_into().unwrap(), point);
            assert_eq!(refused, Err(DeviceKeyError::SealingKey), "{low}");
        }
        let mut off_curve = point.to_vec();
        off_curve[64] ^= 1;
        let mut other_tag = point.to_vec();
        other_tag[0] = 6;
        let compressed = good.authentication_p256.to_sec1_point(true);
        for bad in
            [off_curve.as_slice(), &other_tag, &point[..64], compressed.as_bytes(), &[0], &[]]
        {
            let refused = DevicePublicKeys::new(SUITES, good.sealing_x25519, bad);
            assert_eq!(refused, Err(DeviceKeyError::AuthenticationKey));
        }
        let twice = [SealingSuite::X25519Aes256Gcm; 2];
        for suites in [&[], twice.as_slice()] {
            let refused = DevicePublicKeys::new(suites, good.sealing_x25519, point);
            assert_eq!(refused, Err(DeviceKeyError::Suites));
        }
        let mut unknown_suite = good.encode();
        unknown_suite[2] = 2;
        assert_eq!(DevicePublicKeys::parse(&unknown_suite), Err(DeviceKeyError::Suites));
    }

    #[test]
    fn signatures_verify_with_either_s_and_nothing_else() {
        let signature: Signature = authentication_key(1).sign(b"request");
        let bytes = signature.to_bytes();
        let (r, s) = signature.split_scalars();
        let other_s = Signature::from_scalars(*r, -*s).unwrap().to_bytes();
        assert_ne!(bytes, other_s);
        assert_eq!(device(1).verify_signature(b"request", &bytes), Ok(()));
        assert_eq!(device(1).verify_signature(b"request", &other_s), Ok(()));

        assert!(device(2).verify_signature(b"request", &bytes).is_err());
        assert!(device(1).verify_signature(b"Request", &bytes).is_err());
        assert!(device(1).verify_signature(b"request", &bytes[..63]).is_err());
        assert!(device(1).verify_signature(b"request", &[0; 64]).is_err());
        assert!(
            device(1).verify_signature(b"request", &[bytes.as_slice(), &[0]].concat()).is_err()
        );
        for bit in 0..512 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(device(1).verify_signature(b"request", &changed).is_err(), "bit {bit}");
        }
    }
}
