//! What is text: ids, headers, contexts. Each value has one spelling.

use core::{fmt::Display, str::FromStr};

use keyhaven_shared::{
    context::EncryptionContext,
    http_signature::{
        ContentDigest, SignatureParams, parse_signature, signature_base, signature_header,
    },
    ids::{DeploymentId, DeviceId, KeyId, KeyringId, TicketId, TokenId},
    key_spec::{KeySpec, KeyUsage, Origin, ProtectionLevel},
    operation::Operation,
};

use crate::genuine;

/// Ids and names, read as every kind there is.
pub fn ids(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    one_spelling::<DeploymentId>(text);
    one_spelling::<KeyringId>(text);
    one_spelling::<KeyId>(text);
    one_spelling::<TokenId>(text);
    one_spelling::<TicketId>(text);
    one_spelling::<DeviceId>(text);
    one_spelling::<KeySpec>(text);
    one_spelling::<KeyUsage>(text);
    one_spelling::<Origin>(text);
    one_spelling::<ProtectionLevel>(text);
    one_spelling::<Operation>(text);
}

fn one_spelling<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

/// The headers that sign a request: each line of the input is read as each of them, and as a target.
pub fn http_signature(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let params = SignatureParams {
        created: genuine::NOW,
        nonce: [1; 16],
        device: genuine::device().thumbprint(),
    };
    for line in text.split('\n') {
        if let Ok(digest) = ContentDigest::parse(line) {
            assert_eq!(digest.to_string(), line);
        }
        if let Ok(params) = SignatureParams::parse(line) {
            assert_eq!(params.signature_input(), line);
        }
        if let Ok(signature) = parse_signature(line) {
            assert_eq!(signature_header(&signature), line);
        }
    }
    // The whole input as a target: nothing in it may begin a line of its own.
    let base = signature_base("POST", text, &ContentDigest::of(data), &params);
    if let Ok(base) = base {
        assert_eq!(base.lines().count(), 5);
        assert!(text.starts_with('/'));
    }
}

/// Encryption contexts, as lines of `key=value`: order does not matter, and all else does.
pub fn context(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let pairs: Vec<_> = text
        .split('\n')
        .map(|line| line.split_once('=').unwrap_or((line, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let read = EncryptionContext::from_pairs(pairs.clone());
    let reversed = EncryptionContext::from_pairs(pairs.iter().rev().cloned());
    assert_eq!(read.is_ok(), reversed.is_ok());
    let (Ok(read), Ok(reversed)) = (read, reversed) else { return };
    assert_eq!(
        (&read, read.encode(), read.hash()),
        (&reversed, reversed.encode(), reversed.hash())
    );
    assert_eq!(read.iter().len(), pairs.len());
    assert!(read.contains_all(&read));
    // Without its last pair, and with a byte moved over a border, it is another context.
    let fewer = pairs.split_last().map(|(_, fewer)| fewer.to_vec()).unwrap_or_default();
    let fewer = EncryptionContext::from_pairs(fewer).expect("a part of a context is one");
    assert_ne!(fewer.encode(), read.encode());
    assert!(read.contains_all(&fewer) && !fewer.contains_all(&read));
    let moved = pairs.iter().map(|(key, value)| (format!("{key}{value}"), String::new()));
    if let Ok(moved) = EncryptionContext::from_pairs(moved) {
        assert_eq!(moved == read, moved.encode() == read.encode());
    }
}
