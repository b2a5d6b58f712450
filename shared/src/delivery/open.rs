//! The device's side: a delivery is checked in full before anything is opened.

use subtle::ConstantTimeEq;

use super::{
    Delivery, DeliveryError, Recipient,
    commitment::data_key_commitment,
    header::{DeliveryHeader, Lease},
    to_be_signed,
    usage::UsageFlags,
};
use crate::{
    hpke::{Agreement, Binding, MlKemPrivateKey, Sealed, SealingPublicKey},
    ids::{KeyId, Version},
    issuer::IssuerPublicKey,
    secret::{DataKey, SealingPrivateKey, SharedSecret},
};

/// What the device asked for; the answer must match.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// The device itself, and where its key belongs.
    pub recipient: Recipient<'a>,
    /// The request's nonce.
    pub nonce: [u8; 32],
    /// The request's key.
    pub key: KeyId,
    /// The version that wrapped the data key; any for a new data key.
    pub version: Option<Version>,
    /// Hash of the request's encryption context.
    /// The header must carry the same; a key for other data would else be taken for this data's.
    pub context_hash: [u8; 32],
    /// The usages asked for; fewer may be given.
    pub flags: UsageFlags,
    /// The longest lease to accept, in seconds.
    pub max_lease: u64,
    /// The longest offline grace to accept, in seconds.
    pub max_offline_grace: u32,
}

/// A delivery that this deployment made for this request: only the key inside is still to be opened.
#[derive(Debug)]
pub struct VerifiedDelivery {
    /// Agrees with the request.
    header: DeliveryHeader,
    sealed: Sealed,
    /// Computed from what the device knows, not from what came.
    info: Vec<u8>,
    recipient: SealingPublicKey,
    /// The sender's ephemeral X25519 key.
    share: [u8; 32],
}

/// How far the server's clock may be ahead of the device's, in seconds.
/// A lease from further in the future is refused: its end would lie as much further ahead.
const MAX_CLOCK_SKEW_S: u64 = 300;

impl Delivery {
    /// Checks, in this order: signature and issuer, nonce, suite, header against the request.
    ///
    /// `now` is the last verified server time plus the monotonic time since then; before the first
    /// delivery, the device's clock.
    ///
    /// # Errors
    /// [`DeliveryError`], whatever is wrong.
    pub fn verify(
        self,
        expected: &Expectations<'_>,
        issuer: &IssuerPublicKey,
        now: u64,
    ) -> Result<VerifiedDelivery, DeliveryError> {
        let recipient = &expected.recipient;
        // The signature first: until it holds, every other part is anybody's claim, and no secret
        // of the device is used on it.
        let node = self.certificate.verify(issuer, recipient.deployment, now)?;
        node.verify(&to_be_signed(self.suite, &self.header, &self.sealed), &self.signature)?;
        let sealing = recipient.keys.sealing_key();
        // Not in constant time: nonces, suites and headers are public.
        if self.header.nonce != expected.nonce
            || self.suite != sealing.suite()
            || !expected.are_met_by(&self.header, now)
        {
            return Err(DeliveryError);
        }
        Ok(VerifiedDelivery {
            share: *self.sealed.x25519_share().ok_or(DeliveryError)?,
            header: self.header,
            sealed: self.sealed,
            info: recipient.info(self.suite),
            recipient: sealing.clone(),
        })
    }

    /// Checks a delivery that was verified when it came, and kept since where others may write. All of it is
    /// checked again, as [`Self::verify`] does at the time of issue; and `now`, the server's time as far as the
    /// device can tell, must lie within the lease or the offline grace after it.
    ///
    /// # Errors
    /// [`DeliveryError`], whatever is wrong.
    pub fn verify_kept(
        self,
        expected: &Expectations<'_>,
        issuer: &IssuerPublicKey,
        now: u64,
    ) -> Result<VerifiedDelivery, DeliveryError> {
        let lease = self.header.lease;
        let ends = lease.not_after.saturating_add(lease.offline_grace.into());
        // A clock before the issue was set back since: it could stretch the lease without end.
        if !(lease.issued_at..ends).contains(&now) {
            return Err(DeliveryError);
        }
        // At the time of issue the certificate was valid, and by now it may have ended: it is good
        // for a day, a grace for a week.
        self.verify(expected, issuer, lease.issued_at)
    }
}

impl Expectations<'_> {
    /// Whether the header answers the request, and the lease is one that this device accepts, now.
    fn are_met_by(&self, header: &DeliveryHeader, now: u64) -> bool {
        let lease = &header.lease;
        header.device == self.recipient.keys.thumbprint()
            && header.context_hash == self.context_hash
            && lease.key == self.key
            && self.version.is_none_or(|version| version == lease.version)
            // Fewer usages are a policy's right. More were not asked for, and a page would have
            // them without knowing.
            && self.flags.contains(lease.flags)
            && lease.is_within(self.max_lease, self.max_offline_grace)
            && lease.issued_at <= now.saturating_add(MAX_CLOCK_SKEW_S)
            && now < lease.not_after
    }
}

impl VerifiedDelivery {
    /// The X25519 public key to agree a secret with, by the device's private key (RFC 7748 §6.1).
    #[must_use]
    pub const fn share(&self) -> &[u8; 32] {
        &self.share
    }

    /// Opens with the X25519 secret that was agreed elsewhere, such as in WebCrypto; a hybrid delivery takes
    /// the device's ML-KEM-768 key, too.
    ///
    /// # Errors
    /// [`DeliveryError`] if this device is not the recipient, in every detail of [`Recipient`], or the key
    /// inside is not the one that the header commits to.
    pub fn open(
        self,
        dh: SharedSecret,
        ml_kem: Option<&MlKemPrivateKey>,
    ) -> Result<(DataKey, Lease), DeliveryError> {
        self.open_by(&Agreement::new(dh, ml_kem))
    }

    /// Opens with the X25519 private key itself, where the platform cannot keep it from us.
    ///
    /// # Errors
    /// [`DeliveryError`] as for [`Self::open`].
    pub fn open_with_private(
        self,
        private: &SealingPrivateKey,
        ml_kem: Option<&MlKemPrivateKey>,
    ) -> Result<(DataKey, Lease), DeliveryError> {
        let agreed = Agreement::with_private(private, &self.share, ml_kem);
        self.open_by(&agreed)
    }

    /// Opens, and checks that the key is the one that the header names.
    fn open_by(self, agreed: &Agreement<'_>) -> Result<(DataKey, Lease), DeliveryError> {
        let aad = self.header.associated_data(self.recipient.suite());
        let binding = Binding { info: &self.info, aad: &aad };
        let opened = self.recipient.open(agreed, &binding, &self.sealed);
        let opened = opened.map_err(|_| DeliveryError)?;
        let data_key = DataKey::from_slice(&opened).ok_or(DeliveryError)?;
        // AES-GCM does not commit to what it holds; the signed header does.
        if data_key_commitment(&data_key).ct_ne(&self.header.commitment).into() {
            return Err(DeliveryError);
        }
        Ok((data_key, self.header.lease))
    }
}
