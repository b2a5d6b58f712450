//! How a device proves that it made a request: an HTTP message signature (RFC 9421) over the method, the
//! path, the query and the body's digest (RFC 9530), in exactly one shape.
//!
//! ```text
//! Content-Digest:  sha-256=:<base64>:
//! Signature-Input: keyhaven=("@method" "@path" "@query" "content-digest");created=<seconds>;nonce="<22>";
//!                  keyid="<device id>";alg="ecdsa-p256-sha256";tag="keyhaven-device"      (one line)
//! Signature:       keyhaven=:<base64 of r ‖ s>:
//! ```
//! Neither `@target-uri` nor `@authority` is signed: a relay may serve the API under another origin. What
//! binds a request to its server is the device, which only one deployment knows, and the nonce.
//!
//! RFC 9421 allows many spellings of the same fields; a device writes this one, and no other is read.

use core::fmt;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};

use crate::ids::DeviceId;

/// A header, or a part of the request line, that a device does not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the request is not signed as a device signs: the headers are described in docs/formats.md"
)]
pub struct MalformedSignature;

/// SHA-256 of a request's body.
// SHA-256 alone: RFC 9530 allows others beside it, and a reader that took the weakest would be
// fooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest([u8; 32]);

impl ContentDigest {
    /// The digest of `body`.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }

    /// Reads a `Content-Digest` header's value: this one digest, and no other beside it.
    ///
    /// # Errors
    /// [`MalformedSignature`] for anything else.
    pub fn parse(value: &str) -> Result<Self, MalformedSignature> {
        byte_sequence(value, "sha-256=").map(Self)
    }
}

impl fmt::Display for ContentDigest {
    /// The header's value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha-256=:{}:", Base64::encode_string(&self.0))
    }
}

/// What a device says of its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureParams {
    /// When it signed (Unix time, at most 15 digits).
    pub created: u64,
    /// Random, so that no two requests are signed alike; a server may accept it once only.
    pub nonce: [u8; 16],
    /// Who signed.
    pub device: DeviceId,
}

impl SignatureParams {
    /// Reads a `Signature-Input` header's value.
    ///
    /// # Errors
    /// [`MalformedSignature`] for anything but the one shape, to the byte.
    // A lax reader might see another key or digest in a header than the signature covers.
    pub fn parse(value: &str) -> Result<Self, MalformedSignature> {
        Self::read(value)
            .filter(|params| params.signature_input() == value)
            .ok_or(MalformedSignature)
    }

    /// The `Signature-Input` header's value.
    #[must_use]
    pub fn signature_input(&self) -> String {
        format!("keyhaven={self}")
    }

    /// Takes the values out; that all else is in its place, [`Self::parse`] tells by writing them again.
    // Split at its marks and not parsed: what is between them is checked by writing it again.
    fn read(value: &str) -> Option<Self> {
        let (_, rest) = value.split_once(";created=")?;
        let (created, rest) = rest.split_once(";nonce=\"")?;
        let (nonce, rest) = rest.split_once("\";keyid=\"")?;
        let (device, _) = rest.split_once("\";")?;
        // The bound keeps numbers to what every reader of structured fields can hold.
        let created = created.parse().ok().filter(|created| *created <= MAX_INTEGER)?;
        let mut nonce_bytes = [0; 16];
        Base64UrlUnpadded::decode(nonce, &mut nonce_bytes).ok()?;
        Some(Self { created, nonce: nonce_bytes, device: device.parse().ok()? })
    }
}

