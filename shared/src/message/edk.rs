//! Encrypted data keys: the message's data key, once for each key that may open it.

use crate::ids::{KeyId, Version};

/// The provider id of data keys encrypted by a Keyhaven server.
pub const KEYHAVEN_PROVIDER: &str = "keyhaven";

/// A data key as it stands in a header: by whom it was encrypted, under which key, and the ciphertext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedDataKey {
    /// Who can decrypt it: [`KEYHAVEN_PROVIDER`], `aws-kms`, or a raw keyring's namespace.
    pub provider_id: String,
    /// Which of the provider's keys: a key ARN, or bytes that only the provider understands.
    pub provider_info: Vec<u8>,
    /// The data key, encrypted.
    pub ciphertext: Vec<u8>,
}

impl EncryptedDataKey {
    /// One of ours. The provider info is the key id (16 bytes) and version (4 bytes, big-endian); the
    /// ciphertext is the server's (see [`crate::ciphertext`]), bound to the message's whole context.
    #[must_use]
    pub fn keyhaven(key: KeyId, version: Version, ciphertext: Vec<u8>) -> Self {
        let provider_info = [key.as_bytes().as_slice(), &version.number().to_be_bytes()].concat();
        Self { provider_id: KEYHAVEN_PROVIDER.to_owned(), provider_info, ciphertext }
    }

    /// The key and version that [`Self::keyhaven`] wrote; `None` for another provider's, or for
    /// information that cannot be ours.
    // Read from a header that nobody has verified yet: it says where to ask, and no more.
    #[must_use]
    pub fn keyhaven_key(&self) -> Option<(KeyId, Version)> {
        if self.provider_id != KEYHAVEN_PROVIDER {
            return None;
        }
        let (key, version) = self.provider_info.split_first_chunk::<16>()?;
        let version = Version::new(u32::from_be_bytes(version.try_into().ok()?))?;
        Some((KeyId::from_bytes(*key), version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_provider_info_is_key_id_and_version() {
        let key = KeyId::from_bytes([0xab; 16]);
        let ours = EncryptedDataKey::keyhaven(key, Version::new(258).unwrap(), vec![1]);
        assert_eq!(ours.provider_info, [&[0xab; 16][..], &[0, 0, 1, 2]].concat());
        assert_eq!(ours.keyhaven_key(), Some((key, Version::new(258).unwrap())));
    }

    #[test]
    fn what_cannot_be_ours_names_no_key() {
        let ours = EncryptedDataKey::keyhaven(KeyId::from_bytes([1; 16]), Version::FIRST, vec![]);
        let with_info = |provider_info| EncryptedDataKey { provider_info, ..ours.clone() };
        let others = [
            EncryptedDataKey { provider_id: "Keyhaven".into(), ..ours.clone() },
            with_info(ours.provider_info[..19].to_vec()),
            with_info([ours.provider_info.as_slice(), &[0]].concat()),
            with_info([0; 20].to_vec()),
            with_info(Vec::new()),
        ];
        for other in others {
            assert_eq!(other.keyhaven_key(), None, "{other:?}");
        }
    }
}
