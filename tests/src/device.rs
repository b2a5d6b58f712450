//! A device, as a browser would be one: it signs requests, and data keys are sealed to it.

use std::{
    error::Error,
    time::{SystemTime, UNIX_EPOCH},
};

use getrandom::{
    SysRng,
    rand_core::{Rng, UnwrapErr},
};
use keyhaven_shared::{
    device::DevicePublicKeys,
    hpke::{MlKemPrivateKey, SealingPublicKey, SealingSuite},
    http_signature::{ContentDigest, SignatureParams, signature_base, signature_header},
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    elliptic_curve::Generate,
};

/// A device's keys. Nothing is opened here, so of the sealing key only the public half is kept.
pub struct Device {
    keys: DevicePublicKeys,
    signing: SigningKey,
}

impl Device {
    /// A new device, which is to be enrolled.
    ///
    /// # Errors
    /// None, for keys that are drawn here.
    pub fn make() -> Result<Self, Box<dyn Error>> {
        let mut rng = UnwrapErr(SysRng);
        let x25519 = x25519_dalek::StaticSecret::random_from_rng(&mut rng);
        let x25519 = x25519_dalek::PublicKey::from(&x25519).to_bytes();
        let public = [MlKemPrivateKey::make(&mut rng).public_key(), x25519.into()].concat();
        let sealing = SealingPublicKey::new(SealingSuite::MlKem768X25519Aes256Gcm, &public)?;
        let signing = SigningKey::generate_from_rng(&mut rng);
        let point = signing.verifying_key().to_sec1_point(false);
        let keys = DevicePublicKeys::new(vec![sealing], point.as_bytes())?;
        Ok(Self { keys, signing })
    }

    /// What is enrolled.
    #[must_use]
    pub const fn keys(&self) -> &DevicePublicKeys {
        &self.keys
    }

    /// The headers that prove a request to be this device's (RFC 9421), as of now. The target is path and
    /// query as they are sent.
    ///
    /// # Errors
    /// For a method or target that no request has.
    pub fn prove(
        &self,
        (method, target): (&str, &str),
        body: &str,
    ) -> Result<[(&'static str, String); 3], Box<dyn Error>> {
        let mut nonce = [0; 16];
        UnwrapErr(SysRng).fill_bytes(&mut nonce);
        let params = SignatureParams { created: now()?, nonce, device: self.keys.thumbprint() };
        let digest = ContentDigest::of(body.as_bytes());
        let base = signature_base(method, target, &digest, &params)?;
        let signature: Signature = self.signing.sign(base.as_bytes());
        Ok([
            ("Content-Digest", digest.to_string()),
            ("Signature-Input", params.signature_input()),
            ("Signature", signature_header(&signature.to_bytes().into())),
        ])
    }
}

/// Seconds since the Unix epoch.
///
/// # Errors
/// On a machine whose clock is before it.
#[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
pub fn now() -> Result<u64, Box<dyn Error>> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
