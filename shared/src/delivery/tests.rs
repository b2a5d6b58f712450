mod hybrid;

use super::*;
use crate::{
    committed::tests::CountingRng,
    device::tests::{device, hybrid_device, ml_kem},
    ids::{KeyId, Version},
    issuer::{
        NodeClaims,
        tests::{DEPLOYMENT, NOW, claims, issuer, signer},
    },
    secret::{SealingPrivateKey, SharedSecret},
};

const KEYRING: KeyringId = KeyringId::from_bytes([4; 16]);

fn recipient(keys: &DevicePublicKeys) -> Recipient<'_> {
    Recipient { deployment: DEPLOYMENT, keyring: KEYRING, keys, enrolment_epoch: 1 }
}

fn lease() -> Lease {
    Lease {
        key: KeyId::from_random([5; 16]),
        version: Version::FIRST,
        serial: 6,
        issued_at: NOW,
        not_after: NOW + 300,
        offline_grace: 60,
        flags: UsageFlags::DECRYPT,
        key_epoch: 7,
        policy_epoch: 8,
    }
}

fn terms(lease: Lease) -> DeliveryTerms {
    DeliveryTerms { nonce: [9; 32], context_hash: [10; 32], lease }
}

fn data_key() -> DataKey {
    DataKey::fill_with(|key| key.fill(11))
}

/// A delivery to the device of private keys 1, signed by a node of the HSM key 2.
fn delivery(lease: Lease) -> Delivery {
    delivery_to(&device(1), lease)
}

fn delivery_to(keys: &DevicePublicKeys, lease: Lease) -> Delivery {
    let (to, node) = (recipient(keys), signer(2, claims()));
    Delivery::seal(&to, &terms(lease), &data_key(), &node, &mut CountingRng(0)).unwrap()
}

fn expected(keys: &DevicePublicKeys) -> Expectations<'_> {
    Expectations {
        recipient: recipient(keys),
        nonce: [9; 32],
        key: lease().key,
        version: None,
        context_hash: [10; 32],
        flags: UsageFlags::ENCRYPT.with(UsageFlags::DECRYPT),
        max_lease: 300,
        max_offline_grace: 60,
    }
}

/// The whole of the device's side, with the X25519 step apart.
fn receive(
    delivery: Delivery,
    expected: &Expectations<'_>,
) -> Result<(DataKey, Lease), DeliveryError> {
    let hybrid = delivery.suite == SealingSuite::MlKem768X25519Aes256Gcm;
    let verified = delivery.verify(expected, &issuer(2), NOW)?;
    let dh = x25519_dalek::x25519([1; 32], *verified.share());
    let ml_kem = hybrid.then(|| ml_kem(1));
    verified.open(SharedSecret::from_slice(&dh).unwrap(), ml_kem.as_ref())
}

fn is_refused(delivery: Delivery, expected: &Expectations<'_>) -> bool {
    delivery.verify(expected, &issuer(2), NOW).is_err()
}

#[test]
fn the_device_that_asked_gets_its_key_and_lease() {
    for (keys, length) in [(device(1), 474), (hybrid_device(1), 1562)] {
        let made = delivery_to(&keys, lease());
        let bytes = made.encode();
        assert_eq!((bytes.len(), Delivery::bytes(made.suite)), (length, length));
        let parsed = Delivery::parse(&bytes).unwrap();
        assert_eq!(parsed, made);
        let (opened, given) = receive(parsed.clone(), &expected(&keys)).ok().unwrap();
        // EXPOSE: the test compares what came out.
        assert_eq!(opened.expose_secret(), &[11; 32]);
        assert_eq!(given, lease());

        let private = SealingPrivateKey::from_slice(&[1; 32]).unwrap();
        let ml_kem = (length == 1562).then(|| ml_kem(1));
        let verified = parsed.verify(&expected(&keys), &issuer(2), NOW).unwrap();
        assert!(verified.open_with_private(&private, ml_kem.as_ref()).is_ok());
    }
}

