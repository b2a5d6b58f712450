//! A device, as a browser would be one: it signs requests, and data keys are sealed to it.

use std::time::{SystemTime, UNIX_EPOCH};

use getrandom::{SysRng, rand_core::UnwrapErr};
use keyhaven_shared::{
    device::DevicePublicKeys,
    hpke::SealingSuite,
    http_signature::{ContentDigest, SignatureParams, signature_base, signature_header},
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    elliptic_curve::Generate,
};

use crate::{Outcome, request::Request};

/// A device's keys. Nothing is opened here, so of the sealing key only the public half is kept.
pub(crate) struct Device {
    pub(crate) keys: DevicePublicKeys,
    signing: SigningKey,
}

impl Device {
    pub(crate) fn make() -> Outcome<Self> {
        let mut rng = UnwrapErr(SysRng);
        let sealing = x25519_dalek::StaticSecret::random_from_rng(&mut rng);
        let sealing = x25519_dalek::PublicKey::from(&sealing).to_bytes();
        let signing = SigningKey::generate_from_rng(&mut rng);
        let point = signing.verifying_key().to_sec1_point(false);
        let suites = [SealingSuite::X25519Aes256Gcm];
        let keys = DevicePublicKeys::new(&suites, sealing, point.as_bytes())?;
        Ok(Self { keys, signing })
    }

    /// Signs a request (RFC 9421), as of now.
    pub(crate) fn sign(&self, request: Request) -> Outcome<Request> {
        let params =
            SignatureParams { created: now()?, nonce: [7; 16], device: self.keys.thumbprint() };
        let digest = ContentDigest::of(request.body.as_bytes());
        let base = signature_base("POST", &request.path, &digest, &params)?;
        let signature: Signature = self.signing.sign(base.as_bytes());
        let signature = signature_header(&signature.to_bytes().into());
        Ok(request
            .header("Content-Digest", digest.to_string())
            .header("Signature-Input", params.signature_input())
            .header("Signature", signature))
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is a client, and has the clock of one")]
fn now() -> Outcome<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
