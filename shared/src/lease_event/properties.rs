//! Events of any content, and what cannot be made of a signed one.

use proptest::prelude::*;

use super::{tests::STREAM, *};
use crate::issuer::{
    NodeClaims,
    tests::{DEPLOYMENT, NOW, claims, issuer, signer},
};

fn any_event() -> impl Strategy<Value = LeaseEvent> {
    let end = prop_oneof![
        any::<[u8; 16]>().prop_map(|id| LeaseEnd::KeyStopped(KeyId::from_bytes(id))),
        any::<[u8; 32]>().prop_map(|id| LeaseEnd::DeviceRevoked(DeviceId::from_thumbprint(id))),
        Just(LeaseEnd::PolicyChanged),
        (any::<[u8; 16]>(), 1..u32::MAX).prop_map(|(id, version)| {
            LeaseEnd::KeyRotated(KeyId::from_bytes(id), Version::new(version).unwrap())
        }),
        Just(LeaseEnd::Nothing),
    ];
    (any::<u64>(), any::<u64>(), end, any::<u64>())
        .prop_map(|(number, serial, end, at)| LeaseEvent { number, serial, end, at })
}

fn signed(end: LeaseEnd) -> Vec<u8> {
    LeaseEvent { number: 3, serial: 7, end, at: NOW }.sign(&STREAM, &signer(2, claims())).encode()
}

fn read(bytes: &[u8]) -> Result<LeaseEvent, NotSigned> {
    SignedLeaseEvent::parse(bytes)?.verify(&STREAM, &issuer(2), DEPLOYMENT, NOW)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_event_comes_back_as_it_was_signed(event in any_event()) {
        let bytes = event.sign(&STREAM, &signer(2, claims())).encode();
        prop_assert_eq!(bytes.len(), SignedLeaseEvent::BYTES);
        prop_assert_eq!(&bytes[..4], b"KHE2");
        prop_assert_eq!(&bytes[4..12], &event.number.to_be_bytes());
        prop_assert_eq!(&bytes[12..20], &event.serial.to_be_bytes());
        prop_assert_eq!(&bytes[53..61], &event.at.to_be_bytes());
        prop_assert_eq!(read(&bytes), Ok(event));
    }

    #[test]
    fn events_are_signed_alike_only_if_they_are_the_same(one in any_event(), other in any_event()) {
        let same = one == other;
        prop_assert_eq!(same, one.to_be_signed(&STREAM, DEPLOYMENT) == other.to_be_signed(&STREAM, DEPLOYMENT));
        let elsewhere = DeploymentId::from_bytes([9; 16]);
        prop_assert_ne!(one.to_be_signed(&STREAM, DEPLOYMENT), one.to_be_signed(&STREAM, elsewhere));
    }

    #[test]
    fn what_is_parsed_is_what_would_be_written(bytes in proptest::collection::vec(any::<u8>(), 190)) {
        let head = [b"KHE2".as_slice(), &bytes].concat();
        prop_assert!(SignedLeaseEvent::parse(&head).is_err());
        for code in [KEY_STOPPED, DEVICE_REVOKED, POLICY_CHANGED, KEY_ROTATED, NOTHING] {
            let certificate = claims().certified([0; 64]).encode();
            let event = [b"KHE2".as_slice(), &bytes[..16], &[code], &bytes[16..120], &certificate].concat();
            if let Ok(parsed) = SignedLeaseEvent::parse(&event) {
                prop_assert_eq!(parsed.encode(), event);
            }
        }
    }
}

#[test]
fn one_kind_of_end_does_not_pass_as_another() {
    // The same 32 subject bytes under every other code: two flipped bits, which a test of single
    // flips does not reach.
    let key = signed(LeaseEnd::KeyStopped(KeyId::from_bytes([5; 16])));
    let device = signed(LeaseEnd::DeviceRevoked(DeviceId::from_thumbprint([0; 32])));
    let policy = signed(LeaseEnd::PolicyChanged);
    for bytes in [key, device, policy] {
        assert!(read(&bytes).is_ok());
        for code in (0..=255).filter(|code| *code != bytes[20]) {
            let mut changed = bytes.clone();
            changed[20] = code;
            assert_eq!(read(&changed), Err(NotSigned), "code {code}");
        }
    }
}

#[test]
fn bytes_of_the_subject_that_are_not_used_must_be_zero() {
    let key = signed(LeaseEnd::KeyStopped(KeyId::from_bytes([5; 16])));
    let policy = signed(LeaseEnd::PolicyChanged);
    for (bytes, unused) in [(key, 37..53), (policy, 21..53)] {
        for at in unused {
            let mut changed = bytes.clone();
            changed[at] = 1;
            assert_eq!(SignedLeaseEvent::parse(&changed), Err(NotSigned), "byte {at}");
        }
    }
}

#[test]
fn the_signature_of_one_event_does_not_serve_another() {
    let bytes = signed(LeaseEnd::PolicyChanged);
    let later = LeaseEvent { number: 3, serial: 8, end: LeaseEnd::PolicyChanged, at: NOW };
    let mut changed = later.sign(&STREAM, &signer(2, claims())).encode();
    assert!(read(&changed).is_ok());
    changed[61..125].copy_from_slice(&bytes[61..125]);
    assert_eq!(read(&changed), Err(NotSigned));
}

#[test]
fn a_certificate_that_came_later_does_not_heal_an_event() {
    // The same node key, certified by a foreign HSM key, for another deployment, and for the past.
    let past = NodeClaims { not_before: NOW - 200, not_after: NOW - 1, ..claims() };
    let elsewhere = NodeClaims { deployment: DeploymentId::from_bytes([9; 16]), ..claims() };
    for certificate in [signer(4, claims()), signer(2, past), signer(2, elsewhere)] {
        let mut bytes = signed(LeaseEnd::PolicyChanged);
        bytes[125..].copy_from_slice(&certificate.certificate().encode());
        assert_eq!(read(&bytes), Err(NotSigned));
    }
    // Renewed for the same deployment it holds: a signature does not name its certificate.
    let renewed = NodeClaims { not_before: NOW - 1, ..claims() };
    let mut bytes = signed(LeaseEnd::PolicyChanged);
    bytes[125..].copy_from_slice(&signer(2, renewed).certificate().encode());
    assert!(read(&bytes).is_ok());
}
