//! The headers by which a device proves that a request is its own.

use keyhaven_shared::http_signature::{ContentDigest, SignatureParams, signature_base};
use rand_core::Rng;
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::Fault;
use crate::entropy::make_rng;

/// The proof of one request, still to be signed by the device's authentication key.
#[wasm_bindgen]
pub struct RequestProof {
    digest: ContentDigest,
    params: SignatureParams,
    base: String,
}

#[wasm_bindgen]
impl RequestProof {
    /// Prepares the proof. `target` is path and query as the server will see them; `created` is the
    /// time in seconds.
    ///
    /// # Errors
    /// [`Fault::Argument`] for a device, method or target that cannot be, [`Fault::Randomness`].
    #[wasm_bindgen(constructor)]
    pub fn new(
        device: &str,
        method: &str,
        target: &str,
        body: &[u8],
        created: f64,
    ) -> Result<Self, Fault> {
        let mut nonce = [0; 16];
        make_rng()?.fill_bytes(&mut nonce);
        let device = device.parse().map_err(|_| Fault::Argument)?;
        let params = SignatureParams { created: whole_number(created)?, nonce, device };
        let digest = ContentDigest::of(body);
        let base = signature_base(method, target, &digest, &params).map_err(|_| Fault::Argument)?;
        Ok(Self { digest, params, base })
    }

    /// The bytes to sign: ECDSA P-256 with SHA-256.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn base(&self) -> Vec<u8> {
        self.base.clone().into_bytes()
    }

    /// The header `Content-Digest`.
    #[wasm_bindgen(getter, js_name = contentDigest)]
    #[must_use]
    pub fn content_digest(&self) -> String {
        self.digest.to_string()
    }

    /// The header `Signature-Input`.
    #[wasm_bindgen(getter, js_name = signatureInput)]
    #[must_use]
    pub fn signature_input(&self) -> String {
        self.params.signature_input()
    }
}

/// A time in seconds, or a count, as JavaScript passes them: in a double.
pub(crate) fn whole_number(number: f64) -> Result<u64, Fault> {
    const LIMIT: f64 = 1e12;
    if !(0.0..LIMIT).contains(&number) {
        return Err(Fault::Argument);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range was checked; a fraction is dropped on purpose"
    )]
    Ok(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn a_proof_covers_method_path_query_and_body() {
        let target = "/api/v1/keys/photos/deliver-data-key";
        let proof = RequestProof::new(DEVICE, "POST", target, b"{}", 1_700_000_000.9).unwrap();
        let base = String::from_utf8(proof.base()).unwrap();
        let lines: Vec<_> = base.lines().collect();
        assert_eq!(lines[0], "\"@method\": POST");
        assert_eq!(lines[1], format!("\"@path\": {target}"));
        assert_eq!(lines[2], "\"@query\": ?");
        assert_eq!(lines[3], format!("\"content-digest\": {}", proof.content_digest()));
        assert!(lines[4].contains(";created=1700000000;"));
        assert!(SignatureParams::parse(&proof.signature_input()).is_ok());
    }

    #[test]
    fn proofs_of_the_same_request_differ() {
        let proof = || RequestProof::new(DEVICE, "GET", "/api/v1/lease-events", b"", 1.0).unwrap();
        assert_ne!(proof().signature_input(), proof().signature_input());
    }

    #[test]
    fn impossible_times_and_devices_are_refused() {
        for time in [-1.0, f64::NAN, f64::INFINITY, 1e15] {
            assert_eq!(whole_number(time), Err(Fault::Argument));
        }
        let refused = RequestProof::new("me", "GET", "/", b"", 1.0).err();
        assert_eq!(refused, Some(Fault::Argument));
    }
}
