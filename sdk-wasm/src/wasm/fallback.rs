//! The sealing key of a platform whose WebCrypto has no X25519. It lives in this module's memory; at
//! rest it is sealed under a secret that only a non-extractable WebCrypto key can compute.

use keyhaven_shared::{
    committed,
    encoding::{Label, Transcript},
    secret::SealingPrivateKey,
};
use wasm_bindgen::prelude::wasm_bindgen;
use x25519_dalek::{PublicKey, StaticSecret};

use super::error::Fault;
use crate::entropy::make_rng;

/// An X25519 private key. No function gives it out in the clear.
#[wasm_bindgen]
pub struct FallbackKey {
    pub(crate) private: SealingPrivateKey,
}

#[wasm_bindgen]
impl FallbackKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// [`Fault::Randomness`].
    pub fn make() -> Result<Self, Fault> {
        Ok(Self { private: SealingPrivateKey::make(&mut make_rng()?) })
    }

    /// Takes up the one that [`Self::seal`] sealed under this secret.
    ///
    /// # Errors
    /// [`Fault::Argument`] for another secret or changed bytes.
    pub fn restore(secret: &[u8], sealed: &[u8]) -> Result<Self, Fault> {
        let opened = committed::open(secret_of(secret)?, &at_rest(), sealed);
        let opened = opened.map_err(|_| Fault::Argument)?;
        let private = SealingPrivateKey::from_slice(&opened).ok_or(Fault::Argument)?;
        Ok(Self { private })
    }

    /// The public key, 32 bytes.
    #[wasm_bindgen(getter, js_name = publicKey)]
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        // EXPOSE: the public key is computed from the private one.
        let private = StaticSecret::from(*self.private.expose_secret());
        PublicKey::from(&private).as_bytes().to_vec()
    }

    /// Seals it for storage, under 32 secret bytes.
    ///
    /// # Errors
    /// [`Fault::Argument`] for a secret of another length, [`Fault::Randomness`].
    pub fn seal(&self, secret: &[u8]) -> Result<Vec<u8>, Fault> {
        // EXPOSE: the private key is sealed for storage.
        let private = self.private.expose_secret();
        let sealed = committed::seal(secret_of(secret)?, &at_rest(), private, &mut make_rng()?);
        sealed.map_err(|_| Fault::Argument)
    }
}

fn secret_of(bytes: &[u8]) -> Result<&[u8; 32], Fault> {
    bytes.try_into().map_err(|_| Fault::Argument)
}

fn at_rest() -> Vec<u8> {
    Transcript::new(Label::STORED_DEVICE_KEY).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_under_its_own_secret_only() {
        let key = FallbackKey::make().unwrap();
        let sealed = key.seal(&[7; 32]).unwrap();
        let restored = FallbackKey::restore(&[7; 32], &sealed).unwrap();
        assert_eq!(restored.public_key(), key.public_key());
        assert_eq!(FallbackKey::restore(&[8; 32], &sealed).err(), Some(Fault::Argument));
        assert_eq!(FallbackKey::restore(&[7; 31], &sealed).err(), Some(Fault::Argument));
        assert_eq!(FallbackKey::restore(&[7; 32], &sealed[1..]).err(), Some(Fault::Argument));
    }

    #[test]
    fn two_keys_differ() {
        let [one, two] = [FallbackKey::make(), FallbackKey::make()].map(Result::unwrap);
        assert_ne!(one.public_key(), two.public_key());
    }
}
