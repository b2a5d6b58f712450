//! Ciphertexts of any key, version, context and text; and what bytes are taken for one.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::committed::tests::CountingRng;

fn material() -> KeyMaterial {
    KeyMaterial::fill_with(|bytes| bytes.fill(1))
}

fn about(pairs: &[(&str, &str)]) -> EncryptionContext {
    let pairs = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into()));
    EncryptionContext::from_pairs(pairs).unwrap()
}

fn sealed(key: [u8; 16], version: u32, text: &[u8]) -> Vec<u8> {
    let place = (KeyId::from_bytes(key), Version::new(version).unwrap(), &material());
    encrypt(place, &EncryptionContext::default(), text, &mut CountingRng(0)).unwrap()
}

fn opens(bytes: &[u8]) -> bool {
    let parsed = Ciphertext::parse(bytes);
    parsed.is_ok_and(|parsed| parsed.decrypt(&material(), &EncryptionContext::default()).is_ok())
}

proptest! {
    #[test]
    fn every_text_comes_back_and_costs_the_overhead(
        key: [u8; 16],
        version in 1_u32..,
        text in vec(any::<u8>(), 0..200),
    ) {
        let bytes = sealed(key, version, &text);
        prop_assert_eq!(bytes.len(), OVERHEAD + text.len());
        let parsed = Ciphertext::parse(&bytes).unwrap();
        prop_assert_eq!((parsed.key.as_bytes(), parsed.version.number()), (&key, version));
        let opened = parsed.decrypt(&material(), &EncryptionContext::default()).unwrap();
        prop_assert_eq!(opened.as_slice(), &text);
    }

    #[test]
    fn a_header_that_names_another_key_or_version_does_not_open(
        key: [u8; 16],
        other: [u8; 16],
        versions in (1_u32.., 1_u32..),
    ) {
        let mut bytes = sealed(key, versions.0, b"text");
        bytes[5..21].copy_from_slice(&other);
        prop_assert_eq!(opens(&bytes), key == other);
        bytes[5..21].copy_from_slice(&key);
        prop_assert!(opens(&bytes));
        bytes[21..25].copy_from_slice(&versions.1.to_be_bytes());
        prop_assert_eq!(opens(&bytes), versions.0 == versions.1);
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(
        bytes in vec(any::<u8>(), 0..200),
        as_ours: bool,
    ) {
        let mut bytes = bytes;
        if as_ours && bytes.len() > 5 {
            bytes[..5].copy_from_slice(b"KHC1\x01");
        }
        if let Ok(parsed) = Ciphertext::parse(&bytes) {
            prop_assert!(bytes.len() >= OVERHEAD && as_ours);
            prop_assert_eq!(parsed.key.as_bytes(), &bytes[5..21]);
            prop_assert!(parsed.decrypt(&material(), &EncryptionContext::default()).is_err());
        }
    }
}

#[test]
fn parsing_stops_where_the_layout_says() {
    use ParseCiphertextError::{NotCiphertext, UnknownSuite};
    let bytes = sealed([7; 16], 1, b"");
    assert_eq!(bytes.len(), 105);
    assert!(Ciphertext::parse(&bytes).is_ok());
    assert_eq!(Ciphertext::parse(&bytes[..104]), Err(NotCiphertext));
    assert_eq!(Ciphertext::parse(b"KHC1"), Err(NotCiphertext));
    assert_eq!(Ciphertext::parse(b"KHC1\x02"), Err(UnknownSuite));
    for magic in [b"KHC0", b"KHC2", b"khc1", b"KHD1", b"KHE1"] {
        let other = [magic.as_slice(), &bytes[4..]].concat();
        assert_eq!(Ciphertext::parse(&other), Err(NotCiphertext), "{magic:?}");
    }
    let mut version_zero = bytes;
    version_zero[21..25].fill(0);
    assert_eq!(Ciphertext::parse(&version_zero), Err(NotCiphertext));
}

#[test]
fn no_context_and_an_empty_one_are_the_same_and_a_pair_is_not() {
    let bytes = sealed([7; 16], 1, b"text");
    let parsed = Ciphertext::parse(&bytes).unwrap();
    assert!(parsed.decrypt(&material(), &about(&[])).is_ok());
    for pairs in [&[("a", "")], &[("a", "a")], &[("\0", "")]] {
        assert!(parsed.decrypt(&material(), &about(pairs)).is_err(), "{pairs:?}");
    }
}

#[test]
fn the_sealed_half_of_one_ciphertext_does_not_open_behind_the_header_of_another() {
    let (one, other) = (sealed([7; 16], 1, b"text"), sealed([8; 16], 1, b"text"));
    let spliced = [&one[..25], &other[25..]].concat();
    assert!(opens(&one) && opens(&other));
    assert!(!opens(&spliced));
    // The commitment of one beside the body of the other: both halves must be of one key.
    let mixed = [&one[..57], &other[57..89], &one[89..]].concat();
    assert!(!opens(&mixed));
}
