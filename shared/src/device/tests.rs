use p256::ecdsa::{Signature, SigningKey, signature::Signer};

use super::*;
use crate::{
    hpke::{
        MlKemPrivateKey,
        tests::{LOW_ORDER, hex, public_of},
    },
    secret::MlKemSeed,
};

pub(crate) fn authentication_key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

fn point(byte: u8) -> Vec<u8> {
    authentication_key(byte).verifying_key().to_sec1_point(false).as_bytes().to_vec()
}

fn x25519(byte: u8) -> SealingPublicKey {
    SealingPublicKey::new(SealingSuite::X25519Aes256Gcm, &public_of([byte; 32])).unwrap()
}

pub(crate) fn ml_kem(byte: u8) -> MlKemPrivateKey {
    MlKemPrivateKey::from_seed(&MlKemSeed::from_slice(&[byte; 64]).unwrap())
}

pub(super) fn x_wing(byte: u8) -> SealingPublicKey {
    let bytes = [ml_kem(byte).public_key(), public_of([byte; 32]).to_vec()].concat();
    SealingPublicKey::new(SealingSuite::MlKem768X25519Aes256Gcm, &bytes).unwrap()
}

/// The keys of the classical device whose private keys are all `byte`.
pub(crate) fn device(byte: u8) -> DevicePublicKeys {
    DevicePublicKeys::new(vec![x25519(byte)], &point(byte)).unwrap()
}

/// The keys of the hybrid device whose private keys and seeds are all `byte`.
pub(crate) fn hybrid_device(byte: u8) -> DevicePublicKeys {
    DevicePublicKeys::new(vec![x_wing(byte)], &point(byte)).unwrap()
}

/// A device with a key of each suite.
pub(crate) fn device_of_both(byte: u8) -> DevicePublicKeys {
    DevicePublicKeys::new(vec![x25519(byte), x_wing(byte)], &point(byte)).unwrap()
}

pub(super) fn all() -> [DevicePublicKeys; 3] {
    [device(1), hybrid_device(1), device_of_both(1)]
}

#[test]
fn the_encoding_round_trips_and_every_other_length_is_refused() {
    for (device, length) in all().into_iter().zip([100, 1284, 1317]) {
        let bytes = device.encode();
        assert_eq!(bytes.len(), length);
        assert_eq!(DevicePublicKeys::parse(&bytes), Ok(device));
        for length in 0..bytes.len() {
            assert!(DevicePublicKeys::parse(&bytes[..length]).is_err(), "cut to {length}");
        }
        for extra in 1..=64 {
            let longer = [bytes.as_slice(), &vec![0; extra]].concat();
            assert!(DevicePublicKeys::parse(&longer).is_err(), "longer by {extra}");
        }
    }
}

#[test]
fn every_flipped_bit_is_refused_or_makes_another_device() {
    for device in all() {
        let bytes = device.encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = DevicePublicKeys::parse(&changed) {
                assert_ne!(other.thumbprint(), device.thumbprint(), "bit {bit}");
                assert_eq!(other.encode(), changed, "bit {bit}");
            }
        }
    }
}

#[test]
fn a_hybrid_key_left_out_or_put_in_makes_another_device_or_none() {
    let (both, classical, hybrid) = (device_of_both(1), device(1), hybrid_device(1));
    let ids = [&both, &classical, &hybrid].map(DevicePublicKeys::thumbprint);
    assert_eq!(std::collections::BTreeSet::from(ids).len(), 3);
    assert_eq!(both.sealing_key(), hybrid.sealing_key(), "the strongest counts");
    // The list of suites alone is changed, the keys stay.
    for codes in [&[1_u8][..], &[2], &[2, 1], &[1, 1, 2], &[1, 2, 2], &[1, 2, 3]] {
        let count = u8::try_from(codes.len()).unwrap();
        for format in [CLASSICAL, SUITED] {
            let changed = [&[format, count], codes, &both.encode()[4..]].concat();
            assert!(DevicePublicKeys::parse(&changed).is_err(), "{format} {codes:?}");
        }
    }
}

#[test]
fn each_list_of_suites_has_one_format() {
    for device in all() {
        let mut changed = device.encode();
        changed[0] = CLASSICAL + SUITED - changed[0];
        assert_eq!(DevicePublicKeys::parse(&changed), Err(DeviceKeyError::Suites));
    }
}

#[test]
fn unusable_keys_are_refused() {
    let good = point(1);
    let mut off_curve = good.clone();
    off_curve[64] ^= 1;
    let mut other_tag = good.clone();
    other_tag[0] = 6;
    let compressed = authentication_key(1).verifying_key().to_sec1_point(true);
    for bad in [off_curve.as_slice(), &other_tag, &good[..64], compressed.as_bytes(), &[0], &[]] {
        let refused = DevicePublicKeys::new(vec![x25519(1)], bad);
        assert_eq!(refused, Err(DeviceKeyError::AuthenticationKey));
    }
    for suites in [vec![], vec![x25519(1), x25519(2)], vec![x_wing(1), x25519(1)]] {
        assert_eq!(DevicePublicKeys::new(suites, &good), Err(DeviceKeyError::Suites));
    }
}

#[test]
fn a_hybrid_device_with_half_a_usable_key_is_refused() {
    let bytes = hybrid_device(1).encode();
    let refused = |at: usize, part: &[u8]| {
        let mut changed = bytes.clone();
        changed[at..at + part.len()].copy_from_slice(part);
        assert_eq!(DevicePublicKeys::parse(&changed), Err(DeviceKeyError::SealingKey));
    };
    for low in LOW_ORDER {
        refused(3 + 1184, &hex(low));
    }
    // Coefficients of 4095, beyond the modulus of 3329.
    for at in [3, 3 + 600, 3 + 1149] {
        refused(at, &[0xff; 3]);
    }
}

#[test]
fn signatures_verify_with_either_s_and_nothing_else() {
    let signature: Signature = authentication_key(1).sign(b"request");
    let bytes = signature.to_bytes();
    let (r, s) = signature.split_scalars();
    let other_s = Signature::from_scalars(*r, -*s).unwrap().to_bytes();
    assert_ne!(bytes, other_s);
    let device = device(1);
    assert_eq!(device.verify_signature(b"request", &bytes), Ok(()));
    assert_eq!(device.verify_signature(b"request", &other_s), Ok(()));
    assert_eq!(hybrid_device(1).verify_signature(b"request", &bytes), Ok(()));

    assert!(self::device(2).verify_signature(b"request", &bytes).is_err());
    assert!(device.verify_signature(b"Request", &bytes).is_err());
    assert!(device.verify_signature(b"request", &bytes[..63]).is_err());
    assert!(device.verify_signature(b"request", &[0; 64]).is_err());
    assert!(device.verify_signature(b"request", &[bytes.as_slice(), &[0]].concat()).is_err());
    for bit in 0..512 {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(device.verify_signature(b"request", &changed).is_err(), "bit {bit}");
    }
}