impl fmt::Display for SignatureParams {
    /// The value of `@signature-params` (RFC 9421 §2.3).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nonce = Base64UrlUnpadded::encode_string(&self.nonce);
        write!(f, r#"("@method" "@path" "@query" "content-digest");created={}"#, self.created)?;
        write!(f, r#";nonce="{nonce}";keyid="{}""#, self.device)?;
        f.write_str(r#";alg="ecdsa-p256-sha256";tag="keyhaven-device""#)
    }
}

/// The signature base (RFC 9421 §2.5): the bytes that the device signs. `path_and_query` is the request
/// target as sent, in origin form; it is neither decoded nor normalised.
///
/// # Errors
/// [`MalformedSignature`] for a method or target that no request of a device has.
pub fn signature_base(
    method: &str,
    path_and_query: &str,
    digest: &ContentDigest,
    params: &SignatureParams,
) -> Result<String, MalformedSignature> {
    // At the first `?`, as every server splits it (RFC 3986 §3.4).
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    // Visible ASCII only: so no line break can begin another component.
    let target_fits = path_and_query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    // Methods are case-sensitive (RFC 9110 §9.1), and the API has none in lower case.
    let method_fits = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if !target_fits || !method_fits || !path.starts_with('/') {
        return Err(MalformedSignature);
    }
    // The order of the components is a part of what is signed (RFC 9421 §2.5).
    Ok([
        format!("\"@method\": {method}"),
        format!("\"@path\": {path}"),
        // Absent and empty are both a lone "?" (RFC 9421 §2.2.7).
        format!("\"@query\": ?{query}"),
        format!("\"content-digest\": {digest}"),
        format!("\"@signature-params\": {params}"),
    ]
    .join("\n"))
}

/// The `Signature` header's value for r ‖ s.
// Base64 with its padding, as structured fields write bytes: base64url is for the values in quotes.
#[must_use]
pub fn signature_header(signature: &[u8; 64]) -> String {
    format!("keyhaven=:{}:", Base64::encode_string(signature))
}

/// Reads a `Signature` header's value: r ‖ s.
///
/// # Errors
/// [`MalformedSignature`] for anything else.
pub fn parse_signature(value: &str) -> Result<[u8; 64], MalformedSignature> {
    byte_sequence(value, "keyhaven=")
}

/// The largest integer of a structured field (RFC 9651 §3.3.1).
const MAX_INTEGER: u64 = 999_999_999_999_999;

/// Reads `<name>:<base64>:` with exactly `N` bytes.
/// That is a byte sequence as structured fields write it (RFC 9651 §3.3.5).
fn byte_sequence<const N: usize>(value: &str, name: &str) -> Result<[u8; N], MalformedSignature> {
    let inner = value.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
    let text = inner.and_then(|rest| rest.strip_suffix(':')).ok_or(MalformedSignature)?;
    let mut bytes = [0; N];
    match Base64::decode(text, &mut bytes) {
        Ok(decoded) if decoded.len() == N => Ok(bytes),
        Ok(_) | Err(_) => Err(MalformedSignature),
    }
}

#[cfg(test)]
mod deviations;

#[cfg(test)]
mod tests {
    use p256::ecdsa::{Signature, signature::Signer};

    use super::*;
    use crate::device::tests::{authentication_key, device};

    fn params() -> SignatureParams {
        SignatureParams {
            created: 1_618_884_473,
            nonce: [0xfb; 16],
            device: device(1).thumbprint(),
        }
    }

    fn base(method: &str, target: &str) -> Result<String, MalformedSignature> {
        signature_base(method, target, &ContentDigest::of(b"{\"hello\": \"world\"}"), &params())
    }

    #[test]
    fn the_signature_base_is_that_of_rfc_9421() {
        let device = device(1).thumbprint();
        // The digest is that of RFC 9530 appendix B and RFC 9421 §B.2 for this body.
        let expected = format!(
            "\"@method\": POST\n\
             \"@path\": /foo\n\
             \"@query\": ?param=Value&Pet=dog\n\
             \"content-digest\": sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:\n\
             \"@signature-params\": (\"@method\" \"@path\" \"@query\" \"content-digest\")\
             ;created=1618884473;nonce=\"-_v7-_v7-_v7-_v7-_v7-w\";keyid=\"{device}\"\
             ;alg=\"ecdsa-p256-sha256\";tag=\"keyhaven-device\""
        );
        assert_eq!(base("POST", "/foo?param=Value&Pet=dog"), Ok(expected));
    }

    #[test]
    fn no_query_and_an_empty_one_are_a_lone_question_mark() {
        let line = "\n\"@query\": ?\n";
        assert!(base("GET", "/a").unwrap().contains(line));
        assert!(base("GET", "/a?").unwrap().contains(line));
        assert!(base("GET", "/a??").unwrap().contains("\n\"@query\": ??\n"));
    }

    #[test]
    fn targets_and_methods_that_could_forge_a_line_are_refused() {
        for target in
            ["", "a", "https://x/a", "*", "/a\n\"@query\": ?", "/a b", "/a#b", "/\u{e9}", "/\0"]
        {
            assert_eq!(base("GET", target), Err(MalformedSignature), "{target:?}");
        }
        for method in ["", "get", "GET\n", "G ET"] {
            assert_eq!(base(method, "/"), Err(MalformedSignature), "{method:?}");
        }
    }

    #[test]
    fn a_device_signs_and_the_server_verifies() {
        let base = base("POST", "/api/v1/x?y=1").unwrap();
        let signature: Signature = authentication_key(1).sign(base.as_bytes());
        let header = signature_header(&signature.to_bytes().into());
        let read = parse_signature(&header).unwrap();
        assert_eq!(device(1).verify_signature(base.as_bytes(), &read), Ok(()));
    }

    #[test]
    fn only_the_one_shape_of_signature_input_is_read() {
        let good = params().signature_input();
        assert_eq!(SignatureParams::parse(&good), Ok(params()));
        for (from, to) in [
            ("keyhaven=", "sig1="),
            ("keyhaven=", "keyhaven ="),
            ("keyhaven=", "a=();created=1, keyhaven="),
            ("\"@query\" ", ""),
            ("\"@method\" \"@path\"", "\"@path\" \"@method\""),
            ("\"content-digest\"", "\"content-digest\";req"),
            ("created=", "created=0"),
            ("created=", "created=+"),
            ("created=", "created=-"),
            ("created=1618884473", "created=1000000000000000"),
            (";created=", "; created="),
            ("nonce=\"", "nonce=\"A"),
            ("-w\"", "-x\""),
            ("nonce=\"-_v7", "nonce=\"+/v7"),
            ("keyid=\"", "keyid=\"x"),
            ("alg=\"ecdsa-p256-sha256\"", "alg=\"hmac-sha256\""),
            (";alg=\"ecdsa-p256-sha256\"", ""),
            ("keyhaven-device", "keyhaven"),
            ("-device\"", "-device\";expires=1"),
            ("-device\"", "-device\", a=()"),
        ] {
            let other = good.replace(from, to);
            assert_ne!(other, good, "{from} to {to}");
            assert_eq!(SignatureParams::parse(&other), Err(MalformedSignature), "{other}");
        }
        for (length, _) in good.char_indices() {
            let cut: String = good.chars().take(length).collect();
            assert!(SignatureParams::parse(&cut).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn only_one_digest_and_one_signature_are_read() {
        let digest = ContentDigest::of(b"body");
        let (good, signature) = (digest.to_string(), signature_header(&[7; 64]));
        assert_eq!(ContentDigest::parse(&good), Ok(digest));
        for other in [
            good.replace("sha-256", "sha-512"),
            good.replace("sha-256", "SHA-256"),
            good.replace("=:", ":"),
            format!("{good}, sha-512=:AA==:"),
            format!(" {good}"),
            "sha-256=::".to_owned(),
        ] {
            assert!(ContentDigest::parse(&other).is_err(), "{other}");
        }
        assert_eq!(parse_signature(&signature), Ok([7; 64]));
        for other in [
            signature.replace("keyhaven", "sig1"),
            format!("{signature}, b=:AA==:"),
            signature.replace("=:", "=:AAAA"),
            good,
        ] {
            assert!(parse_signature(&other).is_err(), "{other}");
        }
    }
}