#[test]
fn every_flipped_bit_and_every_other_length_is_refused() {
    for keys in [device(1), hybrid_device(1)] {
        let bytes = delivery_to(&keys, lease()).encode();
        let opens = |bytes: &[u8]| {
            let parsed = Delivery::parse(bytes);
            parsed.is_ok_and(|delivery| receive(delivery, &expected(&keys)).is_ok())
        };
        assert!(opens(&bytes));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&changed), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(!opens(&bytes[..length]), "cut to {length}");
        }
        for extra in 1..=64 {
            assert!(!opens(&[bytes.as_slice(), &vec![0; extra]].concat()), "longer by {extra}");
        }
    }
}

#[test]
fn an_answer_to_another_request_is_refused() {
    let keys = device(1);
    let good = expected(&keys);
    assert!(!is_refused(delivery(lease()), &good));
    assert!(!is_refused(
        delivery(lease()),
        &Expectations { version: Some(Version::FIRST), ..good }
    ));
    for other in [
        // Replayed to a second tab of the same device, within the lease.
        Expectations { nonce: [0; 32], ..good },
        Expectations { key: KeyId::from_random([0; 16]), ..good },
        Expectations { version: Version::new(2), ..good },
        Expectations { context_hash: [0; 32], ..good },
        Expectations { max_lease: 299, ..good },
        Expectations { max_offline_grace: 59, ..good },
        Expectations { flags: UsageFlags::ENCRYPT, ..good },
    ] {
        assert!(is_refused(delivery(lease()), &other), "{other:?}");
    }
}

#[test]
fn wider_usage_than_asked_for_is_refused_even_when_signed() {
    let keys = device(1);
    for flags in [UsageFlags::EXPORT, UsageFlags::DECRYPT.with(UsageFlags::EXPORT)] {
        assert!(is_refused(delivery(Lease { flags, ..lease() }), &expected(&keys)));
    }
    for flags in [UsageFlags::ENCRYPT, UsageFlags::DECRYPT] {
        assert!(!is_refused(delivery(Lease { flags, ..lease() }), &expected(&keys)));
    }
}

#[test]
fn usage_altered_on_the_way_is_refused_by_signature_and_by_seal() {
    let keys = device(1);
    let altered = |mut delivery: Delivery| {
        delivery.header.lease.flags = UsageFlags::ENCRYPT;
        delivery
    };
    assert!(is_refused(altered(delivery(lease())), &expected(&keys)));
    // Even a node that signs the altered header cannot make the sealed key open under it.
    let mut signed = altered(delivery(lease()));
    let message = to_be_signed(signed.suite, &signed.header, &signed.sealed);
    signed.signature = signer(2, claims()).sign(&message);
    assert!(!is_refused(signed.clone(), &expected(&keys)));
    assert!(receive(signed, &expected(&keys)).is_err());
}

#[test]
fn a_stripped_foreign_or_outdated_signature_is_refused() {
    let keys = device(1);
    let good = delivery(lease());
    let mut stripped = good.clone();
    stripped.signature = [0; 64];
    assert!(is_refused(stripped, &expected(&keys)));

    let elsewhere = DeploymentId::from_bytes([9; 16]);
    for (hsm, claims) in [
        (4, claims()),
        (2, NodeClaims { deployment: elsewhere, ..claims() }),
        (2, NodeClaims { not_before: NOW - 200, not_after: NOW, ..claims() }),
        (2, NodeClaims { not_before: NOW + 1, ..claims() }),
    ] {
        let (to, node) = (recipient(&keys), signer(hsm, claims));
        let signed = Delivery::seal(&to, &terms(lease()), &data_key(), &node, &mut CountingRng(0));
        assert!(is_refused(signed.unwrap(), &expected(&keys)), "{claims:?}");
    }
    // A good certificate beside a signature by a key that it does not certify.
    let mut foreign = good;
    foreign.certificate = *signer(4, claims()).certificate();
    assert!(is_refused(foreign, &expected(&keys)));
}

#[test]
fn only_the_recipient_it_was_sealed_for_opens_it() {
    let (keys, other) = (device(1), device(12));
    let good = expected(&keys);
    assert!(is_refused(delivery(lease()), &expected(&other)));

    let verified = delivery(lease()).verify(&good, &issuer(2), NOW).unwrap();
    let private = SealingPrivateKey::from_slice(&[12; 32]).unwrap();
    assert!(verified.open_with_private(&private, None).is_err());
    let verified = delivery(lease()).verify(&good, &issuer(2), NOW).unwrap();
    assert!(verified.open(SharedSecret::from_slice(&[0; 32]).unwrap(), None).is_err());

    for recipient in [
        Recipient { keyring: KeyringId::from_bytes([0; 16]), ..good.recipient },
        Recipient { enrolment_epoch: 2, ..good.recipient },
    ] {
        assert!(receive(delivery(lease()), &Expectations { recipient, ..good }).is_err());
    }
}

