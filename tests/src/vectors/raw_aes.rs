//! Data keys as the AWS Encryption SDK's raw AES keyring wraps them. Keyhaven itself has no use for it.

use aes_gcm::{
    Aes128Gcm, Aes256Gcm, AesGcm, KeyInit,
    aead::{Aead, Payload, consts::U12},
    aes::Aes192,
};
use keyhaven_shared::{
    context::EncryptionContext,
    message::{EncryptedDataKey, Header},
    secret::DataKey,
};

/// A key that wraps data keys.
pub struct WrappingKey {
    /// The keyring's namespace, UTF-8.
    pub provider_id: String,
    /// 16, 24 or 32 bytes.
    pub material: Vec<u8>,
}

/// The data key of a message, by whichever of these keys opens one of its encrypted data keys.
#[must_use]
pub fn unwrap(header: &Header, keys: &[WrappingKey]) -> Option<DataKey> {
    let aad = serialized(header.context())?;
    let pairs = header
        .encrypted_data_keys()
        .iter()
        .flat_map(|key| keys.iter().map(move |with| (key, with)));
    let fitting = pairs.filter(|(key, with)| key.provider_id == with.provider_id);
    fitting
        .filter_map(|(key, with)| opened(key, &with.material, &aad))
        .find_map(|key| DataKey::from_slice(&key))
}

/// Provider info = key name ‖ tag length in bits ‖ IV length ‖ IV.
fn opened(key: &EncryptedDataKey, with: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
    let iv: [u8; 12] = *key.provider_info.last_chunk()?;
    let payload = Payload { msg: &key.ciphertext, aad };
    match with.len() {
        16 => Aes128Gcm::new_from_slice(with).ok()?.decrypt(&iv.into(), payload).ok(),
        24 => AesGcm::<Aes192, U12>::new_from_slice(with).ok()?.decrypt(&iv.into(), payload).ok(),
        _ => Aes256Gcm::new_from_slice(with).ok()?.decrypt(&iv.into(), payload).ok(),
    }
}

/// The context as the SDK authenticates it: the number of pairs, then each key and value after its length; nothing
/// for an empty one. `None` for one that is too long.
#[must_use]
pub fn serialized(context: &EncryptionContext) -> Option<Vec<u8>> {
    if context.is_empty() {
        return Some(Vec::new());
    }
    let length = |length: usize| u16::try_from(length).ok().map(u16::to_be_bytes);
    let mut out = length(context.iter().len())?.to_vec();
    for (key, value) in context.iter() {
        for text in [key, value] {
            out.extend(length(text.len())?);
            out.extend(text.as_bytes());
        }
    }
    Some(out)
}
