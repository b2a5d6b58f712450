//! The header of a delivery: what the server decided, authenticated with the sealed key and signed.

use super::usage::UsageFlags;
use crate::{
    encoding::{Label, Transcript},
    fields::{Fields, WrongLength},
    hpke::SealingSuite,
    ids::{DeviceId, KeyId, Version},
};

/// What a device may do with a data key, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The key that wraps the data key.
    pub key: KeyId,
    /// That key's version.
    pub version: Version,
    /// Number of the lease, unique in the deployment.
    pub serial: u64,
    /// When it begins: the server's clock (Unix time).
    pub issued_at: u64,
    /// The first second after it.
    pub not_after: u64,
    /// Seconds for which it may be used after `not_after` when the server cannot be reached.
    pub offline_grace: u32,
    /// What the data key may be used for.
    pub flags: UsageFlags,
    /// The key's epoch when this was decided.
    pub key_epoch: u64,
    /// The policy's epoch when this was decided.
    pub policy_epoch: u64,
}

impl Lease {
    /// The longest lease: an hour. Compiled in, so that no server can ask a client for more.
    pub const LONGEST_S: u64 = 60 * 60;
    /// The longest offline grace: 7 days.
    // Compiled in like the lease: a policy may allow less, and no server more.
    pub const LONGEST_OFFLINE_GRACE_S: u32 = 7 * 24 * 60 * 60;

    /// Whether it lasts at least a second, and no longer than these limits and the compiled-in ones.
    #[must_use]
    pub fn is_within(&self, longest: u64, longest_offline_grace: u32) -> bool {
        // A lease that ends before it begins has no life, and not a very long one.
        let life = self.not_after.checked_sub(self.issued_at);
        let longest = longest.min(Self::LONGEST_S);
        life.is_some_and(|life| (1..=longest).contains(&life))
            && self.offline_grace <= longest_offline_grace.min(Self::LONGEST_OFFLINE_GRACE_S)
    }
}

/// Everything that a delivery says in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeliveryHeader {
    /// Whom it is for.
    pub(crate) device: DeviceId,
    /// Of the request that it answers.
    pub(crate) nonce: [u8; 32],
    /// What the data is about, by its hash: the context itself is in the message.
    pub(crate) context_hash: [u8; 32],
    /// Names the sealed key without telling it.
    pub(crate) commitment: [u8; 32],
    /// What is allowed, and until when.
    pub(crate) lease: Lease,
}

impl DeliveryHeader {
    /// The sum of the fields below: every header has the same length.
    pub(crate) const BYTES: usize = 32 + 32 + 16 + 4 + 4 + 32 + 32 + 8 + 8 + 8 + 4 + 8 + 8;

    /// The layout of `docs/formats.md`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let lease = &self.lease;
        [
            self.device.as_bytes().as_slice(),
            &self.nonce,
            lease.key.as_bytes(),
            &lease.version.number().to_be_bytes(),
            &lease.flags.bits().to_be_bytes(),
            &self.commitment,
            &self.context_hash,
            &lease.serial.to_be_bytes(),
            &lease.issued_at.to_be_bytes(),
            &lease.not_after.to_be_bytes(),
            &lease.offline_grace.to_be_bytes(),
            &lease.key_epoch.to_be_bytes(),
            &lease.policy_epoch.to_be_bytes(),
        ]
        .concat()
    }

    /// Reads what [`Self::encode`] gave; `None` for version 0 and unknown usages.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Option<Self>, WrongLength> {
        let device = DeviceId::from_thumbprint(fields.take()?);
        let nonce = fields.take()?;
        let key = KeyId::from_bytes(fields.take()?);
        let (version, flags) = (Version::new(fields.u32()?), UsageFlags::from_bits(fields.u32()?));
        let (commitment, context_hash) = (fields.take()?, fields.take()?);
        let (serial, issued_at, not_after) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (offline_grace, key_epoch, policy_epoch) =
            (fields.u32()?, fields.u64()?, fields.u64()?);
        // A usage that this build does not know may restrict the others: refused, not ignored.
        let (Some(version), Some(flags)) = (version, flags) else {
            return Ok(None);
        };
        let lease = Lease {
            key,
            version,
            serial,
            issued_at,
            not_after,
            offline_grace,
            flags,
            key_epoch,
            policy_epoch,
        };
        Ok(Some(Self { device, nonce, context_hash, commitment, lease }))
    }

    /// HPKE's `aad` of the sealed key.
    pub(crate) fn associated_data(&self, suite: SealingSuite) -> Vec<u8> {
        Transcript::new(Label::DELIVERY_HEADER)
            .field(&[suite.code()])
            .field(&self.encode())
            .finish()
    }
}
