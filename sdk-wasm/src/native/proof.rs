//! The headers by which a device proves that a request is its own (RFC 9421).

use http::{HeaderName, HeaderValue};
use keyhaven_shared::http_signature::{
    ContentDigest, SignatureParams, signature_base, signature_header,
};
use rand_core::Rng;

use super::{
    device_keys::DeviceKeys,
    error::{ArgumentFault, Error},
};
use crate::entropy::make_rng;

/// Who signs, and when (Unix time, in seconds). The server accepts each proof once, and only around its date.
#[derive(Clone, Copy)]
pub(crate) struct Signer<'a> {
    pub(crate) keys: &'a DeviceKeys,
    pub(crate) created: u64,
}

impl Signer<'_> {
    /// The headers for a request: `Content-Digest` (RFC 9530, SHA-256), `Signature-Input` and `Signature`.
    /// `target` is path and query as the server will see them.
    ///
    /// # Errors
    /// [`ArgumentFault::Address`] for a target that no request has; [`Error::Unsupported`] without randomness.
    pub(crate) fn headers(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> Result<[(HeaderName, HeaderValue); 3], Error> {
        // Two requests of the same second and content must not be taken for one that is played again.
        let mut nonce = [0; 16];
        make_rng()?.fill_bytes(&mut nonce);
        let params = SignatureParams { created: self.created, nonce, device: self.keys.id() };
        let digest = ContentDigest::of(body);
        let base =
            signature_base(method, target, &digest, &params).map_err(|_| ArgumentFault::Address)?;
        let signature = signature_header(&self.keys.sign(base.as_bytes()));
        Ok([
            (HeaderName::from_static("content-digest"), header(&digest.to_string())?),
            (HeaderName::from_static("signature-input"), header(&params.signature_input())?),
            (HeaderName::from_static("signature"), header(&signature)?),
        ])
    }
}

/// A header's value; what is made here is always visible ASCII.
fn header(text: &str) -> Result<HeaderValue, ArgumentFault> {
    HeaderValue::from_str(text).map_err(|_| ArgumentFault::Address)
}

#[cfg(test)]
mod tests {
    use keyhaven_shared::http_signature::parse_signature;

    use super::*;

    #[test]
    fn the_headers_verify_as_the_server_verifies_them() {
        let keys = DeviceKeys::make().unwrap();
        let signer = Signer { keys: &keys, created: 1_700_000_000 };
        let target = "/api/v1/lease-events?after=7";
        let headers = signer.headers("GET", target, b"").unwrap();
        let [digest, input, signature] =
            headers.map(|(_, value)| value.to_str().unwrap().to_owned());
        let params = SignatureParams::parse(&input).unwrap();
        assert_eq!((params.created, params.device), (1_700_000_000, keys.id()));
        let digest = ContentDigest::parse(&digest).unwrap();
        assert_eq!(digest, ContentDigest::of(b""));
        let base = signature_base("GET", target, &digest, &params).unwrap();
        let signature = parse_signature(&signature).unwrap();
        keys.public().verify_signature(base.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn no_two_proofs_of_the_same_request_are_alike() {
        let keys = DeviceKeys::make().unwrap();
        let signer = Signer { keys: &keys, created: 1 };
        let proof = || signer.headers("GET", "/", b"").unwrap();
        assert_ne!(proof(), proof());
    }
}
