//! Certificates of any claims, and keys that a certificate may not vouch for.

use proptest::prelude::*;

use super::{
    tests::{DEPLOYMENT, NOW, claims, issuer, signer},
    *,
};

fn any_claims() -> impl Strategy<Value = NodeClaims> {
    (any::<[u8; 16]>(), any::<[u8; 32]>(), any::<u64>(), any::<u64>()).prop_map(
        |(deployment, node_public_key, not_before, not_after)| NodeClaims {
            deployment: DeploymentId::from_bytes(deployment),
            node_public_key,
            not_before,
            not_after,
        },
    )
}

/// A certificate by the HSM key 2 for claims of any kind, even for a node key that nobody holds.
fn certified(claims: NodeClaims) -> NodeCertificate {
    let hsm = SigningKey::from_bytes(&[2; 32]);
    claims.certified(hsm.sign(&claims.to_be_signed()).to_bytes())
}

fn holds(claims: NodeClaims) -> bool {
    certified(claims).verify(&issuer(2), DEPLOYMENT, NOW).is_ok()
}

proptest! {
    #[test]
    fn certificates_round_trip_and_stand_at_their_offsets(claims in any_claims(), half: [u8; 32]) {
        let signature: [u8; 64] = [half, half].concat().try_into().unwrap();
        let certificate = claims.certified(signature);
        let bytes = certificate.encode();
        prop_assert_eq!(NodeCertificate::parse(&bytes), Ok(certificate));
        prop_assert_eq!(bytes.len(), 129);
        prop_assert_eq!(&bytes[1..17], claims.deployment.as_bytes());
        prop_assert_eq!(&bytes[17..49], &claims.node_public_key);
        prop_assert_eq!(&bytes[49..57], &claims.not_before.to_be_bytes());
        prop_assert_eq!(&bytes[57..65], &claims.not_after.to_be_bytes());
        prop_assert_eq!(&bytes[65..], &signature);
    }

    #[test]
    fn claims_are_signed_alike_only_if_they_are_the_same(one in any_claims(), other in any_claims()) {
        prop_assert_eq!(one == other, one.to_be_signed() == other.to_be_signed());
        let mixed = NodeClaims { not_before: other.not_before, ..one };
        prop_assert_eq!(one == mixed, one.to_be_signed() == mixed.to_be_signed());
        let swapped =
            NodeClaims { not_before: one.not_after, not_after: one.not_before, ..one };
        prop_assert_eq!(one == swapped, one.to_be_signed() == swapped.to_be_signed());
    }

    #[test]
    fn validity_is_as_it_was_specified(before in 0_u64..200_000, length in 0_u64..100_000) {
        let not_before = NOW - before;
        let not_after = not_before + length;
        let valid = length <= 86_400 && before < length;
        prop_assert_eq!(holds(NodeClaims { not_before, not_after, ..claims() }), valid);
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..140)) {
        let read = NodeCertificate::parse(&bytes);
        prop_assert_eq!(read.is_ok(), bytes.len() == NodeCertificate::BYTES && bytes[0] == 1);
        if let Ok(certificate) = read {
            prop_assert!(certificate.verify(&issuer(2), DEPLOYMENT, NOW).is_err());
        }
    }
}

#[test]
fn the_ends_of_time_are_no_way_around_the_validity() {
    for (not_before, not_after) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX), (0, 0)] {
        let claims = NodeClaims { not_before, not_after, ..claims() };
        for now in [0, 1, NOW, u64::MAX - 1, u64::MAX] {
            let verified = certified(claims).verify(&issuer(2), DEPLOYMENT, now);
            assert!(verified.is_err(), "{not_before} to {not_after} at {now}");
        }
    }
}

#[test]
fn every_other_format_is_refused() {
    let bytes = signer(2, claims()).certificate().encode();
    for format in (0..=255).filter(|format| *format != 1) {
        let mut changed = bytes.clone();
        changed[0] = format;
        assert_eq!(NodeCertificate::parse(&changed), Err(NotSigned), "format {format}");
    }
}

#[test]
fn a_certificate_for_bytes_that_are_no_point_is_refused() {
    assert!(holds(claims()));
    let no_points = (0..=255).map(|byte| [byte; 32]);
    let no_points: Vec<_> =
        no_points.filter(|bytes| VerifyingKey::from_bytes(bytes).is_err()).collect();
    assert!(!no_points.is_empty());
    for node_public_key in no_points {
        assert!(!holds(NodeClaims { node_public_key, ..claims() }), "{node_public_key:?}");
    }
}

#[test]
fn under_a_low_order_node_key_no_signature_verifies() {
    // Without the strict check, S = 0 and R = the neutral element would sign everything under it.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let certificate = certified(NodeClaims { node_public_key: neutral, ..claims() });
    let mut signature = [0; 64];
    signature[0] = 1;
    let verified = certificate.verify(&issuer(2), DEPLOYMENT, NOW);
    assert!(verified.is_err() || verified.unwrap().verify(b"anything", &signature).is_err());
}

#[test]
fn the_issuer_s_own_signature_is_no_node_s() {
    // What the HSM signs are certificates: one that it signed does not pass as a node's message.
    let certificate = certified(claims());
    let node = certificate.verify(&issuer(2), DEPLOYMENT, NOW).unwrap();
    assert_eq!(node.verify(&claims().to_be_signed(), &certificate.signature), Err(NotSigned));
}
