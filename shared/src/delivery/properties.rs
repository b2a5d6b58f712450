//! Deliveries under any lease; and that each field of the header is bound to the sealed key, even
//! against a node that signs something else.

use proptest::prelude::*;

use super::*;
use crate::{
    committed::tests::CountingRng,
    device::tests::device,
    ids::{DeviceId, KeyId, Version},
    issuer::tests::{DEPLOYMENT, NOW, claims, issuer, signer},
    secret::SealingPrivateKey,
};

fn recipient(keys: &DevicePublicKeys) -> Recipient<'_> {
    let keyring = KeyringId::from_bytes([4; 16]);
    Recipient { deployment: DEPLOYMENT, keyring, keys, enrolment_epoch: 1 }
}

fn lease() -> Lease {
    Lease {
        key: KeyId::from_bytes([5; 16]),
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

fn delivery(lease: Lease) -> Delivery {
    let (keys, terms) =
        (device(1), DeliveryTerms { nonce: [9; 32], context_hash: [10; 32], lease });
    let (data_key, node) = (DataKey::fill_with(|key| key.fill(11)), signer(2, claims()));
    Delivery::seal(&recipient(&keys), &terms, &data_key, &node, &mut CountingRng(0)).unwrap()
}

/// Expectations that this very header meets: whatever it says was asked for.
fn meeting<'a>(header: &DeliveryHeader, keys: &'a DevicePublicKeys) -> Expectations<'a> {
    Expectations {
        recipient: recipient(keys),
        nonce: header.nonce,
        key: header.lease.key,
        version: None,
        context_hash: header.context_hash,
        flags: header.lease.flags,
        max_lease: Lease::LONGEST_S,
        max_offline_grace: Lease::LONGEST_OFFLINE_GRACE_S,
    }
}

/// What the device makes of it: whether it verified, and whether it then opened.
fn outcome(delivery: Delivery) -> (bool, bool) {
    let keys = device(1);
    let expected = meeting(&delivery.header, &keys);
    let private = SealingPrivateKey::from_slice(&[1; 32]).unwrap();
    match delivery.verify(&expected, &issuer(2), NOW) {
        Ok(verified) => (true, verified.open_with_private(&private, None).is_ok()),
        Err(DeliveryError) => (false, false),
    }
}

fn signed_again(mut delivery: Delivery) -> Delivery {
    let message = to_be_signed(delivery.suite, &delivery.header, &delivery.sealed);
    delivery.signature = signer(2, claims()).sign(&message);
    delivery
}