#[test]
fn every_other_suite_byte_is_refused() {
    let bytes = delivery(lease()).encode();
    for suite in (0..=255).filter(|suite| *suite != bytes[4]) {
        let mut changed = bytes.clone();
        changed[4] = suite;
        assert_eq!(Delivery::parse(&changed), Err(DeliveryError), "suite {suite}");
    }
}

#[test]
fn a_key_that_the_header_does_not_commit_to_is_refused() {
    let (keys, node) = (device(1), signer(2, claims()));
    let mut forged = delivery(lease());
    forged.header.commitment = data_key_commitment(&DataKey::fill_with(|key| key.fill(0)));
    let suite = forged.suite;
    let (info, aad) = (recipient(&keys).info(suite), forged.header.associated_data(suite));
    let binding = Binding { info: &info, aad: &aad };
    forged.sealed = keys.sealing_key().seal(&binding, &[11; 32], &mut CountingRng(0)).unwrap();
    forged.signature = node.sign(&to_be_signed(suite, &forged.header, &forged.sealed));
    assert!(!is_refused(forged.clone(), &expected(&keys)));
    assert!(receive(forged, &expected(&keys)).is_err());
}

#[test]
fn leases_that_are_too_long_over_or_not_yet_begun_are_refused() {
    let (keys, node) = (device(1), signer(2, claims()));
    for lease in [
        Lease { not_after: NOW + Lease::LONGEST_S + 1, ..lease() },
        Lease { not_after: NOW, ..lease() },
        Lease { not_after: NOW - 1, ..lease() },
        Lease { offline_grace: Lease::LONGEST_OFFLINE_GRACE_S + 1, ..lease() },
    ] {
        let (to, terms) = (recipient(&keys), terms(lease));
        let refused = Delivery::seal(&to, &terms, &data_key(), &node, &mut CountingRng(0));
        assert_eq!(refused, Err(SealDeliveryError::Lease), "{lease:?}");
        // What the client allows does not move the limits that are compiled in.
        assert!(!lease.is_within(u64::MAX, u32::MAX));
    }
    for issued_at in [NOW - 300, NOW + 301] {
        let lease = Lease { issued_at, not_after: issued_at + 300, ..lease() };
        assert!(is_refused(delivery(lease), &expected(&keys)), "{lease:?}");
    }
}

#[test]
fn a_kept_delivery_holds_until_its_grace_is_over_and_not_before_it_was_issued() {
    let keys = device(1);
    let holds = |now| delivery(lease()).verify_kept(&expected(&keys), &issuer(2), now).is_ok();
    // The node's certificate ended at NOW + 100: what counts is that it held at the time of issue.
    for (after, held) in [(0, true), (299, true), (300, true), (359, true), (360, false)] {
        assert_eq!(holds(NOW + after), held, "{after} seconds after");
    }
    assert!(!holds(NOW - 1));
    assert!(!holds(u64::MAX));
    let without = Lease { offline_grace: 0, ..lease() };
    let holds = |now| delivery(without).verify_kept(&expected(&keys), &issuer(2), now).is_ok();
    assert!(holds(NOW + 299) && !holds(NOW + 300));
}

#[test]
fn whoever_holds_a_kept_delivery_can_change_nothing_of_it() {
    let keys = device(1);
    let bytes = delivery(lease()).encode();
    for bit in (0..bytes.len() * 8).step_by(3) {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(parsed) = Delivery::parse(&changed) else { continue };
        let verified = parsed.verify_kept(&expected(&keys), &issuer(2), NOW + 310);
        assert!(verified.is_err(), "bit {bit}");
    }
    let stricter = Expectations { max_offline_grace: 59, ..expected(&keys) };
    assert!(delivery(lease()).verify_kept(&stricter, &issuer(2), NOW + 1).is_err());
    let shorter = Expectations { max_lease: 299, ..expected(&keys) };
    assert!(delivery(lease()).verify_kept(&shorter, &issuer(2), NOW + 1).is_err());
}
