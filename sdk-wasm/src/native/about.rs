//! Encryption contexts, conveniently.

use keyhaven_shared::context::EncryptionContext;

use super::error::Error;

/// An encryption context of these pairs, in any order.
///
/// # Errors
/// [`Error::Argument`] for an empty key, a key twice, one that begins with `aws-crypto-`, or more than 8 KiB.
pub fn context<const N: usize>(pairs: [(&str, &str); N]) -> Result<EncryptionContext, Error> {
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(EncryptionContext::from_pairs(pairs)?.without_reserved_keys()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_are_no_context_are_refused_by_name() {
        let code = |pairs| context(pairs).err().map(|error: Error| error.code().to_owned());
        assert_eq!(code([("a", "1"), ("b", "2")]), None);
        assert_eq!(code([("a", "1"), ("a", "1")]).unwrap(), "context_duplicate_key");
        assert_eq!(code([("a", "1"), ("", "2")]).unwrap(), "context_empty_key");
        assert_eq!(code([("a", "1"), ("aws-crypto-x", "")]).unwrap(), "context_reserved_key");
        let long = "x".repeat(9_000);
        assert_eq!(code([("a", "1"), ("b", &long)]).unwrap(), "context_too_large");
    }
}
