//! A data key on its way to one device: sealed to it, bound to its request, signed by the deployment.
//!
//! The server calls [`Delivery::seal`]; the device calls [`Delivery::parse`], [`Delivery::verify`] and
//! then opens the [`VerifiedDelivery`]. Between the last two it may compute the X25519 step wherever
//! its private key lives. The byte table is in `docs/formats.md`.
//!
//! What each part is there for: the seal keeps relays from reading; `info` keeps it from opening
//! for anyone but this enrolment of this device; the nonce keeps an old answer from being played
//! back; the signature keeps a relay from answering itself, for sealing needs no secret.

mod commitment;
mod header;
mod open;
mod usage;

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use self::header::DeliveryHeader;
pub use self::{
    commitment::data_key_commitment,
    header::Lease,
    open::{Expectations, VerifiedDelivery},
    usage::UsageFlags,
};
use crate::{
    device::DevicePublicKeys,
    encoding::{Label, Transcript},
    fields::{Fields, WrongLength},
    hpke::{Binding, Sealed, SealingSuite},
    ids::{DeploymentId, KeyringId},
    issuer::{NodeCertificate, NodeSigner, NotSigned},
    secret::DataKey,
};

/// The delivery is not the answer to this device's request, or was changed. Which, is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the delivery is not this server's answer to this request")]
pub struct DeliveryError;

/// Why a delivery cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealDeliveryError {
    /// The lease is empty, or longer than any client accepts.
    #[error("the lease may be 1 second to 1 hour long, its offline grace at most 7 days")]
    Lease,
    /// Nothing can be sealed to the device.
    #[error("the device's sealing key is not usable")]
    Device,
}

/// Whom a delivery is for. Both sides know all of it before, so none of it is taken from the delivery.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// The installation.
    pub deployment: DeploymentId,
    /// The keyring that the key belongs to.
    pub keyring: KeyringId,
    /// The device's keys, as they were enrolled.
    pub keys: &'a DevicePublicKeys,
    /// Which enrolment of the device this is.
    pub enrolment_epoch: u64,
}

/// What the server answers: the request it is for, and the lease it gives.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryTerms {
    /// 32 random bytes of the request: makes the answer good for this request only.
    pub nonce: [u8; 32],
    /// [`crate::context::EncryptionContext::hash`] of the request's context.
    pub context_hash: [u8; 32],
    /// What is allowed.
    pub lease: Lease,
}

/// A sealed, signed data key. Nothing in it can be read before it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    suite: SealingSuite,
    /// In the clear. It is authenticated twice: as HPKE's `aad`, and by the signature.
    header: DeliveryHeader,
    /// The data key, sealed.
    sealed: Sealed,
    /// The node's, over everything above.
    signature: [u8; 64],
    /// Not signed with the rest: it has the issuer's signature.
    certificate: NodeCertificate,
}

/// The last byte is the format's version.
const MAGIC: &[u8; 4] = b"KHD1";
/// A data key and AES-GCM's tag.
const CIPHERTEXT: usize = DataKey::BYTES + 16;

impl Delivery {
    /// Bytes that [`Self::encode`] gives: the same for every delivery of a suite, so its length tells
    /// nothing.
    #[must_use]
    pub const fn bytes(suite: SealingSuite) -> usize {
        4 + 1
            + DeliveryHeader::BYTES
            + suite.encapsulated_bytes()
            + CIPHERTEXT
            + 64
            + NodeCertificate::BYTES
    }

