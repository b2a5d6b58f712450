//! What two contexts share and where they differ, for contexts of any pairs.

use proptest::{collection::btree_map, prelude::*};

use super::*;
use crate::fields::Fields;

fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    // Short strings over few characters, so that look-alikes are met often.
    btree_map("[ab\u{e9}\u{301}]{1,3}", "[ab\u{e9}\u{301}]{0,3}", 0..4)
}

fn context(pairs: &BTreeMap<String, String>) -> EncryptionContext {
    EncryptionContext::from_pairs(pairs.clone()).unwrap()
}

/// The pairs that an encoding holds, read back field by field.
fn decoded(bytes: &[u8]) -> Vec<(String, String)> {
    let mut fields = Fields::new(bytes);
    let mut next = || {
        let length = fields.u32().unwrap() as usize;
        fields.take_slice(length).unwrap().to_vec()
    };
    assert_eq!(next(), Label::CONTEXT.as_str().as_bytes());
    let count = u64::from_be_bytes(next().try_into().unwrap());
    let mut text = || String::from_utf8(next()).unwrap();
    let pairs = (0..count).map(|_| (text(), text())).collect();
    assert_eq!(fields.end(), Ok(()));
    pairs
}

proptest! {
    #[test]
    fn contexts_encode_alike_only_if_they_are_the_same(one in pairs(), other in pairs()) {
        let (a, b) = (context(&one), context(&other));
        prop_assert_eq!(one == other, a.encode() == b.encode());
        prop_assert_eq!(one == other, a.hash() == b.hash());
        prop_assert_eq!(one == other, a == b);
    }

    #[test]
    fn the_encoding_can_be_read_back_in_order_of_key_bytes(map in pairs()) {
        let read = decoded(&context(&map).encode());
        prop_assert!(read.is_sorted_by(|one, next| one.0.as_bytes() < next.0.as_bytes()));
        prop_assert_eq!(read, map.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn the_order_of_giving_does_not_matter(map in pairs(), turns in 0_usize..4) {
        let mut given: Vec<_> = map.clone().into_iter().collect();
        if !given.is_empty() {
            let turns = turns % given.len();
            given.rotate_left(turns);
        }
        given.reverse();
        let other = EncryptionContext::from_pairs(given).unwrap();
        prop_assert_eq!(other.encode(), context(&map).encode());
    }

    #[test]
    fn a_context_holds_every_part_of_itself_and_no_more(map in pairs(), extra in pairs()) {
        let all = context(&map);
        prop_assert!(all.contains_all(&all) && all.contains_all(&EncryptionContext::default()));
        let part = map.clone().into_iter().step_by(2).collect();
        prop_assert!(all.contains_all(&context(&part)));
        let within = extra.iter().all(|(key, value)| map.get(key) == Some(value));
        prop_assert_eq!(all.contains_all(&context(&extra)), within);
        prop_assert_eq!(all.is_empty(), map.is_empty());
        for (key, value) in &map {
            prop_assert_eq!(all.value(key), Some(value.as_str()));
        }
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused_wherever_it_stands(map in pairs(), value in "[ab]?") {
        for key in map.keys() {
            let twice = map.clone().into_iter().chain([(key.clone(), value.clone())]);
            let refused = EncryptionContext::from_pairs(twice);
            prop_assert_eq!(refused, Err(ContextError::DuplicateKey));
        }
    }

    #[test]
    fn the_limit_counts_the_bytes_of_keys_and_values_together(
        keys in 1_usize..200,
        first in 1_usize..8000,
    ) {
        // `keys` pairs that fill the limit to the byte; characters of two bytes count as two.
        let mut left = EncryptionContext::MAX_BYTES;
        let mut pairs = vec![("k".repeat(first), String::new())];
        left -= first;
        for number in 0..keys {
            let key = format!("\u{e9}{number}");
            if key.len() < left {
                left -= key.len();
                pairs.push((key, String::new()));
            }
        }
        pairs.last_mut().unwrap().1 = "x".repeat(left);
        prop_assert!(EncryptionContext::from_pairs(pairs.clone()).is_ok());
        pairs.last_mut().unwrap().1.push('x');
        let refused = EncryptionContext::from_pairs(pairs);
        prop_assert_eq!(refused, Err(ContextError::TooLarge));
    }
}

#[test]
fn only_the_exact_prefix_is_reserved() {
    let with_key = |key: &str| {
        let pairs = [("a".to_owned(), String::new()), (key.to_owned(), "x".to_owned())];
        EncryptionContext::from_pairs(pairs).unwrap().without_reserved_keys()
    };
    for key in ["aws-crypto-", "aws-crypto-public-key", "aws-crypto-\u{e9}"] {
        assert_eq!(with_key(key), Err(ContextError::ReservedKey), "{key}");
    }
    for key in ["aws-crypto", "AWS-crypto-x", "x-aws-crypto-", " aws-crypto-x", "aws_crypto_x"] {
        assert!(with_key(key).is_ok(), "{key}");
    }
}

#[test]
fn an_empty_value_is_a_value() {
    let empty = EncryptionContext::from_pairs([("a".to_owned(), String::new())]).unwrap();
    assert_eq!((empty.value("a"), empty.value("b")), (Some(""), None));
    assert!(!empty.is_empty());
    assert_ne!(empty.hash(), EncryptionContext::default().hash());
}
