//! What is signed: one encoding of each value, and no forgery accepted.

use keyhaven_shared::{
    delivery::{Delivery, DeliveryTerms, Lease, UsageFlags},
    device::DevicePublicKeys,
    ids::{KeyId, Version},
    issuer::NodeCertificate,
    lease_event::SignedLeaseEvent,
};

use crate::{Genuine, genuine, is_among, seeds};

/// A delivery: verified and opened only if it is the genuine answer, and by the device it is for.
pub fn delivery(data: &[u8]) {
    let Ok(parsed) = Delivery::parse(data) else { return };
    assert_eq!(parsed.encode(), data, "a second spelling of a delivery");
    static GENUINE: Genuine = Genuine::new(seeds::deliveries);
    let mut opened = 0;
    for device in genuine::devices() {
        let expected = genuine::expectations(device);
        let verified = parsed.clone().verify(&expected, genuine::issuer(), genuine::NOW);
        let Ok(verified) = verified else { continue };
        let ml_kem = genuine::ml_kem_of(device.sealing_key().suite());
        let given = verified.open_with_private(&genuine::sealing_private_key(), ml_kem);
        let (key, lease) = given.expect("the genuine delivery opens");
        // EXPOSE: the fuzzer compares a key of no secret.
        assert_eq!(key.expose_secret(), genuine::data_key().expose_secret());
        assert_eq!(lease, genuine::lease());
        opened += 1;
    }
    assert_eq!(opened, usize::from(is_among(&GENUINE, data)));
}

/// Deliveries whose terms the input chooses: a server makes only legal ones, and the device that asked
/// takes only what it asked for.
pub fn delivery_terms(script: &[u8]) {
    let mut numbers = script
        .chunks(8)
        .map(|bytes| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)));
    let mut next = || numbers.next().unwrap_or(0);
    let genuine = genuine::lease();
    // Small numbers change a genuine term a little; large ones replace it.
    let mut near = |base: u64| match next() {
        small @ 0..=0xff => base.wrapping_add(small),
        large => large,
    };
    let (serial, issued_at, not_after) =
        (near(genuine.serial), near(genuine.issued_at), near(genuine.not_after));
    let offline_grace = u32::try_from(near(genuine.offline_grace.into())).unwrap_or(u32::MAX);
    let flags =
        u32::try_from(near(genuine.flags.bits().into())).ok().and_then(UsageFlags::from_bits);
    let version = u32::try_from(near(1)).ok().and_then(Version::new);
    let key = if near(0) == 0 { genuine.key } else { KeyId::from_bytes([0xee; 16]) };
    let (Some(flags), Some(version)) = (flags, version) else { return };
    let lease =
        Lease { key, version, serial, issued_at, not_after, offline_grace, flags, ..genuine };
    let terms =
        DeliveryTerms { nonce: genuine::NONCE, context_hash: genuine::context().hash(), lease };

    let device = genuine::device();
    let recipient = genuine::recipient(device);
    let (data_key, node) = (genuine::data_key(), genuine::node());
    let sealed = Delivery::seal(&recipient, &terms, &data_key, node, &mut genuine::rng());
    let legal = lease.is_within(Lease::LONGEST_S, Lease::LONGEST_OFFLINE_GRACE_S);
    assert_eq!(sealed.is_ok(), legal);
    let Ok(sealed) = sealed else { return };
    let bytes = sealed.encode();
    let suite = device.sealing_key().suite();
    assert_eq!(bytes.len(), Delivery::bytes(suite), "the length tells something");
    let read = Delivery::parse(&bytes).expect("what was written is read");
    let expected = genuine::expectations(device);
    let accepted = read.verify(&expected, genuine::issuer(), genuine::NOW).is_ok();
    let asked_for = lease.key == expected.key
        && Some(lease.version) == expected.version
        && expected.flags.contains(lease.flags)
        && lease.is_within(expected.max_lease, expected.max_offline_grace)
        && lease.issued_at <= genuine::NOW + 300
        && genuine::NOW < lease.not_after;
    assert_eq!(accepted, asked_for, "{lease:?}");
}

/// A device's public keys, and a signature that nobody made.
pub fn device_keys(data: &[u8]) {
    let Ok(parsed) = DevicePublicKeys::parse(data) else { return };
    assert_eq!(parsed.encode(), data, "a second spelling of keys");
    for genuine in genuine::devices() {
        let same = parsed.thumbprint() == genuine.thumbprint();
        assert_eq!(same, &parsed == genuine, "two devices share a thumbprint");
    }
    assert!(parsed.verify_signature(b"", data.get(..64).unwrap_or_default()).is_err());
}

/// A lease event: believed only if it is one of the genuine ones.
pub fn lease_event(data: &[u8]) {
    let Ok(parsed) = SignedLeaseEvent::parse(data) else { return };
    assert_eq!(parsed.encode(), data, "a second spelling of an event");
    let heard =
        parsed.verify(&genuine::STREAM, genuine::issuer(), genuine::DEPLOYMENT, genuine::NOW);
    static GENUINE: Genuine = Genuine::new(seeds::lease_events);
    let is_genuine = is_among(&GENUINE, data);
    assert_eq!(heard.is_ok(), is_genuine);
}

/// A node's certificate: it holds only if it is the genuine one.
pub fn node_certificate(data: &[u8]) {
    let Ok(parsed) = NodeCertificate::parse(data) else { return };
    assert_eq!(parsed.encode(), data, "a second spelling of a certificate");
    let holds = parsed.verify(genuine::issuer(), genuine::DEPLOYMENT, genuine::NOW).is_ok();
    assert_eq!(holds, data == genuine::node().certificate().encode());
    for now in [0, genuine::NOW - 1001, genuine::NOW + 1000, u64::MAX] {
        assert!(parsed.verify(genuine::issuer(), genuine::DEPLOYMENT, now).is_err());
    }
}
