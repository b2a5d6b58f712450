//! Opening where the recipient's X25519 step was done before, here or elsewhere.
//!
//! The `hpke` crate wants the private key itself, which WebCrypto does not give. So the KEM's last
//! steps are done here, by the crate's own functions, and its key schedule takes over. Tests hold
//! this path against the crate's own.

use hpke::{
    Kem, OpModeR,
    aead::{Aead, AeadCtxR, AesGcm256},
    kdf::{HkdfSha256, Kdf},
    kem::{SharedSecret as KemSecret, X25519HkdfSha256, XWing},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    Binding, Sealed, SealingPublicKey, SealingSuite, X25519,
    hybrid::{CIPHERTEXT, MlKemPrivateKey, combine},
};
use crate::{
    committed::OpenError,
    secret::{SealingPrivateKey, SharedSecret},
};

/// What the recipient's private keys give for one sealed message.
pub struct Agreement<'a> {
    /// The raw Diffie-Hellman result. It is no key yet: the KEM's derivation makes one of it.
    x25519: SharedSecret,
    /// Needed for the hybrid suite and for no other.
    ml_kem: Option<&'a MlKemPrivateKey>,
}

impl<'a> Agreement<'a> {
    /// Takes X25519(recipient's private key, [`Sealed::x25519_share`]), computed elsewhere; and for the
    /// hybrid suite the ML-KEM-768 key.
    #[must_use]
    pub const fn new(x25519: SharedSecret, ml_kem: Option<&'a MlKemPrivateKey>) -> Self {
        Self { x25519, ml_kem }
    }

    /// Computes the X25519 step with the private key itself.
    #[must_use]
    pub fn with_private(
        private: &SealingPrivateKey,
        share: &[u8; X25519],
        ml_kem: Option<&'a MlKemPrivateKey>,
    ) -> Self {
        // EXPOSE: the private key's half of the key agreement.
        // That the result is not zero is checked in `open`, whichever way it came.
        let secret = x25519_dalek::StaticSecret::from(*private.expose_secret());
        let agreed = secret.diffie_hellman(&(*share).into());
        let x25519 = SharedSecret::fill_with(|bytes| bytes.copy_from_slice(agreed.as_bytes()));
        Self::new(x25519, ml_kem)
    }
}

impl SealingPublicKey {
    /// Opens what was sealed to this key: `OpenBase(enc, skR, info, aad, ct)` of RFC 9180 §6.1.
    ///
    /// # Errors
    /// [`OpenError`] for another key, suite or binding, changed bytes, or a share of low order, which shows in
    /// an X25519 result of zeros (RFC 9180 §7.1.4, in both suites).
    pub fn open(
        &self,
        agreed: &Agreement<'_>,
        binding: &Binding<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        // Zeros are what a share of low order gives: everybody would know the secret.
        // EXPOSE: compared with what a point of low order gives.
        let contributes = agreed.x25519.expose_secret().ct_ne(&[0; X25519]);
        if !bool::from(contributes) || binding.info.len() > Binding::MAX_INFO {
            return Err(OpenError);
        }
        // The recipient's own suite decides and not the message: a hybrid key never opens what was
        // sealed to X25519 alone.
        match (self.suite(), agreed.ml_kem) {
            (SealingSuite::X25519Aes256Gcm, None) => {
                let secret = classical_secret(&agreed.x25519, &sealed.enc, self.as_bytes())?;
                open(secret, binding, &sealed.ciphertext)
            }
            (SealingSuite::MlKem768X25519Aes256Gcm, Some(ml_kem)) => {
                let secret = hybrid_secret((&agreed.x25519, ml_kem), &sealed.enc, self.as_bytes())?;
                open(secret, binding, &sealed.ciphertext)
            }
            (SealingSuite::X25519Aes256Gcm, Some(_))
            | (SealingSuite::MlKem768X25519Aes256Gcm, None) => Err(OpenError),
        }
    }
}

/// `suite_id` of DHKEM(X25519, HKDF-SHA256): "KEM" ‖ I2OSP(0x0020, 2) (RFC 9180 §4.1).
const KEM_SUITE_ID: &[u8; 5] = b"KEM\x00\x20";

/// `Decap` after its `DH` (RFC 9180 §4.1): `shared_secret = ExtractAndExpand(dh, enc ‖ pkRm)`.
pub(super) fn classical_secret(
    dh: &SharedSecret,
    enc: &[u8],
    recipient: &[u8],
) -> Result<KemSecret<X25519HkdfSha256>, OpenError> {
    // Both public keys decide the secret, so a share that was exchanged on the way opens nothing.
    let kem_context = [enc, recipient].concat();
    let mut secret = KemSecret::<X25519HkdfSha256>::default();
    // EXPOSE: input of the KEM's key derivation.
    let dh = dh.expose_secret();
    HkdfSha256::extract_and_expand(dh, KEM_SUITE_ID, &kem_context, &mut secret.0)
        .map_err(|_| OpenError)?;
    Ok(secret)
}

/// `XWing.Decapsulate` after its X25519 step, with the ML-KEM key at hand
/// (draft-connolly-cfrg-xwing-kem §5.5): enc = ct_M ‖ ct_X, the recipient's key = pk_M ‖ pk_X.
pub(super) fn hybrid_secret(
    (x25519, ml_kem): (&SharedSecret, &MlKemPrivateKey),
    enc: &[u8],
    recipient: &[u8],
) -> Result<KemSecret<XWing>, OpenError> {
    // ML-KEM's part first in `enc`, and in the public key.
    let (ciphertext, share) = enc.split_first_chunk::<CIPHERTEXT>().ok_or(OpenError)?;
    let share = share.try_into().map_err(|_| OpenError)?;
    let public = recipient.last_chunk().ok_or(OpenError)?;
    let combined = combine(&ml_kem.decapsulate(ciphertext), x25519, (share, public));
    let mut secret = KemSecret::<XWing>::default();
    // EXPOSE: the KEM's shared secret goes into the key schedule.
    secret.0.copy_from_slice(combined.expose_secret());
    Ok(secret)
}

/// Opens the one message of a context.
fn open<K: Kem>(
    secret: KemSecret<K>,
    binding: &Binding<'_>,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    // Fresh, so its counter is 0, which is what the sender's was.
    let mut context = key_schedule::<AesGcm256, K>(secret, binding.info);
    context.open(ciphertext, binding.aad).map(Zeroizing::new).map_err(|_| OpenError)
}

/// `KeyScheduleR(mode_base, shared_secret, info, "", "")` (RFC 9180 §5.1), as the hpke crate computes it.
pub(super) fn key_schedule<A: Aead, K: Kem>(
    secret: KemSecret<K>,
    info: &[u8],
) -> AeadCtxR<A, HkdfSha256, K> {
    HkdfSha256::combine_secrets(&OpModeR::<K>::Base, secret, info).into()
}