#[test]
fn no_field_of_the_header_can_be_exchanged_even_by_a_node_that_signs_it() {
    type Change = (&'static str, fn(&mut DeliveryHeader));
    let changes: [Change; 12] = [
        ("nonce", |header| header.nonce[31] ^= 1),
        ("context hash", |header| header.context_hash[0] ^= 1),
        ("commitment", |header| header.commitment[0] ^= 1),
        ("key", |header| header.lease.key = KeyId::from_bytes([6; 16])),
        ("version", |header| header.lease.version = Version::new(2).unwrap()),
        ("serial", |header| header.lease.serial += 1),
        ("issued at", |header| header.lease.issued_at -= 1),
        ("not after", |header| header.lease.not_after += 1),
        ("offline grace", |header| header.lease.offline_grace += 1),
        ("flags", |header| header.lease.flags = UsageFlags::EXPORT),
        ("key epoch", |header| header.lease.key_epoch -= 1),
        ("policy epoch", |header| header.lease.policy_epoch -= 1),
    ];
    assert_eq!(outcome(delivery(lease())), (true, true));
    for (name, change) in changes {
        let mut changed = delivery(lease());
        change(&mut changed.header);
        assert_eq!(outcome(changed.clone()), (false, false), "{name}: the signature is old");
        assert_eq!(outcome(signed_again(changed)), (true, false), "{name}: sealed with another");
    }
}

#[test]
fn the_sealed_key_of_one_delivery_does_not_open_in_another() {
    let (one, other) = (delivery(lease()), delivery(Lease { serial: 99, ..lease() }));
    assert_ne!(one.sealed, other.sealed);
    let mut swapped = one.clone();
    swapped.sealed = other.sealed.clone();
    assert_eq!(outcome(swapped.clone()), (false, false));
    assert_eq!(outcome(signed_again(swapped)), (true, false));
    let mut half = one;
    half.sealed.enc[0] ^= 1;
    assert_eq!(outcome(signed_again(half)), (true, false));
}

#[test]
fn fields_stand_where_the_documents_say() {
    let (made, bytes) = (delivery(lease()), delivery(lease()).encode());
    let header = &bytes[5..5 + DeliveryHeader::BYTES];
    assert_eq!(&bytes[..5], b"KHD1\x01");
    assert_eq!(&header[..32], device(1).thumbprint().as_bytes());
    assert_eq!(&header[32..64], &[9; 32]);
    assert_eq!(&header[64..80], &[5; 16]);
    assert_eq!(&header[80..88], &[0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(&header[88..120], &made.header.commitment);
    assert_eq!(&header[120..152], &[10; 32]);
    assert_eq!(&header[152..160], &6_u64.to_be_bytes());
    assert_eq!(&header[160..168], &NOW.to_be_bytes());
    assert_eq!(&header[168..176], &(NOW + 300).to_be_bytes());
    assert_eq!(&header[176..180], &60_u32.to_be_bytes());
    assert_eq!(&header[180..], [7_u64.to_be_bytes(), 8_u64.to_be_bytes()].concat());
    assert_eq!(&bytes[201..233], &made.sealed.enc);
    assert_eq!(&bytes[281..345], &made.signature);
}

#[test]
fn version_zero_and_usages_without_meaning_are_no_delivery() {
    let bytes = delivery(lease()).encode();
    for (at, field) in [(85, [0; 4]), (89, [0; 4]), (89, [0, 0, 0, 8]), (89, [0x80, 0, 0, 2])] {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&field);
        assert_eq!(Delivery::parse(&changed), Err(DeliveryError), "{field:?} at {at}");
    }
}

#[test]
fn the_clock_may_be_behind_by_five_minutes_and_the_lease_ends_on_its_second() {
    let keys = device(1);
    let at = |now: u64| {
        let made = delivery(lease());
        let expected = meeting(&made.header, &keys);
        made.verify(&expected, &issuer(2), now).is_ok()
    };
    // The node's certificate holds for 100 seconds around NOW, so each edge is tried within it.
    assert!(at(NOW - 100) && at(NOW) && at(NOW + 99));
    assert!(!at(NOW - 101) && !at(NOW + 100));
    let ends = |not_after: u64, now: u64| {
        let made = delivery(Lease { issued_at: NOW - 10, not_after, ..lease() });
        let expected = meeting(&made.header, &keys);
        made.verify(&expected, &issuer(2), now).is_ok()
    };
    assert!(ends(NOW + 5, NOW + 4) && !ends(NOW + 5, NOW + 5) && !ends(NOW + 5, NOW + 6));
    let begins = |issued_at: u64| {
        outcome(delivery(Lease { issued_at, not_after: issued_at + 300, ..lease() })).0
    };
    assert!(begins(NOW + 300) && !begins(NOW + 301) && begins(NOW - 299) && !begins(NOW - 300));
}

#[test]
fn the_commitment_tells_data_keys_apart() {
    let commitment = |byte| data_key_commitment(&DataKey::fill_with(|key| key.fill(byte)));
    let all: std::collections::BTreeSet<_> = (0..=255).map(commitment).collect();
    assert_eq!(all.len(), 256);
}

fn any_header() -> impl Strategy<Value = DeliveryHeader> {
    let bytes = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>());
    let place = (any::<[u8; 16]>(), 1_u32.., 1_u32..8, any::<u32>());
    let numbers = any::<[u64; 5]>();
    (bytes, place, numbers).prop_map(|(bytes, place, numbers)| {
        let (device, nonce, context_hash, commitment) = bytes;
        let (key, version, flags, offline_grace) = place;
        let [serial, issued_at, not_after, key_epoch, policy_epoch] = numbers;
        let lease = Lease {
            key: KeyId::from_bytes(key),
            version: Version::new(version).unwrap(),
            serial,
            issued_at,
            not_after,
            offline_grace,
            flags: UsageFlags::from_bits(flags).unwrap(),
            key_epoch,
            policy_epoch,
        };
        let device = DeviceId::from_thumbprint(device);
        DeliveryHeader { device, nonce, context_hash, commitment, lease }
    })
}

proptest! {
    #[test]
    fn headers_round_trip(header in any_header()) {
        let bytes = header.encode();
        prop_assert_eq!(bytes.len(), DeliveryHeader::BYTES);
        let mut fields = Fields::new(&bytes);
        prop_assert_eq!(DeliveryHeader::read(&mut fields), Ok(Some(header)));
        prop_assert_eq!(fields.end(), Ok(()));
    }

    #[test]
    fn what_is_parsed_is_what_would_be_written(
        header in any_header(),
        tail in proptest::collection::vec(any::<u8>(), 32 + CIPHERTEXT + 64),
    ) {
        let certificate = claims().certified([7; 64]).encode();
        let bytes = [b"KHD1\x01".as_slice(), &header.encode(), &tail, &certificate].concat();
        let parsed = Delivery::parse(&bytes).unwrap();
        prop_assert_eq!(parsed.encode(), bytes);
        prop_assert_eq!(outcome(parsed), (false, false));
    }

    #[test]
    fn leases_are_within_limits_as_they_were_specified(
        issued_at in prop_oneof![0..10_000_u64, any::<u64>()],
        not_after in prop_oneof![0..10_000_u64, any::<u64>()],
        offline_grace in 0..1_000_000_u32,
        longest in 0..10_000_u64,
        longest_grace in 0..1_000_000_u32,
    ) {
        let lease = Lease { issued_at, not_after, offline_grace, ..lease() };
        let life = i128::from(not_after) - i128::from(issued_at);
        let fits = life >= 1 && life <= i128::from(longest.min(3600));
        let grace = offline_grace <= longest_grace && offline_grace <= 604_800;
        prop_assert_eq!(lease.is_within(longest, longest_grace), fits && grace);
    }
}
