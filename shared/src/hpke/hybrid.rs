//! The halves of MLKEM768-X25519 (X-Wing) where they are computed apart: ML-KEM-768 here, X25519
//! wherever its key lives. The standard takes both from one seed of 32 bytes; a key made in WebCrypto has
//! none, and the combiner asks for none: public keys and encapsulated keys are the same.

use ml_kem::{
    Decapsulate, KeyExport,
    ml_kem_768::{Ciphertext, DecapsulationKey},
};
use rand_core::CryptoRng;
use sha3::{Digest, Sha3_256};

use super::X25519;
use crate::secret::{MlKemSeed, SharedSecret};

/// Bytes of an ML-KEM-768 encapsulation key (FIPS 203 §8).
pub(super) const ENCAPSULATION_KEY: usize = 1184;
/// Bytes of an ML-KEM-768 ciphertext (FIPS 203 §8).
pub(super) const CIPHERTEXT: usize = 1088;

/// An ML-KEM-768 private key, expanded and ready to use. Zeroized on drop.
// Expanded once: that costs more than a decapsulation.
pub struct MlKemPrivateKey(DecapsulationKey);

impl MlKemPrivateKey {
    /// Makes a new key from a cryptographic random generator.
    #[must_use]
    pub fn make(rng: &mut impl CryptoRng) -> Self {
        Self::from_seed(&MlKemSeed::make(rng))
    }

    /// Expands a key: `ML-KEM.KeyGen_internal(d, z)` of FIPS 203 §6.1, with seed = d ‖ z.
    #[must_use]
    pub fn from_seed(seed: &MlKemSeed) -> Self {
        // EXPOSE: the key is expanded from its seed.
        Self(DecapsulationKey::from_seed((*seed.expose_secret()).into()))
    }

    /// The seed, d ‖ z, from which [`Self::from_seed`] makes the same key.
    // `None` never for a key that was made here: all are made from a seed.
    #[must_use]
    pub fn seed(&self) -> Option<MlKemSeed> {
        MlKemSeed::from_slice(&self.0.to_seed()?)
    }

    /// The public key, 1184 bytes.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.0.encapsulation_key().to_bytes().to_vec()
    }

    /// `ML-KEM.Decaps` of FIPS 203 §7.3: for a ciphertext to another key, a secret that nobody else knows.
    /// It does not fail: whether the secret is the right one, the tag of the message tells
    /// (implicit rejection).
    pub(super) fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT]) -> SharedSecret {
        let secret = self.0.decapsulate(&Ciphertext::from(*ciphertext));
        SharedSecret::fill_with(|bytes| bytes.copy_from_slice(&secret))
    }
}

/// `XWing.Combiner`: SHA3-256(ss_M ‖ ss_X ‖ ct_X ‖ pk_X ‖ label) (draft-connolly-cfrg-xwing-kem §5.3).
pub(super) fn combine(
    ml_kem: &SharedSecret,
    x25519: &SharedSecret,
    (share, recipient): (&[u8; X25519], &[u8; X25519]),
) -> SharedSecret {
    // ct_M is not among the inputs: ML-KEM's own hashing binds it (X-Wing's argument, for this KEM
    // only).
    let combined = Sha3_256::new()
        // EXPOSE: the halves of the shared secret are joined.
        .chain_update(ml_kem.expose_secret())
        .chain_update(x25519.expose_secret())
        .chain_update(share)
        .chain_update(recipient)
        .chain_update(LABEL)
        .finalize();
    SharedSecret::fill_with(|bytes| bytes.copy_from_slice(&combined))
}

/// XWingLabel: 5c 2e 2f 2f 5e 5c.
const LABEL: &[u8; 6] = br"\.//^\";
