//! The encryption context: what a ciphertext is about. It is authenticated, not secret, and only the
//! byte-exact same context decrypts.
//!
//! It is compared by bytes: "é" as one character and as two are different contexts. Normalising
//! would make the answer depend on a version of Unicode's tables, which server and clients need not
//! share.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::encoding::{Label, Transcript};

/// Why a set of pairs is no encryption context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// The same key stands twice.
    #[error("a key appears twice in the encryption context")]
    DuplicateKey,
    /// A key is empty.
    #[error("a key in the encryption context is empty")]
    EmptyKey,
    /// More than [`EncryptionContext::MAX_BYTES`] of keys and values.
    #[error("the encryption context is larger than 8192 bytes")]
    TooLarge,
    /// The key is kept for the message format's own use.
    #[error("keys of an encryption context may not begin with `aws-crypto-`")]
    ReservedKey,
}

/// A map of UTF-8 strings, byte-exact (no Unicode normalisation), sorted by key bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EncryptionContext {
    /// A sorted map: so there is one encoding, whatever order the pairs came in.
    pairs: BTreeMap<String, String>,
    /// Of the encoding; computed once, since every use of a context asks for it several times.
    hash: [u8; 32],
}

impl Default for EncryptionContext {
    fn default() -> Self {
        Self::of(BTreeMap::new())
    }
}

impl EncryptionContext {
    /// The most bytes that keys and values may have together (the limit AWS KMS has).
    pub const MAX_BYTES: usize = 8192;
    /// Keys with this prefix belong to the message format (its signature key).
    pub const RESERVED_PREFIX: &'static str = "aws-crypto-";

    /// Takes pairs in any order.
    ///
    /// # Errors
    /// [`ContextError`] for a duplicate or empty key, or too many bytes.
    pub fn from_pairs<I>(pairs: I) -> Result<Self, ContextError>
    where
        I: IntoIterator<Item = (String, String)>,
    {
        Self::from_iterator(&mut pairs.into_iter())
    }

    /// One code for all iterators: a map's is large, and a page has to load it.
    fn from_iterator(
        pairs: &mut dyn Iterator<Item = (String, String)>,
    ) -> Result<Self, ContextError> {
        let (mut map, mut bytes) = (BTreeMap::new(), 0_usize);
        for (key, value) in pairs {
            // Before anything is kept: what a caller sends must not decide how much memory is used.
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            if key.is_empty() {
                return Err(ContextError::EmptyKey);
            }
            if bytes > Self::MAX_BYTES {
                return Err(ContextError::TooLarge);
            }
            // Refused, and not the last taken: two readers of one text might take different ones.
            if map.insert(key, value).is_some() {
                return Err(ContextError::DuplicateKey);
            }
        }
        Ok(Self::of(map))
    }

    /// Pairs that were checked, or none.
    fn of(pairs: BTreeMap<String, String>) -> Self {
        let hash = Sha256::digest(encode(&pairs)).into();
        Self { pairs, hash }
    }

    /// Refuses keys that only the message format may set; call it on what an application gives.
    ///
    /// # Errors
    /// [`ContextError::ReservedKey`].
    // Not done by `from_pairs`, which also reads contexts out of messages: there the format's own
    // key belongs.
    pub fn without_reserved_keys(self) -> Result<Self, ContextError> {
        let reserved = self.pairs.keys().any(|key| key.starts_with(Self::RESERVED_PREFIX));
        if reserved { Err(ContextError::ReservedKey) } else { Ok(self) }
    }

    /// The pairs, sorted by key bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.pairs.get(key).map(String::as_str)
    }

    /// Whether every pair of `required` stands in this context.
    // `required` may be empty, and then every context has it: a caller that means something must
    // say it.
    #[must_use]
    pub fn contains_all(&self, required: &Self) -> bool {
        required.pairs.iter().all(|(key, value)| self.pairs.get(key) == Some(value))
    }

    /// Whether there are no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The canonical encoding: label, number of pairs, then key and value in order of key bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.pairs)
    }

    /// SHA-256 of [`Self::encode`]: what deliveries and the audit log carry in place of the context.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

/// The number of pairs comes first, so that a context and one with a pair more never begin alike.
fn encode(pairs: &BTreeMap<String, String>) -> Vec<u8> {
    let start = Transcript::new(Label::CONTEXT).number(pairs.len() as u64);
    let fields = pairs.iter();
    fields.fold(start, |t, (key, value)| t.field(key.as_bytes()).field(value.as_bytes())).finish()
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&str, &str)]) -> Result<EncryptionContext, ContextError> {
        EncryptionContext::from_pairs(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())))
    }

    #[test]
    fn order_does_not_matter_and_bytes_do() {
        let one = context(&[("a", "1"), ("b", "2")]).unwrap();
        assert_eq!(one.encode(), context(&[("b", "2"), ("a", "1")]).unwrap().encode());
        let others: [&[(&str, &str)]; 6] = [
            &[],
            &[("a", "")],
            &[("a", "1")],
            &[("a", "2"), ("b", "1")],
            &[("A", "1"), ("b", "2")],
            &[("ab", "12")],
        ];
        for pairs in others {
            assert_ne!(one.hash(), context(pairs).unwrap().hash(), "{pairs:?}");
        }
    }

    #[test]
    fn unicode_is_compared_by_bytes() {
        let composed = context(&[("caf\u{e9}", "x")]).unwrap();
        let decomposed = context(&[("cafe\u{301}", "x")]).unwrap();
        assert_ne!(composed.encode(), decomposed.encode());
    }

    #[test]
    fn bad_pairs_are_refused() {
        assert_eq!(context(&[("a", "1"), ("a", "1")]), Err(ContextError::DuplicateKey));
        assert_eq!(context(&[("", "1")]), Err(ContextError::EmptyKey));
        assert_eq!(context(&[("a", &"x".repeat(8192))]), Err(ContextError::TooLarge));
        let reserved = context(&[("aws-crypto-public-key", "x")]).unwrap();
        assert_eq!(reserved.without_reserved_keys(), Err(ContextError::ReservedKey));
    }

    #[test]
    fn required_pairs_must_all_be_there() {
        let all = context(&[("a", "1"), ("b", "2")]).unwrap();
        assert!(all.contains_all(&context(&[("a", "1")]).unwrap()));
        assert!(!all.contains_all(&context(&[("a", "2")]).unwrap()));
        assert!(!all.contains_all(&context(&[("c", "")]).unwrap()));
    }
}
