//! Who may sign for a deployment: an Ed25519 key in the HSM certifies a node's Ed25519 key for at most
//! a day, and the node signs deliveries and lease events. Clients pin the HSM's key.
//!
//! Two keys, since every delivery needs a signature and a token's are slow. The node's key lives in
//! the server's memory; what limits the harm of its theft is the day.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::{
    encoding::{Label, Transcript},
    fields::{Fields, WrongLength},
    ids::DeploymentId,
    secret::SigningSeed,
};

/// The signature, or a certificate it rests on, is not valid here and now. Which, is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not signed by this deployment")]
pub struct NotSigned;

/// The HSM's issuer key, which clients pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuerPublicKey(VerifyingKey);

impl IssuerPublicKey {
    /// Takes a public key (RFC 8032 §5.1.5); `None` for bytes that are none, or are of low order.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        // Under a key of low order some signatures hold for any message: pinning one would pin
        // nobody.
        VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(Self)
    }

    /// The 32 bytes to pin.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// What a node's certificate says.
// Not in it: what the node may sign. Labels keep deliveries and lease events apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeClaims {
    /// The installation the node signs for.
    pub deployment: DeploymentId,
    /// The node's Ed25519 public key.
    pub node_public_key: [u8; 32],
    /// First second of validity (Unix time).
    pub not_before: u64,
    /// First second after it.
    pub not_after: u64,
}

impl NodeClaims {
    /// The longest validity: a day, so that a stolen node key is soon worthless.
    pub const LONGEST_S: u64 = 24 * 60 * 60;

    /// The bytes that the HSM signs (Ed25519, no prehash).
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        Transcript::new(Label::NODE_CERTIFICATE)
            .field(self.deployment.as_bytes())
            .field(&self.node_public_key)
            .number(self.not_before)
            .number(self.not_after)
            .finish()
    }

    /// Joins the claims with the HSM's signature over [`Self::to_be_signed`].
    // It is not checked here: the certificate that comes of it is believed by nobody before
    // `verify`.
    #[must_use]
    pub const fn certified(self, signature: [u8; 64]) -> NodeCertificate {
        NodeCertificate { claims: self, signature }
    }

    /// Whether they hold for this installation, at this moment (Unix time).
    fn hold(&self, deployment: DeploymentId, now: u64) -> bool {
        // The reader checks the day, too: an issuer that certified more would else undo the bound.
        let validity = self.not_after.saturating_sub(self.not_before);
        self.deployment == deployment
            && validity <= Self::LONGEST_S
            && (self.not_before..self.not_after).contains(&now)
    }
}

/// A node's certificate, as it was read: believe it only after [`Self::verify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeCertificate {
    /// What it says.
    pub claims: NodeClaims,
    /// The issuer's, over [`NodeClaims::to_be_signed`].
    signature: [u8; 64],
}

/// First byte of the layout.
const FORMAT: u8 = 1;

impl NodeCertificate {
    /// Bytes that [`Self::encode`] gives.
    pub const BYTES: usize = 1 + 16 + 32 + 8 + 8 + 64;

    /// The layout of `docs/formats.md`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let claims = &self.claims;
        [
            [FORMAT].as_slice(),
            claims.deployment.as_bytes(),
            &claims.node_public_key,
            &claims.not_before.to_be_bytes(),
            &claims.not_after.to_be_bytes(),
            &self.signature,
        ]
        .concat()
    }

    /// Reads what [`Self::encode`] gave.
    ///
    /// # Errors
    /// [`NotSigned`] for another layout.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotSigned> {
        let mut fields = Fields::new(bytes);
        // A later layout gets another number, so that no reader takes its fields for these.
        if fields.byte()? != FORMAT {
            return Err(NotSigned);
        }
        let claims = NodeClaims {
            deployment: DeploymentId::from_bytes(fields.take()?),
            node_public_key: fields.take()?,
            not_before: fields.u64()?,
            not_after: fields.u64()?,
        };
        let signature = fields.take()?;
        fields.end()?;
        Ok(claims.certified(signature))
    }

    /// Checks the issuer's signature, the deployment and the validity at `now`.
    ///
    /// # Errors
    /// [`NotSigned`], whatever is wrong.
    pub fn verify(
        &self,
        issuer: &IssuerPublicKey,
        deployment: DeploymentId,
        now: u64,
    ) -> Result<VerifiedNode, NotSigned> {
        let signature = Signature::from_bytes(&self.signature);
        // Both are checked before the answer, which is the same for either.
        let signed = issuer.0.verify_strict(&self.claims.to_be_signed(), &signature).is_ok();
        if !signed || !self.claims.hold(deployment, now) {
            return Err(NotSigned);
        }
        // After the signature: a point that nobody certified is not even decoded.
        let key = VerifyingKey::from_bytes(&self.claims.node_public_key).map_err(|_| NotSigned)?;
        Ok(VerifiedNode(key))
    }
}

/// A node key that the pinned issuer vouches for: made only by [`NodeCertificate::verify`], so no
/// signature can be checked under a key that nobody certified.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedNode(VerifyingKey);

impl VerifiedNode {
    /// Checks the node's signature over `message`, strictly: no low-order keys, no malleable S.
    ///
    /// # Errors
    /// [`NotSigned`] for any other signature.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), NotSigned> {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| NotSigned)
    }
}

/// A node's signing key with its certificate: signs deliveries and lease events. Zeroized on drop.
pub struct NodeSigner {
    /// Zeroizes itself when it is dropped.
    key: SigningKey,
    certificate: NodeCertificate,
}

