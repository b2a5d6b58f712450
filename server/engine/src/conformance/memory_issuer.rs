//! An identity provider for tests: it signs whatever it is told to, by real keys, and publishes what it likes.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaEncoding,
    },
};
use base64ct::{Base64UrlUnpadded, Encoding};
use keyhaven_shared::jwt::KeySet;
use serde_json::{Value, json};

use crate::port::issuer_keys::{IssuerKeys, KeysFuture};

/// One issuer's keys, known as `rsa`, `p256` and `ed25519`, and what is told of them.
pub struct MemoryIssuer {
    rsa: rsa::KeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    published: Mutex<Option<Arc<KeySet>>>,
    asked: AtomicUsize,
}

/// Where an RSA public key of 2048 bits has its modulus, in the encoding of RFC 8017 §A.1.1; its exponent is
/// 65537.
const MODULUS: std::ops::Range<usize> = 9..265;

/// Base64url without padding.
fn encode(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

impl MemoryIssuer {
    /// An issuer with new keys, which it publishes. `None` if none can be made.
    #[must_use]
    pub fn new() -> Option<Self> {
        let issuer = Self {
            rsa: rsa::KeyPair::generate(rsa::KeySize::Rsa2048).ok()?,
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?,
            ed25519: Ed25519KeyPair::generate().ok()?,
            published: Mutex::default(),
            asked: AtomicUsize::default(),
        };
        issuer.publish(Some(&issuer.document()?));
        Some(issuer)
    }

    /// The document of its public keys (RFC 7517).
    #[must_use]
    pub fn document(&self) -> Option<Value> {
        let n = encode(self.rsa.public_key().as_ref().get(MODULUS)?);
        let point = self.p256.public_key().as_ref();
        let (x, y) = (encode(point.get(1..33)?), encode(point.get(33..65)?));
        let ed25519 = encode(self.ed25519.public_key());
        Some(json!({ "keys": [
            { "kty": "RSA", "kid": "rsa", "n": n, "e": "AQAB" },
            { "kty": "EC", "crv": "P-256", "kid": "p256", "x": x, "y": y, "use": "sig" },
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed25519", "x": ed25519, "alg": "EdDSA" },
        ] }))
    }

    /// Publishes another document, or none at all.
    pub fn publish(&self, document: Option<&Value>) {
        let keys = document.and_then(|keys| KeySet::parse(keys.to_string().as_bytes()).ok());
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = keys.map(Arc::new);
    }

    /// How often somebody asked for its keys.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A token of this header and these claims, whatever they say, signed by this algorithm.
    #[must_use]
    pub fn sign(&self, algorithm: &str, header: &str, claims: &str) -> Option<String> {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let (message, random) = (signed.as_bytes(), SystemRandom::new());
        let rsa = |encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(encoding, &random, message, &mut signature).ok()?;
            Some(signature)
        };
        let signature = match algorithm {
            "RS256" => rsa(&RSA_PKCS1_SHA256)?,
            "PS256" => rsa(&RSA_PSS_SHA256)?,
            "ES256" => self.p256.sign(&random, message).ok()?.as_ref().to_vec(),
            "EdDSA" => self.ed25519.sign(message).as_ref().to_vec(),
            _ => return None,
        };
        Some(format!("{signed}.{}", encode(signature)))
    }
}

impl IssuerKeys for MemoryIssuer {
    fn keys<'a>(&'a self, _: &'a str, _: &'a str) -> KeysFuture<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let keys = self.published.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(std::future::ready(keys))
    }
}
