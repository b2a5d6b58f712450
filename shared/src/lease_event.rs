//! A pushed event that ends leases at once. Events are a hint: the lease itself is the guarantee, so an
//! event can only end leases, never extend one.

use crate::{
    encoding::{Label, Transcript},
    fields::Fields,
    ids::{DeploymentId, DeviceId, KeyId},
    issuer::{IssuerPublicKey, NodeCertificate, NodeSigner, NotSigned},
};

/// Which leases end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseEnd {
    /// Those of one key: it was disabled, scheduled for destruction or destroyed.
    KeyStopped(KeyId),
    /// Those of one device: its enrolment ended.
    DeviceRevoked(DeviceId),
    /// All must be asked for anew: a policy changed.
    PolicyChanged,
}

/// An event on a stream of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseEvent {
    /// Number of the event in its stream, rising by one: a listener refuses a number it has passed, and
    /// asks again when one is missing.
    pub serial: u64,
    /// Which leases end.
    pub end: LeaseEnd,
    /// When it happened (Unix time).
    pub at: u64,
}

/// An event with the signature of the node that pushes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedLeaseEvent {
    event: LeaseEvent,
    signature: [u8; 64],
    certificate: NodeCertificate,
}

/// The last byte is the format's version.
const MAGIC: &[u8; 4] = b"KHE1";
const KEY_STOPPED: u8 = 1;
const DEVICE_REVOKED: u8 = 2;
const POLICY_CHANGED: u8 = 3;

impl LeaseEvent {
    /// Signs the event for the signer's deployment.
    #[must_use]
    pub fn sign(self, signer: &NodeSigner) -> SignedLeaseEvent {
        let certificate = *signer.certificate();
        let signature = signer.sign(&self.to_be_signed(certificate.claims.deployment));
        SignedLeaseEvent { event: self, signature, certificate }
    }

    fn to_be_signed(self, deployment: DeploymentId) -> Vec<u8> {
        Transcript::new(Label::LEASE_EVENT)
            .field(deployment.as_bytes())
            .number(self.serial)
            .field(&[self.end.code()])
            .field(&self.end.subject())
            .number(self.at)
            .finish()
    }
}

impl SignedLeaseEvent {
    /// Bytes that [`Self::encode`] gives: the same for every event.
    pub const BYTES: usize = 4 + 8 + 1 + 32 + 8 + 64 + NodeCertificate::BYTES;

    /// The layout of `docs/formats.md`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [
            MAGIC.as_slice(),
            &self.event.serial.to_be_bytes(),
            &[self.event.end.code()],
            &self.event.end.subject(),
            &self.event.at.to_be_bytes(),
            &self.signature,
            &self.certificate.encode(),
        ]
        .concat()
    }

    /// Reads what [`Self::encode`] gave.
    ///
    /// # Errors
    /// [`NotSigned`] for another layout.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotSigned> {
        let mut fields = Fields::new(bytes);
        if &fields.take()? != MAGIC {
            return Err(NotSigned);
        }
        let serial = fields.u64()?;
        let end = LeaseEnd::parse(fields.byte()?, fields.take()?).ok_or(NotSigned)?;
        let event = LeaseEvent { serial, end, at: fields.u64()? };
        let signature = fields.take()?;
        let certificate = NodeCertificate::parse(fields.take_slice(NodeCertificate::BYTES)?)?;
        fields.end()?;
        Ok(Self { event, signature, certificate })
    }

    /// Gives the event if a node of this deployment signed it. That its serial is new is for the
    /// listener to check, who knows the last one.
    ///
    /// # Errors
    /// [`NotSigned`], whatever is wrong.
    pub fn verify(
        &self,
        issuer: &IssuerPublicKey,
        deployment: DeploymentId,
        now: u64,
    ) -> Result<LeaseEvent, NotSigned> {
        let node = self.certificate.verify(issuer, deployment, now)?;
        node.verify(&self.event.to_be_signed(deployment), &self.signature)?;
        Ok(self.event)
    }
}

impl LeaseEnd {
    const fn code(self) -> u8 {
        match self {
            Self::KeyStopped(_) => KEY_STOPPED,
            Self::DeviceRevoked(_) => DEVICE_REVOKED,
            Self::PolicyChanged => POLICY_CHANGED,
        }
    }

    /// The key id and 16 zero bytes, the device id, or 32 zero bytes.
    fn subject(self) -> [u8; 32] {
        let mut subject = [0; 32];
        match self {
            Self::KeyStopped(key) => {
                subject.iter_mut().zip(key.as_bytes()).for_each(|(to, from)| *to = *from);
            }
            Self::DeviceRevoked(device) => subject = *device.as_bytes(),
            Self::PolicyChanged => {}
        }
        subject
    }

    fn parse(code: u8, subject: [u8; 32]) -> Option<Self> {
        let end = match code {
            KEY_STOPPED => Self::KeyStopped(KeyId::from_bytes(*subject.first_chunk()?)),
            DEVICE_REVOKED => Self::DeviceRevoked(DeviceId::from_thumbprint(subject)),
            POLICY_CHANGED => Self::PolicyChanged,
            _ => return None,
        };
        // One spelling an event: what is not used must be zero.
        (end.subject() == subject).then_some(end)
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::tests::{DEPLOYMENT, NOW, claims, issuer, signer};

    fn events() -> [LeaseEvent; 3] {
        let event = |end| LeaseEvent { serial: 7, end, at: NOW };
        [
            event(LeaseEnd::KeyStopped(KeyId::from_random([5; 16]))),
            event(LeaseEnd::DeviceRevoked(DeviceId::from_thumbprint([6; 32]))),
            event(LeaseEnd::PolicyChanged),
        ]
    }

    fn read(bytes: &[u8]) -> Result<LeaseEvent, NotSigned> {
        SignedLeaseEvent::parse(bytes)?.verify(&issuer(2), DEPLOYMENT, NOW)
    }

    #[test]
    fn events_round_trip_and_all_have_one_length() {
        for event in events() {
            let bytes = event.sign(&signer(2, claims())).encode();
            assert_eq!(bytes.len(), SignedLeaseEvent::BYTES);
            assert_eq!(read(&bytes), Ok(event));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_refused() {
        for event in events() {
            let bytes = event.sign(&signer(2, claims())).encode();
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(&changed), Err(NotSigned), "bit {bit}");
            }
            for length in 0..bytes.len() {
                assert_eq!(read(&bytes[..length]), Err(NotSigned), "cut to {length}");
            }
            assert_eq!(read(&[bytes.as_slice(), &[0]].concat()), Err(NotSigned));
        }
    }

    #[test]
    fn another_issuer_deployment_or_time_is_refused() {
        let [event, ..] = events();
        let signed = event.sign(&signer(2, claims()));
        let elsewhere = DeploymentId::from_bytes([9; 16]);
        assert_eq!(signed.verify(&issuer(4), DEPLOYMENT, NOW), Err(NotSigned));
        assert_eq!(signed.verify(&issuer(2), elsewhere, NOW), Err(NotSigned));
        assert_eq!(signed.verify(&issuer(2), DEPLOYMENT, NOW + 100), Err(NotSigned));
    }
}
