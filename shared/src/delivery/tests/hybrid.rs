//! Deliveries to hybrid devices: no downgrade, and both halves count.

use super::*;
use crate::{
    device::tests::device_of_both,
    hpke::{MlKemPrivateKey, SealingPublicKey},
};

/// What a server or a relay with a node's signing key could make: sealed by one key of the device.
fn sealed_by(
    sealing: &SealingPublicKey,
    info: &[u8],
    suite: SealingSuite,
    keys: &DevicePublicKeys,
) -> Delivery {
    let header = DeliveryHeader {
        device: keys.thumbprint(),
        nonce: [9; 32],
        context_hash: [10; 32],
        commitment: data_key_commitment(&data_key()),
        lease: lease(),
    };
    let aad = header.associated_data(suite);
    let binding = Binding { info, aad: &aad };
    let sealed = sealing.seal(&binding, &[11; 32], &mut CountingRng(0)).unwrap();
    let node = signer(2, claims());
    let signature = node.sign(&to_be_signed(suite, &header, &sealed));
    Delivery { suite, header, sealed, signature, certificate: *node.certificate() }
}

#[test]
fn a_node_that_offers_x25519_only_to_a_device_that_enrolled_a_hybrid_key_is_refused() {
    let both = device_of_both(1);
    let (classical, suite) = (device(1), SealingSuite::X25519Aes256Gcm);
    let info = recipient(&both).info(suite);
    let downgraded = sealed_by(classical.sealing_key(), &info, suite, &both);
    assert!(Delivery::parse(&downgraded.encode()).is_ok(), "it is a delivery");
    assert!(is_refused(downgraded.clone(), &expected(&both)));
    // The same, made by the rules, to the device that enrolled the classical key alone.
    assert!(is_refused(delivery_to(&classical, lease()), &expected(&both)));
    assert!(receive(delivery_to(&both, lease()), &expected(&both)).is_ok());
    // Only for a device of that one suite would it have been right.
    assert!(receive(delivery_to(&classical, lease()), &expected(&classical)).is_ok());
}

#[test]
fn a_suite_byte_exchanged_by_a_signing_node_is_refused() {
    let (hybrid, classical) = (hybrid_device(1), device(1));
    let (one, two) = (SealingSuite::X25519Aes256Gcm, SealingSuite::MlKem768X25519Aes256Gcm);
    for (keys, real, claimed) in [(&hybrid, two, one), (&classical, one, two)] {
        let info = recipient(keys).info(claimed);
        let relabelled = sealed_by(keys.sealing_key(), &info, claimed, keys);
        assert!(is_refused(relabelled, &expected(keys)));
        // Sealed under another suite's info, it does not open either.
        let sealed = sealed_by(keys.sealing_key(), &info, real, keys);
        assert!(!is_refused(sealed.clone(), &expected(keys)));
        assert!(receive(sealed, &expected(keys)).is_err());
    }
    // The length alone gives a changed suite away.
    for (keys, other) in [(&hybrid, 1), (&classical, 2)] {
        let mut bytes = delivery_to(keys, lease()).encode();
        bytes[4] = other;
        assert_eq!(Delivery::parse(&bytes), Err(DeliveryError));
    }
}

#[test]
fn a_delivery_is_bound_to_every_key_that_the_device_enrolled() {
    // The same hybrid key, but a device that enrolled it alone.
    let (both, hybrid) = (device_of_both(1), hybrid_device(1));
    assert_eq!(both.sealing_key(), hybrid.sealing_key());
    assert!(is_refused(delivery_to(&both, lease()), &expected(&hybrid)));
    let suite = hybrid.sealing_key().suite();
    let info = recipient(&both).info(suite);
    let moved = sealed_by(hybrid.sealing_key(), &info, suite, &hybrid);
    assert!(!is_refused(moved.clone(), &expected(&hybrid)));
    assert!(receive(moved, &expected(&hybrid)).is_err());
}

#[test]
fn both_private_keys_are_needed() {
    let keys = hybrid_device(1);
    let open = |x25519: u8, ml_kem: Option<MlKemPrivateKey>| {
        let verified = delivery_to(&keys, lease()).verify(&expected(&keys), &issuer(2), NOW);
        let private = SealingPrivateKey::from_slice(&[x25519; 32]).unwrap();
        verified.unwrap().open_with_private(&private, ml_kem.as_ref()).is_ok()
    };
    assert!(open(1, Some(ml_kem(1))));
    assert!(!open(12, Some(ml_kem(1))));
    assert!(!open(1, Some(ml_kem(12))));
    assert!(!open(1, None));
}

#[test]
fn changed_encapsulated_keys_do_not_open_even_when_signed() {
    let (keys, node) = (hybrid_device(1), signer(2, claims()));
    for at in (0..1088).step_by(97).chain(1088..1120) {
        let mut changed = delivery_to(&keys, lease());
        changed.sealed.enc[at] ^= 0x10;
        let message = to_be_signed(changed.suite, &changed.header, &changed.sealed);
        changed.signature = node.sign(&message);
        assert!(!is_refused(changed.clone(), &expected(&keys)));
        assert!(receive(changed, &expected(&keys)).is_err(), "byte {at}");
    }
}

#[test]
fn fields_of_a_hybrid_delivery_stand_where_the_documents_say() {
    let made = delivery_to(&hybrid_device(1), lease());
    let bytes = made.encode();
    assert_eq!(&bytes[..5], b"KHD1\x02");
    assert_eq!(&bytes[5..37], hybrid_device(1).thumbprint().as_bytes());
    assert_eq!(&bytes[201..1321], &made.sealed.enc);
    assert_eq!(&bytes[1289..1321], made.sealed.x25519_share().unwrap());
    assert_eq!(&bytes[1321..1369], &made.sealed.ciphertext);
    assert_eq!(&bytes[1369..1433], &made.signature);
    assert_eq!(&bytes[1433..], made.certificate.encode());
}
