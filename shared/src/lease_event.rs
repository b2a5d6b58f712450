//! A pushed event that ends leases at once. Events are a hint: the lease itself is the guarantee, so an
//! event can only end leases, never extend one.
//!
//! A device opens a stream with a random nonce, and every event of the stream is signed for it, with its
//! number. So an event from elsewhere or from before is not signed, and one that is left out, moved or
//! sent twice has the wrong number.

use core::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::{
    encoding::{Label, Transcript},
    fields::Fields,
    ids::{DeploymentId, DeviceId, KeyId, Version},
    issuer::{IssuerPublicKey, NodeCertificate, NodeSigner, NotSigned},
};

/// What a device names its stream by: 32 random bytes, in base64url without padding (43 characters).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamNonce([u8; 32]);

/// Which leases end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseEnd {
    /// Those of one key: it was disabled, scheduled for destruction or destroyed.
    KeyStopped(KeyId),
    /// Those of one device: its enrolment ended.
    DeviceRevoked(DeviceId),
    /// All must be asked for anew: a policy changed, or the server cannot tell what the device missed.
    PolicyChanged,
    /// Those of one key to *encrypt* with, under versions before this one: the key was rotated.
    KeyRotated(KeyId, Version),
    /// None: all that ended before was told, as far as the server knows.
    Nothing,
}

/// An event on a stream of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseEvent {
    /// Number of the event in its stream: from 0, rising by one. One that is missing was lost.
    pub number: u64,
    /// Where to go on after: what the server wants to hear when the stream is opened again.
    pub serial: u64,
    /// Which leases end.
    pub end: LeaseEnd,
    /// When it happened (Unix time).
    pub at: u64,
}

/// An event with the signature of the node that pushes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedLeaseEvent {
    /// Private: it can be had only through [`Self::verify`].
    event: LeaseEvent,
    /// The node's.
    signature: [u8; 64],
    certificate: NodeCertificate,
}

/// The last byte is the format's version.
const MAGIC: &[u8; 4] = b"KHE2";
// Codes of what ends; never used again for something else.
const KEY_STOPPED: u8 = 1;
const DEVICE_REVOKED: u8 = 2;
const POLICY_CHANGED: u8 = 3;
const KEY_ROTATED: u8 = 4;
const NOTHING: u8 = 5;

impl LeaseEvent {
    /// Signs the event for a stream of the signer's deployment.
    // Signed for one stream, not once for all: an event then cannot be held back and played to
    // another device, or to the same one later.
    #[must_use]
    pub fn sign(self, stream: &StreamNonce, signer: &NodeSigner) -> SignedLeaseEvent {
        let certificate = *signer.certificate();
        let signature = signer.sign(&self.to_be_signed(stream, certificate.claims.deployment));
        SignedLeaseEvent { event: self, signature, certificate }
    }

    /// Label ‖ deployment ‖ stream ‖ number ‖ serial ‖ code ‖ subject ‖ time.
    fn to_be_signed(self, stream: &StreamNonce, deployment: DeploymentId) -> Vec<u8> {
        Transcript::new(Label::LEASE_EVENT)
            .field(deployment.as_bytes())
            .field(&stream.0)
            .number(self.number)
            .number(self.serial)
            .field(&[self.end.code()])
            .field(&self.end.subject())
            .number(self.at)
            .finish()
    }
}

impl SignedLeaseEvent {
    /// Bytes that [`Self::encode`] gives: the same for every event.
    pub const BYTES: usize = 4 + 8 + 8 + 1 + 32 + 8 + 64 + NodeCertificate::BYTES;

    /// The layout of `docs/formats.md`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [
            MAGIC.as_slice(),
            &self.event.number.to_be_bytes(),
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
        let (number, serial) = (fields.u64()?, fields.u64()?);
        // An end that this build does not know is refused and not passed over: it may be about a
        // lease that the device holds.
        let end = LeaseEnd::parse(fields.byte()?, fields.take()?).ok_or(NotSigned)?;
        let event = LeaseEvent { number, serial, end, at: fields.u64()? };
        let signature = fields.take()?;
        let certificate = NodeCertificate::parse(fields.take_slice(NodeCertificate::BYTES)?)?;
        fields.end()?;
        Ok(Self { event, signature, certificate })
    }

    /// Gives the event if a node of this deployment signed it for this stream. That its number is the
    /// next one is for the listener to check, who knows the last.
    ///
    /// # Errors
    /// [`NotSigned`], whatever is wrong.
    pub fn verify(
        &self,
        stream: &StreamNonce,
        issuer: &IssuerPublicKey,
        deployment: DeploymentId,
        now: u64,
    ) -> Result<LeaseEvent, NotSigned> {
        // At the moment of arrival: a stolen node key ends no lease after its day.
        let node = self.certificate.verify(issuer, deployment, now)?;
        node.verify(&self.event.to_be_signed(stream, deployment), &self.signature)?;
        Ok(self.event)
    }
}

impl StreamNonce {
    /// A nonce of random bytes.
    // From a cryptographic generator: a stream that could be foreseen could be recorded beforehand.
    #[must_use]
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl core::fmt::Display for StreamNonce {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&Base64UrlUnpadded::encode_string(&self.0))
    }
}

