//! Private keys that WebCrypto cannot keep: ML-KEM-768 everywhere, and X25519 where the platform has none.
//! They live in this module's memory, expanded and ready; at rest they are sealed under a secret that only
//! a non-extractable WebCrypto key can compute.

use keyhaven_shared::{
    committed,
    encoding::{Label, Transcript},
    hpke::MlKemPrivateKey,
    secret::{MlKemSeed, SealingPrivateKey},
};
use wasm_bindgen::prelude::wasm_bindgen;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{error::Fault, sweep::sweep_on_drop};
use crate::entropy::make_rng;

/// A device's private keys in this module. No function gives them out in the clear.
#[wasm_bindgen]
pub struct ModuleKeys {
    pub(crate) ml_kem: Option<MlKemPrivateKey>,
    pub(crate) x25519: Option<SealingPrivateKey>,
}

sweep_on_drop!(ModuleKeys);

#[wasm_bindgen]
impl ModuleKeys {
    /// Makes new ones of the kinds asked for.
    ///
    /// # Errors
    /// [`Fault::Randomness`].
    pub fn make(ml_kem: bool, x25519: bool) -> Result<Self, Fault> {
        let mut rng = make_rng()?;
        let ml_kem = ml_kem.then(|| MlKemPrivateKey::make(&mut rng));
        let x25519 = x25519.then(|| SealingPrivateKey::make(&mut rng));
        Ok(Self { ml_kem, x25519 })
    }

    /// Takes up the ones that [`Self::seal`] sealed under this secret.
    ///
    /// # Errors
    /// [`Fault::Argument`] for another secret or changed bytes.
    pub fn restore(secret: Vec<u8>, sealed: &[u8]) -> Result<Self, Fault> {
        let opened = committed::open(&*secret_of(secret)?, &at_rest(), sealed);
        let opened = opened.map_err(|_| Fault::Argument)?;
        let (seed, x25519) = if opened.len() == SealingPrivateKey::BYTES {
            opened.split_at(0)
        } else {
            opened.split_at_checked(MlKemSeed::BYTES).ok_or(Fault::Argument)?
        };
        let x25519 = kept(x25519, SealingPrivateKey::from_slice)?;
        let seed = kept(seed, MlKemSeed::from_slice)?;
        Ok(Self { ml_kem: seed.as_ref().map(MlKemPrivateKey::from_seed), x25519 })
    }

    /// Their public keys: ML-KEM-768's 1184 bytes, X25519's 32, in this order, as far as they are here.
    #[wasm_bindgen(getter, js_name = publicKey)]
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        let mut public = self.ml_kem.as_ref().map_or_else(Vec::new, MlKemPrivateKey::public_key);
        if let Some(private) = &self.x25519 {
            // EXPOSE: the public key is computed from the private one.
            let private = StaticSecret::from(*private.expose_secret());
            public.extend_from_slice(PublicKey::from(&private).as_bytes());
        }
        public
    }

    /// Seals them for storage, under 32 secret bytes: ML-KEM-768's seed of 64 bytes, X25519's 32, in this
    /// order, as far as they are here.
    ///
    /// # Errors
    /// [`Fault::Argument`] for a secret of another length, [`Fault::Randomness`].
    pub fn seal(&self, secret: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let mut private =
            Zeroizing::new(Vec::with_capacity(MlKemSeed::BYTES + SealingPrivateKey::BYTES));
        // EXPOSE: the private keys are sealed for storage.
        if let Some(seed) = self.ml_kem.as_ref().and_then(MlKemPrivateKey::seed) {
            private.extend_from_slice(seed.expose_secret());
        }
        if let Some(key) = &self.x25519 {
            private.extend_from_slice(key.expose_secret());
        }
        let sealed = committed::seal(&*secret_of(secret)?, &at_rest(), &private, &mut make_rng()?);
        sealed.map_err(|_| Fault::Argument)
    }
}

/// A key from its bytes, of which there are none for a key that is kept elsewhere.
fn kept<T>(bytes: &[u8], read: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Fault> {
    if bytes.is_empty() { Ok(None) } else { read(bytes).map(Some).ok_or(Fault::Argument) }
}

fn secret_of(bytes: Vec<u8>) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let bytes = Zeroizing::new(bytes);
    bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| Fault::Argument)
}

fn at_rest() -> Vec<u8> {
    Transcript::new(Label::STORED_DEVICE_KEY).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [(bool, bool); 3] = [(false, true), (true, false), (true, true)];

    #[test]
    fn keys_come_back_under_their_own_secret_only() {
        for (ml_kem, x25519) in KINDS {
            let keys = ModuleKeys::make(ml_kem, x25519).unwrap();
            let sealed = keys.seal(vec![7; 32]).unwrap();
            let restored = ModuleKeys::restore(vec![7; 32], &sealed).unwrap();
            assert_eq!(restored.public_key(), keys.public_key());
            assert_eq!(restored.ml_kem.is_some(), ml_kem);
            assert_eq!(restored.x25519.is_some(), x25519);
            for (secret, sealed) in
                [(vec![8; 32], &sealed[..]), (vec![7; 31], &sealed), (vec![7; 32], &sealed[1..])]
            {
                let refused = ModuleKeys::restore(secret, sealed).err();
                assert_eq!(refused, Some(Fault::Argument));
            }
        }
    }

    #[test]
    fn every_flipped_bit_of_kept_keys_is_refused() {
        let sealed = ModuleKeys::make(true, true).unwrap().seal(vec![7; 32]).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(ModuleKeys::restore(vec![7; 32], &changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn kept_bytes_of_a_length_that_no_keys_have_are_refused() {
        for length in [0, 1, 31, 33, 63, 65, 95, 97] {
            let rng = &mut make_rng().unwrap();
            let sealed = committed::seal(&[7; 32], &at_rest(), &vec![1; length], rng).unwrap();
            assert!(ModuleKeys::restore(vec![7; 32], &sealed).is_err(), "{length}");
        }
    }

    #[test]
    fn two_keys_differ() {
        for (ml_kem, x25519) in KINDS {
            let [one, two] = [0; 2].map(|_| ModuleKeys::make(ml_kem, x25519).unwrap());
            assert_ne!(one.public_key(), two.public_key());
        }
    }
}