    /// Seals a data key to its recipient, by the strongest suite the device enrolled with, and signs it.
    ///
    /// # Errors
    /// [`SealDeliveryError`] for a lease that clients would refuse.
    pub fn seal(
        recipient: &Recipient<'_>,
        terms: &DeliveryTerms,
        data_key: &DataKey,
        signer: &NodeSigner,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SealDeliveryError> {
        // A server that was set up wrongly hears of it here, and not from every client.
        if !terms.lease.is_within(Lease::LONGEST_S, Lease::LONGEST_OFFLINE_GRACE_S) {
            return Err(SealDeliveryError::Lease);
        }
        // From the keys that were enrolled: the request has no say in the suite.
        let sealing = recipient.keys.sealing_key();
        let suite = sealing.suite();
        let header = DeliveryHeader {
            device: recipient.keys.thumbprint(),
            nonce: terms.nonce,
            context_hash: terms.context_hash,
            commitment: data_key_commitment(data_key),
            lease: terms.lease,
        };
        let (info, aad) = (recipient.info(suite), header.associated_data(suite));
        let binding = Binding { info: &info, aad: &aad };
        // EXPOSE: the data key is sealed to its device.
        let sealed = sealing.seal(&binding, data_key.expose_secret(), rng);
        let sealed = sealed.map_err(|_| SealDeliveryError::Device)?;
        // Last, over what was sealed: nobody can put another sealed key under a signed header.
        let signature = signer.sign(&to_be_signed(suite, &header, &sealed));
        Ok(Self { suite, header, sealed, signature, certificate: *signer.certificate() })
    }

    /// The layout of `docs/formats.md`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [
            MAGIC.as_slice(),
            &[self.suite.code()],
            &self.header.encode(),
            &self.sealed.enc,
            &self.sealed.ciphertext,
            &self.signature,
            &self.certificate.encode(),
        ]
        .concat()
    }

    /// Reads what [`Self::encode`] gave.
    ///
    /// # Errors
    /// [`DeliveryError`] for another layout or an unknown suite.
    pub fn parse(bytes: &[u8]) -> Result<Self, DeliveryError> {
        let mut fields = Fields::new(bytes);
        if &fields.take()? != MAGIC {
            return Err(DeliveryError);
        }
        // Lengths follow from the suite. That it is this device's is checked by `verify`.
        let suite = SealingSuite::from_code(fields.byte()?).ok_or(DeliveryError)?;
        let header = DeliveryHeader::read(&mut fields)?.ok_or(DeliveryError)?;
        let enc = fields.take_slice(suite.encapsulated_bytes())?.to_vec();
        let sealed = Sealed { enc, ciphertext: fields.take_slice(CIPHERTEXT)?.to_vec() };
        let signature = fields.take()?;
        let certificate = NodeCertificate::parse(fields.take_slice(NodeCertificate::BYTES)?)?;
        fields.end()?;
        Ok(Self { suite, header, sealed, signature, certificate })
    }
}

impl Recipient<'_> {
    /// HPKE's `info`: it decides the sealing key itself, so a delivery opens for this recipient only.
    // Thumbprint and digest hash the same keys: one as the id does, one as they were enrolled.
    fn info(&self, suite: SealingSuite) -> Vec<u8> {
        Transcript::new(Label::DELIVERY_INFO)
            .field(&[suite.code()])
            .field(self.deployment.as_bytes())
            .field(self.keyring.as_bytes())
            .field(self.keys.thumbprint().as_bytes())
            .number(self.enrolment_epoch)
            .field(self.keys.digest())
            .finish()
    }
}

/// What the node signs: label ‖ suite ‖ header ‖ enc ‖ SHA-256(ciphertext).
// The ciphertext by its hash: a signer then never handles more than a few hundred bytes.
fn to_be_signed(suite: SealingSuite, header: &DeliveryHeader, sealed: &Sealed) -> Vec<u8> {
    Transcript::new(Label::DELIVERY_SIGNATURE)
        .field(&[suite.code()])
        .field(&header.encode())
        .field(&sealed.enc)
        .field(&Sha256::digest(&sealed.ciphertext))
        .finish()
}

impl From<WrongLength> for DeliveryError {
    fn from(_: WrongLength) -> Self {
        Self
    }
}

impl From<NotSigned> for DeliveryError {
    fn from(_: NotSigned) -> Self {
        Self
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