impl NodeSigner {
    /// The public key to have certified for a seed.
    #[must_use]
    pub fn public_key(seed: &SigningSeed) -> [u8; 32] {
        // EXPOSE: the public key is computed from the seed.
        SigningKey::from_bytes(seed.expose_secret()).verifying_key().to_bytes()
    }

    /// Joins a seed with its certificate.
    ///
    /// # Errors
    /// [`NotSigned`] if the certificate is for another key.
    pub fn new(seed: &SigningSeed, certificate: NodeCertificate) -> Result<Self, NotSigned> {
        // EXPOSE: this value is the signing key.
        let key = SigningKey::from_bytes(seed.expose_secret());
        // A signature under a certificate of another key would be refused by every client.
        if key.verifying_key().to_bytes() != certificate.claims.node_public_key {
            return Err(NotSigned);
        }
        Ok(Self { key, certificate })
    }

    /// The certificate to send along.
    #[must_use]
    pub const fn certificate(&self) -> &NodeCertificate {
        &self.certificate
    }

    /// Signs a transcript (Ed25519, RFC 8032 §5.1.6). Its label says what it is, so a signature
    /// serves for nothing else.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl From<WrongLength> for NotSigned {
    fn from(_: WrongLength) -> Self {
        Self
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const DEPLOYMENT: DeploymentId = DeploymentId::from_bytes([1; 16]);
    pub(crate) const NOW: u64 = 1_800_000_000;

    fn hsm(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    pub(crate) fn issuer(byte: u8) -> IssuerPublicKey {
        IssuerPublicKey::from_bytes(hsm(byte).verifying_key().as_bytes()).unwrap()
    }

    pub(crate) fn claims() -> NodeClaims {
        NodeClaims {
            deployment: DEPLOYMENT,
            node_public_key: NodeSigner::public_key(&SigningSeed::fill_with(|seed| seed.fill(3))),
            not_before: NOW - 100,
            not_after: NOW + 100,
        }
    }

    /// A node whose claims the HSM key `byte` signed.
    pub(crate) fn signer(hsm_byte: u8, claims: NodeClaims) -> NodeSigner {
        let certificate = claims.certified(hsm(hsm_byte).sign(&claims.to_be_signed()).to_bytes());
        NodeSigner::new(&SigningSeed::fill_with(|seed| seed.fill(3)), certificate).unwrap()
    }

    #[test]
    fn a_certificate_holds_for_its_deployment_issuer_and_time_only() {
        let certificate = *signer(2, claims()).certificate();
        let verify = |issuer_byte, deployment, now| {
            certificate.verify(&issuer(issuer_byte), deployment, now).is_ok()
        };
        assert!(verify(2, DEPLOYMENT, NOW));
        assert!(verify(2, DEPLOYMENT, NOW - 100));
        assert!(verify(2, DEPLOYMENT, NOW + 99));
        assert!(!verify(2, DEPLOYMENT, NOW - 101));
        assert!(!verify(2, DEPLOYMENT, NOW + 100));
        assert!(!verify(4, DEPLOYMENT, NOW));
        assert!(!verify(2, DeploymentId::from_bytes([9; 16]), NOW));
    }

    #[test]
    fn longer_than_a_day_or_backwards_is_refused() {
        for (not_before, not_after) in [(NOW, NOW + 86_401), (NOW + 1, NOW), (NOW, NOW)] {
            let claims = NodeClaims { not_before, not_after, ..claims() };
            let certificate = *signer(2, claims).certificate();
            assert!(certificate.verify(&issuer(2), DEPLOYMENT, NOW).is_err());
        }
        let a_day = NodeClaims { not_before: NOW, not_after: NOW + 86_400, ..claims() };
        assert!(signer(2, a_day).certificate().verify(&issuer(2), DEPLOYMENT, NOW).is_ok());
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_refused() {
        let bytes = signer(2, claims()).certificate().encode();
        assert_eq!(bytes.len(), NodeCertificate::BYTES);
        let holds = |bytes: &[u8]| {
            let parsed = NodeCertificate::parse(bytes);
            parsed.is_ok_and(|certificate| certificate.verify(&issuer(2), DEPLOYMENT, NOW).is_ok())
        };
        assert!(holds(&bytes));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&changed), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(!holds(&bytes[..length]), "cut to {length}");
        }
        assert!(!holds(&[bytes.as_slice(), &[0]].concat()));
    }

    #[test]
    fn a_node_signs_only_with_the_key_that_was_certified() {
        let certificate = *signer(2, claims()).certificate();
        let other_seed = SigningSeed::fill_with(|seed| seed.fill(4));
        assert!(NodeSigner::new(&other_seed, certificate).is_err());

        let node = certificate.verify(&issuer(2), DEPLOYMENT, NOW).unwrap();
        let signature = signer(2, claims()).sign(b"message");
        assert!(node.verify(b"message", &signature).is_ok());
        assert!(node.verify(b"Message", &signature).is_err());
        // S + L, the other spelling of the same signature (RFC 8032 §5.1.7), is refused.
        let order = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let (mut other, mut carry) = (signature, 0_u16);
        for (byte, add) in other[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + add + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert!(node.verify(b"message", &other).is_err());
    }

    #[test]
    fn a_low_order_issuer_key_cannot_be_pinned() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(IssuerPublicKey::from_bytes(&identity), None);
    }
}
