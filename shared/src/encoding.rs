//! The one encoder of authenticated bytes: associated data, HKDF and HPKE info, signed transcripts.
//!
//! A signature or a tag holds for bytes and not for their meaning. What makes the two the same is
//! that no two meanings have the same bytes: the label says which kind of string it is, and every
//! field is preceded by its length.

/// What an authenticated byte string is for. Two strings with different labels never collide, and a
/// changed layout gets a new label.
// Private text and no constructor: labels are made in this file alone, where two that are equal
// would be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(&'static str);

impl Label {
    /// HKDF info of the server's own ciphertext (see [`crate::ciphertext`]).
    pub const CIPHERTEXT: Self = Self("keyhaven/v1/ciphertext");
    /// HKDF info of a wrapped key version (see [`crate::wrap`]).
    pub const WRAPPED_VERSION: Self = Self("keyhaven/v1/wrapped-key-version");
    /// Associated data of a domain key sealed by a root key in the HSM.
    pub const DOMAIN_KEY: Self = Self("keyhaven/v1/domain-key");
    /// HKDF info of a domain key's sub-keys.
    pub const DOMAIN_SUBKEY: Self = Self("keyhaven/v1/domain-subkey");
    /// An encryption context's canonical encoding.
    pub const CONTEXT: Self = Self("keyhaven/v1/encryption-context");
    /// A device's thumbprint over its public keys.
    pub const DEVICE: Self = Self("keyhaven/v1/device");
    /// HPKE `info` of a delivery to a device.
    pub const DELIVERY_INFO: Self = Self("keyhaven/v1/delivery-info");
    /// The header of a delivery: HPKE `aad`, and what the issuer signs.
    pub const DELIVERY_HEADER: Self = Self("keyhaven/v1/delivery-header");
    /// HKDF salt of a delivered data key's commitment.
    pub const DATA_KEY_COMMITMENT: Self = Self("keyhaven/v1/data-key-commitment");
    /// What the issuer signs of a delivery.
    pub const DELIVERY_SIGNATURE: Self = Self("keyhaven/v1/delivery-signature");
    /// What the HSM's issuer key signs: a node signing key's certificate.
    pub const NODE_CERTIFICATE: Self = Self("keyhaven/v1/node-certificate");
    /// HKDF info of a device's private key at rest, where the platform cannot keep it out of our memory.
    pub const STORED_DEVICE_KEY: Self = Self("keyhaven/v1/stored-device-key");
    /// What the node signs of a pushed event.
    pub const LEASE_EVENT: Self = Self("keyhaven/v1/lease-event");
    /// An identity's id: a hash over who vouches, and for whom.
    pub const IDENTITY: Self = Self("keyhaven/v1/identity");
    /// The MAC of a row in the store.
    pub const ROW: Self = Self("keyhaven/v1/row");
    /// The MAC of the root of the register of all rows.
    pub const REGISTER: Self = Self("keyhaven/v1/register");
    /// What the hashes of an idempotency key and of its request are over.
    pub const IDEMPOTENT_REQUEST: Self = Self("keyhaven/v1/idempotent-request");

    /// The label's text, as it stands in the encoding.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// An authenticated byte string being written: the label, then fields in fixed order, each with its
/// length in 4 bytes, big-endian. So "ab", "c" and "a", "bc" never encode alike.
#[derive(Debug)]
pub struct Transcript(Vec<u8>);

impl Transcript {
    /// Starts with the label as first field.
    #[must_use]
    pub fn new(label: Label) -> Self {
        // The label is a field like the others, so one label that begins another causes no
        // collision.
        Self(Vec::with_capacity(256)).field(label.0.as_bytes())
    }

    /// Adds one field. A field of 4 GiB or more cannot be written; its length saturates, and since all
    /// callers bound their input far below that, no two inputs meet there.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        // INVARIANT: every field is bounded by its own format (a context by 8 KiB, a header by its
        // layout) long before 4 GiB.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a number as a field of 8 bytes, big-endian.
    // Always 8 bytes: one number has one encoding, whatever type it came in.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.field(&number.to_be_bytes())
    }

    /// The bytes to authenticate.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layout_is_label_then_length_prefixed_fields() {
        let bytes = Transcript::new(Label("L")).field(b"ab").number(258).finish();
        assert_eq!(bytes, b"\0\0\0\x01L\0\0\0\x02ab\0\0\0\x08\0\0\0\0\0\0\x01\x02");
    }

    proptest! {
        #[test]
        fn different_fields_never_encode_alike(
            a in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 0..4),
            b in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 0..4),
        ) {
            let encode = |fields: &[Vec<u8>]| {
                fields.iter().fold(Transcript::new(Label::CONTEXT), |t, f| t.field(f)).finish()
            };
            prop_assert_eq!(a == b, encode(&a) == encode(&b));
        }
    }

    #[test]
    fn labels_are_distinct_and_carry_their_version() {
        let labels = [
            Label::CIPHERTEXT,
            Label::WRAPPED_VERSION,
            Label::DOMAIN_KEY,
            Label::DOMAIN_SUBKEY,
            Label::CONTEXT,
            Label::DEVICE,
            Label::DELIVERY_INFO,
            Label::DELIVERY_HEADER,
            Label::DATA_KEY_COMMITMENT,
            Label::DELIVERY_SIGNATURE,
            Label::NODE_CERTIFICATE,
            Label::STORED_DEVICE_KEY,
            Label::LEASE_EVENT,
            Label::ROW,
            Label::REGISTER,
        ]
        .map(Label::as_str);
        assert!(labels.iter().all(|label| label.starts_with("keyhaven/v1/")));
        let distinct: std::collections::BTreeSet<_> = labels.into_iter().collect();
        assert_eq!(distinct.len(), labels.len());
    }

    proptest! {
        #[test]
        fn a_transcript_can_be_read_back(
            fields in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
        ) {
            let transcript = fields.iter().fold(Transcript::new(Label::DEVICE), |t, f| t.field(f));
            let bytes = transcript.finish();
            let (mut reader, mut read) = (crate::fields::Fields::new(&bytes), Vec::new());
            while reader.end().is_err() {
                let length = reader.u32().unwrap() as usize;
                read.push(reader.take_slice(length).unwrap().to_vec());
            }
            prop_assert_eq!(&read[0], Label::DEVICE.as_str().as_bytes());
            prop_assert_eq!(&read[1..], &fields);
        }

        #[test]
        fn the_same_fields_under_another_label_differ(field: Vec<u8>, number: u64) {
            let encode = |label| Transcript::new(label).field(&field).number(number).finish();
            prop_assert_ne!(encode(Label::DELIVERY_HEADER), encode(Label::DELIVERY_INFO));
            let as_field = Transcript::new(Label::DEVICE).field(&number.to_be_bytes()).finish();
            prop_assert_eq!(Transcript::new(Label::DEVICE).number(number).finish(), as_field);
        }
    }
}
