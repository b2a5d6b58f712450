//! A device's public keys: what is sealed to, what verifies its requests, and the id they give.
//!
//! The id is a hash of the keys, so a server cannot put other keys under an id that a client knows;
//! and a device that makes new keys is a new device, which has to enrol.

mod authentication;

use sha2::{Digest, Sha256};

use self::authentication::{AuthenticationKey, POINT};
use crate::{
    encoding::{Label, Transcript},
    fields::{Fields, WrongLength},
    hpke::{SealingPublicKey, SealingSuite, UnusableKey},
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
    /// A sealing key is of low order, or beyond the modulus: see [`SealingPublicKey::new`].
    #[error("a sealing key of the device is not usable: make a new one")]
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
    /// The other suites' keys: bound into the id, and not sealed to.
    weaker: Vec<SealingPublicKey>,
    /// The last by suite.
    strongest: SealingPublicKey,
    authentication: AuthenticationKey,
    /// Computed once, as is `digest`: every request asks for one of them.
    id: DeviceId,
    digest: [u8; 32],
}

/// First byte of the layout of a device whose only suite is the first.
const CLASSICAL: u8 = 1;
/// First byte of the layout of every other device.
const SUITED: u8 = 2;

impl DevicePublicKeys {
    /// Checks a device's keys. The sealing keys ascend by suite, one for each: the last is what deliveries
    /// use.
    ///
    /// # Errors
    /// [`DeviceKeyError`] naming the part at fault.
    pub fn new(
        mut sealing: Vec<SealingPublicKey>,
        authentication_p256: &[u8],
    ) -> Result<Self, DeviceKeyError> {
        // Strictly: the same suite twice would leave open which key is meant.
        if !sealing.is_sorted_by(|one, next| one.suite().code() < next.suite().code()) {
            return Err(DeviceKeyError::Suites);
        }
        let authentication = AuthenticationKey::from_point(authentication_p256)
            .ok_or(DeviceKeyError::AuthenticationKey)?;
        let id = thumbprint(sealing.iter(), authentication_p256);
        let digest = Sha256::digest(encode(sealing.iter(), authentication_p256)).into();
        // A device without any sealing key is refused here.
        let strongest = sealing.pop().ok_or(DeviceKeyError::Suites)?;
        Ok(Self { weaker: sealing, strongest, authentication, id, digest })
    }

    /// Reads what [`Self::encode`] gave; there is one encoding of given keys.
    ///
    /// # Errors
    /// [`DeviceKeyError`] for another layout or keys that [`Self::new`] refuses.
    pub fn parse(bytes: &[u8]) -> Result<Self, DeviceKeyError> {
        let mut fields = Fields::new(bytes);
        let (format, count) = (fields.byte()?, usize::from(fields.byte()?));
        let codes = fields.take_slice(count)?;
        match format {
            // The first byte follows from the suites. Were it free, one device would have two
            // encodings.
            CLASSICAL | SUITED if format == format_of(codes) => {}
            CLASSICAL | SUITED => return Err(DeviceKeyError::Suites),
            _ => return Err(DeviceKeyError::Malformed),
        }
        let mut sealing = Vec::with_capacity(count);
        for code in codes {
            // An unknown suite has no length, so what follows could not be read either.
            let suite = SealingSuite::from_code(*code).ok_or(DeviceKeyError::Suites)?;
            sealing
                .push(SealingPublicKey::new(suite, fields.take_slice(suite.public_key_bytes())?)?);
        }
        let authentication = fields.take::<POINT>()?;
        fields.end()?;
        Self::new(sealing, &authentication)
    }

    /// The canonical encoding; see `docs/formats.md`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let sealing = self.weaker.iter().chain([&self.strongest]);
        encode(sealing, &self.authentication_key())
    }

    /// The device's id: SHA-256 over these keys, so that the id proves which keys are meant.
    #[must_use]
    pub const fn thumbprint(&self) -> DeviceId {
        self.id
    }

    /// SHA-256 of [`Self::encode`].
    #[must_use]
    pub(crate) const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The key that data keys are sealed to: the strongest suite's. Both sides take it from the keys
    /// pinned at enrolment, so nobody on the way can choose a weaker one.
    #[must_use]
    pub const fn sealing_key(&self) -> &SealingPublicKey {
        &self.strongest
    }

    /// The P-256 public key that requests are verified with, as an uncompressed point.
    #[must_use]
    pub fn authentication_key(&self) -> Vec<u8> {
        self.authentication.point().to_vec()
    }

    /// Checks an ECDSA signature with P-256 and SHA-256, as WebCrypto makes it: r ‖ s, 64 bytes.
    ///
    /// Both values of s are accepted, since WebCrypto does not choose the lower: so a signature is no
    /// unique name of a request; its nonce is.
    ///
    /// # Errors
    /// [`BadSignature`], whatever is wrong.
    #[cfg(feature = "p256")]
    pub fn verify_signature(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.authentication.verify(message, signature)
    }
}

impl From<WrongLength> for DeviceKeyError {
    fn from(_: WrongLength) -> Self {
        Self::Malformed
    }
}

impl From<UnusableKey> for DeviceKeyError {
    fn from(UnusableKey: UnusableKey) -> Self {
        Self::SealingKey
    }
}

/// The layout that devices with these suites have: so there is one encoding of given keys.
fn format_of(codes: &[u8]) -> u8 {
    if codes == [SealingSuite::X25519Aes256Gcm.code()] { CLASSICAL } else { SUITED }
}

/// The suites' codes, in the keys' order.
fn codes<'a>(sealing: impl Iterator<Item = &'a SealingPublicKey>) -> Vec<u8> {
    sealing.map(|key| key.suite().code()).collect()
}

/// One function for writing and for the digest, so they cannot differ.
fn encode<'a>(
    sealing: impl Iterator<Item = &'a SealingPublicKey> + Clone,
    authentication: &[u8],
) -> Vec<u8> {
    let codes = codes(sealing.clone());
    // There are fewer suites than a byte counts.
    let count = u8::try_from(codes.len()).unwrap_or(u8::MAX);
    let mut bytes = [[format_of(&codes), count].as_slice(), &codes].concat();
    for key in sealing {
        bytes.extend_from_slice(key.as_bytes());
    }
    bytes.extend_from_slice(authentication);
    bytes
}

/// SHA-256 of a transcript with the suites, each key and the authentication key as fields.
fn thumbprint<'a>(
    sealing: impl Iterator<Item = &'a SealingPublicKey> + Clone,
    authentication: &[u8],
) -> DeviceId {
    let mut transcript = Transcript::new(Label::DEVICE).field(&codes(sealing.clone()));
    for key in sealing {
        transcript = transcript.field(key.as_bytes());
    }
    let transcript = transcript.field(authentication).finish();
    DeviceId::from_thumbprint(Sha256::digest(transcript).into())
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tests;
