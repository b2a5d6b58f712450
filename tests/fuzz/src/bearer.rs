//! Tokens of identity providers and the keys that they publish: from anybody, before anything is believed.

use base64ct::{Base64UrlUnpadded, Encoding};
use keyhaven_shared::jwt::{Algorithm, KeySet, LONGEST_TOKEN, UnverifiedToken};

/// The input as a token; and its lines, as JSON, as a token's header and claims.
pub fn token(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data) {
        take_apart(text);
    }
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (header, claims) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let [header, claims] = [header, claims].map(Base64UrlUnpadded::encode_string);
    take_apart(&format!("{header}.{claims}.AA"));
    // A signature that is none is no reason to read on.
    assert!(UnverifiedToken::parse(&format!("{header}.{claims}.")).is_err());
}

fn take_apart(text: &str) {
    let Ok(token) = UnverifiedToken::parse(text) else { return };
    assert!(text.len() <= LONGEST_TOKEN && text.matches('.').count() == 2);
    assert_eq!(token.algorithm.name().parse(), Ok(token.algorithm));
    let UnverifiedToken { key_id, claims, .. } = token;
    assert!(![&key_id, &claims.issuer, &claims.subject].iter().any(|text| text.is_empty()));
    assert!(!claims.audiences.is_empty());
}

/// A set of keys: what is found in it by a name has that name, and is for that algorithm.
pub fn key_set(data: &[u8]) {
    let Ok(keys) = KeySet::parse(data) else { return };
    assert!(keys.len() <= 100);
    for name in core::str::from_utf8(data).unwrap_or_default().split('"') {
        for algorithm in Algorithm::ALL {
            if let Some(key) = keys.find(name, algorithm) {
                assert!(keys.has(name) && key.key_id == name);
                assert!(key.algorithm.is_none_or(|only| only == algorithm));
            }
        }
    }
}
