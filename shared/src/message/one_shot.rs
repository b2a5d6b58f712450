//! Whole messages in memory.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    encryptor::{Encryptor, NewMessage},
    error::MessageError,
    header::Header,
    header_parser::HeaderParser,
};
use crate::secret::DataKey;

/// Encrypts a small message.
///
/// # Errors
/// As [`Encryptor::new`].
pub fn encrypt(
    new: NewMessage<'_>,
    data_key: &DataKey,
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, MessageError> {
    let mut out = Vec::with_capacity(plaintext.len() + 1024);
    Encryptor::new(new, data_key, rng, &mut out)?.finish_with(plaintext, &mut out)?;
    Ok(out)
}

/// Decrypts a small message; `data_key` opens one of the header's data keys. Plaintext is given out
/// only when the whole message, and the signature of a signed one, was verified.
///
/// # Errors
/// What `data_key` answers, or [`MessageError`] for a message that is not whole and genuine.
pub fn decrypt<E: From<MessageError>>(
    message: &[u8],
    data_key: impl FnOnce(&Header) -> Result<DataKey, E>,
) -> Result<Zeroizing<Vec<u8>>, E> {
    let parsed = HeaderParser::new().push(message)?;
    let (header, body) = parsed.ok_or(MessageError::Truncated)?;
    let key = data_key(&header)?;
    let mut decryptor = header.dangerous_open_before_signature(&key)?;
    // No longer needed once the message's own key is derived.
    drop(key);
    // Held back, and zeroized on every early return, until `finish` has verified the signature.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(body.len()));
    decryptor.push(body, &mut plaintext)?;
    decryptor.finish()?;
    Ok(plaintext)
}
