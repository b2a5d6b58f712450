//! The SDK's frame cipher on bare bytes, compiled to Wasm as the SDK's module is. What a whole message
//! costs is measured against it: bytes in, bytes out, and the copies between JavaScript and Wasm that no
//! caller can avoid.

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit},
};
use wasm_bindgen::prelude::wasm_bindgen;

/// AES-256-GCM under one key. The nonce is always the same: nothing that it encrypts is a secret.
#[wasm_bindgen]
pub struct Cipher(Aes256Gcm);

#[wasm_bindgen]
impl Cipher {
    /// Takes a key; none for another length than 32 bytes.
    #[must_use]
    pub fn make(key: &[u8]) -> Option<Self> {
        Aes256Gcm::new_from_slice(key).ok().map(Self)
    }

    /// Ciphertext and tag; nothing for more bytes than the algorithm takes.
    #[must_use]
    pub fn encrypt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(&Nonce::default(), bytes).ok()
    }

    /// Plaintext; nothing when the tag is wrong.
    #[must_use]
    pub fn decrypt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(&Nonce::default(), bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_encrypts_it_decrypts_and_nothing_else() {
        let cipher = Cipher::make(&[7; 32]).unwrap();
        let mut sealed = cipher.encrypt(b"bare bytes").unwrap();
        assert_eq!(sealed.len(), 10 + 16);
        assert_eq!(cipher.decrypt(&sealed).unwrap(), b"bare bytes");
        sealed[0] ^= 1;
        assert!(cipher.decrypt(&sealed).is_none());
        assert!(Cipher::make(&[7; 16]).is_none());
    }
}
