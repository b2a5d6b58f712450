//! A device's public keys for any sealing key, and every byte of their layout.

use proptest::prelude::*;

use super::{
    tests::{device, hybrid_device},
    *,
};

#[test]
fn the_layout_stands_where_the_documents_say() {
    let (keys, bytes) = (device(1), device(1).encode());
    assert_eq!(bytes.len(), 100);
    assert_eq!(&bytes[..3], &[1, 1, 1]);
    assert_eq!(&bytes[3..35], keys.sealing_key().as_bytes());
    assert_eq!(&bytes[35..], keys.authentication_key());
    assert_eq!(keys.sealing_key().suite(), SealingSuite::X25519Aes256Gcm);

    let (keys, bytes) = (hybrid_device(1), hybrid_device(1).encode());
    assert_eq!(&bytes[..3], &[2, 1, 2]);
    assert_eq!(&bytes[3..1219], keys.sealing_key().as_bytes());
    assert_eq!(&bytes[1219..], keys.authentication_key());
    assert_eq!(keys.sealing_key().suite(), SealingSuite::MlKem768X25519Aes256Gcm);
}

#[test]
fn only_known_formats_with_known_suites_are_read() {
    let bytes = device(1).encode();
    let with = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        DevicePublicKeys::parse(&changed)
    };
    for byte in (0..=255).filter(|byte| *byte != 1) {
        let expected = if byte == 2 { DeviceKeyError::Suites } else { DeviceKeyError::Malformed };
        assert_eq!(with(0, byte), Err(expected), "format {byte}");
        assert!(with(1, byte).is_err(), "{byte} suites");
        assert_eq!(with(2, byte), Err(DeviceKeyError::Suites), "suite {byte}");
    }
    for byte in (0..=255).filter(|byte| *byte != 4) {
        assert_eq!(with(35, byte), Err(DeviceKeyError::AuthenticationKey), "point tag {byte}");
    }
}

#[test]
fn a_list_of_suites_that_lies_about_its_length_is_refused() {
    let bytes = device(1).encode();
    let (sealing_and_point, suites) = (&bytes[3..], |codes: &[u8]| {
        let count = u8::try_from(codes.len()).unwrap();
        [&[1, count], codes].concat()
    });
    for codes in [&[][..], &[1, 1], &[1, 2], &[0], &[0, 1], &[1; 255]] {
        let changed = [suites(codes).as_slice(), sealing_and_point].concat();
        assert_eq!(DevicePublicKeys::parse(&changed), Err(DeviceKeyError::Suites), "{codes:?}");
    }
    let good = [suites(&[1]).as_slice(), sealing_and_point].concat();
    assert!(DevicePublicKeys::parse(&good).is_ok());
}

#[test]
fn low_order_points_are_refused_in_every_spelling() {
    use crate::hpke::tests::{LOW_ORDER, hex};
    let bytes = device(1).encode();
    for low in LOW_ORDER {
        for top_bit in [0, 0x80] {
            let mut changed = bytes.clone();
            changed[3..35].copy_from_slice(&hex(low));
            changed[34] |= top_bit;
            let refused = DevicePublicKeys::parse(&changed);
            assert_eq!(refused, Err(DeviceKeyError::SealingKey), "{low} {top_bit}");
        }
    }
}

#[test]
fn the_thumbprint_depends_on_each_key() {
    let (one, other) = (device(1), device(2));
    let mixed = |sealing: &DevicePublicKeys, authentication: &DevicePublicKeys| {
        let point = authentication.authentication_key();
        DevicePublicKeys::new(vec![sealing.sealing_key().clone()], &point).unwrap()
    };
    let all = [&one, &other, &mixed(&one, &other), &mixed(&other, &one)];
    let ids: std::collections::BTreeSet<_> = all.map(DevicePublicKeys::thumbprint).into();
    assert_eq!(ids.len(), 4);
    assert_eq!(mixed(&one, &one).thumbprint(), one.thumbprint());
}

#[test]
fn the_example_of_rfc_9421_b_2_4_verifies() {
    use base64ct::{Base64, Encoding};
    // test-key-ecc-p256 of appendix B.1.3: the uncompressed point.
    let point =
        "BKiFWGVSwqz2Rxh4z9ewk1tP/g/S38NBJI6he8QeBYrwMc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0=";
    let point = Base64::decode_vec(point).unwrap();
    let sealing = vec![device(1).sealing_key().clone()];
    let keys = DevicePublicKeys::new(sealing, &point).unwrap();
    let base = "\"@status\": 200\n\
        \"content-type\": application/json\n\
        \"content-digest\": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\
        \"content-length\": 23\n\
        \"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\")\
        ;created=1618884473;keyid=\"test-key-ecc-p256\"";
    let signature = Base64::decode_vec(
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
    )
    .unwrap();
    assert_eq!(keys.verify_signature(base.as_bytes(), &signature), Ok(()));
    assert!(keys.verify_signature(&base.as_bytes()[1..], &signature).is_err());
}

proptest! {
    #[test]
    // 32 bytes of 0xff are no P-256 private key: beyond the order.
    fn there_is_one_encoding_of_given_keys(bytes: [u8; 32], authentication in 1_u8..0xff) {
        let point = device(authentication).authentication_key();
        // Random bytes are no point of low order.
        let sealing = SealingPublicKey::new(SealingSuite::X25519Aes256Gcm, &bytes).unwrap();
        let keys = DevicePublicKeys::new(vec![sealing.clone()], &point).unwrap();
        prop_assert_eq!(DevicePublicKeys::parse(&keys.encode()), Ok(keys.clone()));
        let same = sealing == *device(1).sealing_key() && authentication == 1;
        prop_assert_eq!(keys.thumbprint() == device(1).thumbprint(), same);
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 90..110),
        as_ours: bool,
    ) {
        if as_ours {
            bytes[..3].copy_from_slice(&[1, 1, 1]);
            bytes[35] = 4;
        }
        if let Ok(keys) = DevicePublicKeys::parse(&bytes) {
            prop_assert_eq!(keys.encode(), bytes);
        }
    }
}
