//! Sealing to a device: HPKE (RFC 9180), Base mode, one message a context.
//!
//! A recipient's private key may be a non-extractable WebCrypto key. Then the X25519 step happens
//! there and only its result comes here: see [`SealingSuite::open_with_shared_secret`].
//!
//! A context seals one message and is dropped, so its counter never moves from 0 and cannot wrap; the
//! secret exporter and the export-only AEAD cannot be reached from here.

use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxR, AesGcm256},
    kdf::{HkdfSha256, Kdf},
    kem::{SharedSecret as KemSecret, X25519HkdfSha256},
};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    committed::OpenError,
    secret::{SealingPrivateKey, SharedSecret},
};

/// How a data key is sealed to a device. Codes stand in authenticated bytes and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SealingSuite {
    /// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (RFC 9180 §7: 0x0020, 0x0001, 0x0002).
    X25519Aes256Gcm = 1,
}

/// What a sealed message is bound to besides its recipient.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Decides the key: RFC 9180's `info`, at most [`Binding::MAX_INFO`] bytes.
    pub info: &'a [u8],
    /// Authenticated with the message: RFC 9180's `aad`.
    pub aad: &'a [u8],
}

/// A sealed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The sender's ephemeral public key: RFC 9180's `enc`.
    pub enc: [u8; 32],
    /// AES-256-GCM ciphertext and tag: 16 bytes longer than the message.
    pub ciphertext: Vec<u8>,
}

/// The recipient's public key is a point that no secret can be agreed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be sealed to this public key: enrol the device with a new key")]
pub struct SealError;

impl Binding<'_> {
    /// The most bytes of `info`; ours are far shorter.
    pub const MAX_INFO: usize = 4096;
}

impl SealingSuite {
    /// Every suite, weakest first.
    pub const ALL: &'static [Self] = &[Self::X25519Aes256Gcm];

    /// The code that stands for this suite in authenticated bytes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::X25519Aes256Gcm => 1,
        }
    }

    /// The suite with this code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::X25519Aes256Gcm),
            _ => None,
        }
    }

    /// Seals one message: `SealBase(pkR, info, aad, pt)` of RFC 9180 §6.1.
    ///
    /// # Errors
    /// [`SealError`] if `recipient` is a low-order point, or the binding or message is far too long.
    pub fn seal(
        self,
        recipient: &[u8; 32],
        binding: &Binding<'_>,
        plaintext: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Sealed, SealError> {
        let Self::X25519Aes256Gcm = self;
        if binding.info.len() > Binding::MAX_INFO {
            return Err(SealError);
        }
        let public = PublicKey::from_bytes(recipient).map_err(|_| SealError)?;
        let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Dhkem>(
            &OpModeS::Base,
            &public,
            binding.info,
            plaintext,
            binding.aad,
            rng,
        )
        .map_err(|_| SealError)?;
        Ok(Sealed { enc: enc.to_bytes().into(), ciphertext })
    }

    /// Opens with the private key itself: `OpenBase(enc, skR, info, aad, ct)` of RFC 9180 §6.1.
    ///
    /// # Errors
    /// [`OpenError`] for another key or binding, changed bytes, or an `enc` of low order.
    pub fn open_with_private(
        self,
        private: &SealingPrivateKey,
        binding: &Binding<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        // EXPOSE: the private key's half of the key agreement, and its public key.
        let secret = x25519_dalek::StaticSecret::from(*private.expose_secret());
        let public = x25519_dalek::PublicKey::from(&secret);
        let agreed = secret.diffie_hellman(&sealed.enc.into());
        let dh = SharedSecret::fill_with(|bytes| bytes.copy_from_slice(agreed.as_bytes()));
        self.open_with_shared_secret(&dh, public.as_bytes(), binding, sealed)
    }

    /// Opens with `dh` = X25519(recipient's private key, `sealed.enc`), computed elsewhere.
    ///
    /// # Errors
    /// [`OpenError`] as for [`Self::open_with_private`]; an all-zero `dh` is what a low-order `enc` gives,
    /// and is refused (RFC 9180 §7.1.4).
    pub fn open_with_shared_secret(
        self,
        dh: &SharedSecret,
        recipient: &[u8; 32],
        binding: &Binding<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let Self::X25519Aes256Gcm = self;
        if binding.info.len() > Binding::MAX_INFO {
            return Err(OpenError);
        }
        let secret = kem_secret(dh, &sealed.enc, recipient)?;
        let mut context = key_schedule(secret, binding.info);
        let opened = context.open(&sealed.ciphertext, binding.aad).map_err(|_| OpenError)?;
        Ok(Zeroizing::new(opened))
    }
}

type Dhkem = X25519HkdfSha256;
type PublicKey = <Dhkem as Kem>::PublicKey;

/// `suite_id` of DHKEM(X25519, HKDF-SHA256): "KEM" ‖ I2OSP(0x0020, 2) (RFC 9180 §4.1).
const KEM_SUITE_ID: &[u8; 5] = b"KEM\x00\x20";

/// `Decap` after its `DH` (RFC 9180 §4.1): `shared_secret = ExtractAndExpand(dh, enc ‖ pkRm)`.
fn kem_secret(
    dh: &SharedSecret,
    enc: &[u8; 32],
    recipient: &[u8; 32],
) -> Result<KemSecret<Dhkem>, OpenError> {
    // EXPOSE: input of the KEM's key derivation.
    let dh = dh.expose_secret();
    if dh.ct_eq(&[0; 32]).into() {
        return Err(OpenError);
    }
    let kem_context = [enc.as_slice(), recipient].concat();
    let mut secret = KemSecret::<Dhkem>::default();
    HkdfSha256::extract_and_expand(dh, KEM_SUITE_ID, &kem_context, &mut secret.0)
        .map_err(|_| OpenError)?;
    Ok(secret)
}

/// `KeyScheduleR(mode_base, shared_secret, info, "", "")` (RFC 9180 §5.1), as the hpke crate computes it.
fn key_schedule(secret: KemSecret<Dhkem>, info: &[u8]) -> AeadCtxR<AesGcm256, HkdfSha256, Dhkem> {
    HkdfSha256::combine_secrets(&OpModeR::<Dhkem>::Base, secret, info).into()
}

#[cfg(test)]
pub(crate) mod tests;
