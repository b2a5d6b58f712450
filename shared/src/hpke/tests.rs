use core::convert::Infallible;

use serde_json::Value;

mod hybrid;

use super::{
    open::{classical_secret, key_schedule},
    *,
};
use crate::{
    committed::tests::CountingRng,
    secret::{SealingPrivateKey, SharedSecret},
};
use ::hpke::aead::AesGcm256;

/// Gives fixed bytes once: the `ikmE` from which the published vectors derive the ephemeral key.
struct FixedRng(Vec<u8>);

impl rand_core::TryRng for FixedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("sealing takes bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("sealing takes bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0.drain(..bytes.len()).collect::<Vec<_>>());
        Ok(())
    }
}

impl rand_core::TryCryptoRng for FixedRng {}

/// Every point of low order, and their non-canonical spellings (RFC 7748 §6.1 asks to refuse them).
pub(crate) const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits.map(|d| u8::from_str_radix(core::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

fn vector() -> Value {
    serde_json::from_str(include_str!("rfc9180.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex(value.as_str().unwrap())
}

fn array(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

fn private(bytes: [u8; 32]) -> SealingPrivateKey {
    SealingPrivateKey::from_slice(&bytes).unwrap()
}

fn agree(private: [u8; 32], public: [u8; 32]) -> SharedSecret {
    SharedSecret::from_slice(&x25519_dalek::x25519(private, public)).unwrap()
}

fn classical(public: &[u8]) -> SealingPublicKey {
    SealingPublicKey::new(SealingSuite::X25519Aes256Gcm, public).unwrap()
}

pub(crate) fn public_of(private: [u8; 32]) -> [u8; 32] {
    x25519_dalek::x25519(private, x25519_dalek::X25519_BASEPOINT_BYTES)
}

#[test]
fn seals_as_rfc_9180_does() {
    let (vector, mut parts) = (vector(), 0);
    for message in vector["encryptions"].as_array().unwrap() {
        let (info, aad) = (bytes(&vector["info"]), bytes(&message["aad"]));
        let binding = Binding { info: &info, aad: &aad };
        let mut rng = FixedRng(bytes(&vector["ikmE"]));
        let recipient = classical(&bytes(&vector["pkRm"]));
        let sealed = recipient.seal(&binding, &bytes(&message["pt"]), &mut rng).unwrap();
        assert_eq!(sealed.enc, array(&vector["enc"]));
        assert_eq!(sealed.ciphertext, bytes(&message["ct"]));
        parts += 1;
    }
    assert_eq!(parts, 1);
}

#[test]
fn opens_as_rfc_9180_does_with_the_key_here_or_elsewhere() {
    let vector = vector();
    let (message, enc) = (&vector["encryptions"][0], array(&vector["enc"]));
    let sealed = Sealed { enc: enc.to_vec(), ciphertext: bytes(&message["ct"]) };
    let (info, aad) = (bytes(&vector["info"]), bytes(&message["aad"]));
    let binding = Binding { info: &info, aad: &aad };
    let recipient = classical(&bytes(&vector["pkRm"]));
    assert_eq!(sealed.x25519_share(), Some(&enc));

    let here = Agreement::with_private(&private(array(&vector["skRm"])), &enc, None);
    let elsewhere = Agreement::new(agree(array(&vector["skRm"]), enc), None);
    for agreed in [here, elsewhere] {
        let opened = recipient.open(&agreed, &binding, &sealed).unwrap();
        assert_eq!(opened.as_slice(), bytes(&message["pt"]));
    }
}

#[test]
fn derives_rfc_9180s_shared_secret_and_key_schedule() {
    let vector = vector();
    let (enc, recipient) = (array(&vector["enc"]), array(&vector["pkRm"]));
    let secret = classical_secret(&agree(array(&vector["skRm"]), enc), &enc, &recipient).unwrap();
    assert_eq!(secret.0.as_slice(), bytes(&vector["shared_secret"]));

    // The context shows neither key nor nonce, but its exporter secret comes from the same schedule.
    let context = key_schedule::<AesGcm256, _>(secret, &bytes(&vector["info"]));
    for export in vector["exports"].as_array().unwrap() {
        let mut exported = [0; 32];
        context.export(&bytes(&export["exporter_context"]), &mut exported).unwrap();
        assert_eq!(exported, array(&export["exported_value"]));
    }
}

#[test]
fn low_order_points_are_refused_in_both_directions() {
    let binding = Binding { info: b"", aad: b"" };
    let recipient = classical(&public_of([7; 32]));
    for point in LOW_ORDER {
        let point: [u8; 32] = hex(point).try_into().unwrap();
        let refused = SealingPublicKey::new(SealingSuite::X25519Aes256Gcm, &point);
        assert_eq!(refused, Err(UnusableKey));
        let sealed = Sealed { enc: point.to_vec(), ciphertext: vec![0; 19] };
        for agreed in [
            Agreement::with_private(&private([7; 32]), &point, None),
            Agreement::new(agree([7; 32], point), None),
        ] {
            assert!(recipient.open(&agreed, &binding, &sealed).is_err());
        }
    }
}

#[test]
fn public_keys_have_one_length() {
    for suite in SealingSuite::ALL {
        for length in (0..=suite.public_key_bytes() + 1).filter(|n| *n != suite.public_key_bytes())
        {
            let refused = SealingPublicKey::new(*suite, &vec![9; length]);
            assert_eq!(refused, Err(UnusableKey), "{suite:?} {length}");
        }
    }
}

#[test]
fn another_recipient_binding_or_ciphertext_does_not_open() {
    let binding = Binding { info: b"info", aad: b"aad" };
    let recipient = classical(&public_of([7; 32]));
    let sealed = recipient.seal(&binding, b"key", &mut CountingRng(0)).unwrap();
    let share = *sealed.x25519_share().unwrap();
    let open = |key, info, aad, sealed: &Sealed| {
        let agreed = Agreement::with_private(&private(key), &share, None);
        recipient.open(&agreed, &Binding { info, aad }, sealed).is_ok()
    };
    assert!(open([7; 32], b"info", b"aad", &sealed));
    assert!(!open([8; 32], b"info", b"aad", &sealed));
    assert!(!open([7; 32], b"Info", b"aad", &sealed));
    assert!(!open([7; 32], b"info", b"Aad", &sealed));
    let too_long = [0; Binding::MAX_INFO + 1];
    assert!(!open([7; 32], &too_long, b"aad", &sealed));
    assert!(
        recipient.seal(&Binding { info: &too_long, aad: b"" }, b"", &mut CountingRng(0)).is_err()
    );
    for bit in 0..sealed.ciphertext.len() * 8 {
        let mut changed = sealed.clone();
        changed.ciphertext[bit / 8] ^= 1 << (bit % 8);
        assert!(!open([7; 32], b"info", b"aad", &changed), "bit {bit}");
    }
    for length in 0..sealed.ciphertext.len() {
        let cut = Sealed { ciphertext: sealed.ciphertext[..length].to_vec(), ..sealed.clone() };
        assert!(!open([7; 32], b"info", b"aad", &cut), "cut to {length}");
    }
    // The public key is part of the derivation: a right secret with a wrong key does not open.
    let agreed = Agreement::with_private(&private([7; 32]), &share, None);
    assert!(recipient.open(&agreed, &binding, &sealed).is_ok());
    assert!(classical(&[9; 32]).open(&agreed, &binding, &sealed).is_err());
}

#[test]
fn codes_round_trip_and_others_are_unknown() {
    for suite in SealingSuite::ALL {
        assert_eq!(SealingSuite::from_code(suite.code()), Some(*suite));
    }
    for code in (0..=255).filter(|code| !(1..=2).contains(code)) {
        assert_eq!(SealingSuite::from_code(code), None);
    }
}