impl FromStr for StreamNonce {
    type Err = NotANonce;

    fn from_str(text: &str) -> Result<Self, NotANonce> {
        let mut bytes = [0; 32];
        match Base64UrlUnpadded::decode(text, &mut bytes) {
            Ok(decoded) if decoded.len() == 32 => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(NotANonce),
        }
    }
}

/// A text is no [`StreamNonce`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream's nonce is 32 bytes in base64url without padding")]
pub struct NotANonce;

impl LeaseEnd {
    /// The byte that stands for it.
    const fn code(self) -> u8 {
        match self {
            Self::KeyStopped(_) => KEY_STOPPED,
            Self::DeviceRevoked(_) => DEVICE_REVOKED,
            Self::PolicyChanged => POLICY_CHANGED,
            Self::KeyRotated(..) => KEY_ROTATED,
            Self::Nothing => NOTHING,
        }
    }

    /// The key id, or key id and version, followed by zero bytes; the device id; or 32 zero bytes.
    fn subject(self) -> [u8; 32] {
        let mut subject = [0; 32];
        // What is shorter than 32 bytes leaves zeros behind it, which `parse` asks for.
        let mut write = |bytes: &[u8]| {
            subject.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        };
        match self {
            Self::KeyStopped(key) => write(key.as_bytes()),
            Self::KeyRotated(key, version) => {
                write(&[key.as_bytes().as_slice(), &version.number().to_be_bytes()].concat());
            }
            Self::DeviceRevoked(device) => write(device.as_bytes()),
            Self::PolicyChanged | Self::Nothing => {}
        }
        subject
    }

    /// Reads what [`Self::code`] and [`Self::subject`] gave.
    fn parse(code: u8, subject: [u8; 32]) -> Option<Self> {
        let end = match code {
            KEY_STOPPED => Self::KeyStopped(KeyId::from_bytes(*subject.first_chunk()?)),
            DEVICE_REVOKED => Self::DeviceRevoked(DeviceId::from_thumbprint(subject)),
            POLICY_CHANGED => Self::PolicyChanged,
            KEY_ROTATED => {
                let (key, rest) = subject.split_first_chunk()?;
                let version = Version::new(u32::from_be_bytes(*rest.first_chunk()?))?;
                Self::KeyRotated(KeyId::from_bytes(*key), version)
            }
            NOTHING => Self::Nothing,
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

    pub(super) const STREAM: StreamNonce = StreamNonce([3; 32]);

    fn events() -> [LeaseEvent; 5] {
        let event = |end| LeaseEvent { number: 3, serial: 7, end, at: NOW };
        [
            event(LeaseEnd::KeyStopped(KeyId::from_random([5; 16]))),
            event(LeaseEnd::DeviceRevoked(DeviceId::from_thumbprint([6; 32]))),
            event(LeaseEnd::PolicyChanged),
            event(LeaseEnd::KeyRotated(KeyId::from_random([5; 16]), Version::FIRST)),
            event(LeaseEnd::Nothing),
        ]
    }

    fn read(bytes: &[u8]) -> Result<LeaseEvent, NotSigned> {
        SignedLeaseEvent::parse(bytes)?.verify(&STREAM, &issuer(2), DEPLOYMENT, NOW)
    }

    #[test]
    fn events_round_trip_and_all_have_one_length() {
        for event in events() {
            let bytes = event.sign(&STREAM, &signer(2, claims())).encode();
            assert_eq!(bytes.len(), SignedLeaseEvent::BYTES);
            assert_eq!(read(&bytes), Ok(event));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_refused() {
        for event in events() {
            let bytes = event.sign(&STREAM, &signer(2, claims())).encode();
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
        let signed = event.sign(&STREAM, &signer(2, claims()));
        let elsewhere = DeploymentId::from_bytes([9; 16]);
        assert_eq!(signed.verify(&STREAM, &issuer(4), DEPLOYMENT, NOW), Err(NotSigned));
        assert_eq!(signed.verify(&STREAM, &issuer(2), elsewhere, NOW), Err(NotSigned));
        assert_eq!(signed.verify(&STREAM, &issuer(2), DEPLOYMENT, NOW + 100), Err(NotSigned));
    }

    #[test]
    fn an_event_of_another_stream_is_refused() {
        let [event, ..] = events();
        let signed = event.sign(&StreamNonce([4; 32]), &signer(2, claims()));
        assert_eq!(signed.verify(&STREAM, &issuer(2), DEPLOYMENT, NOW), Err(NotSigned));
    }

    #[test]
    fn a_nonce_has_one_spelling_of_one_length() {
        let text = STREAM.to_string();
        assert_eq!((text.len(), text.parse()), (43, Ok(STREAM)));
        let short = text.get(..42).unwrap();
        for bad in ["", short, &format!("{text}A"), &format!("{text}="), &text.replace('A', "+")] {
            assert_eq!(bad.parse::<StreamNonce>(), Err(NotANonce), "{bad}");
        }
        // The last character has bits to spare, which must be zero.
        assert_eq!(format!("{short}N").parse::<StreamNonce>(), Err(NotANonce));
    }
}
