//! The keys that an identity provider publishes (RFC 7517): which of them may verify a token.

use serde::Deserialize;

use super::Algorithm;

/// The most keys of a set. Providers have two or three, and some dozens while they rotate.
const MOST_KEYS: usize = 100;

/// The document is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON Web Key Set, or one of more than 100 keys")]
pub struct MalformedKeySet;

/// The public part of a key, its numbers in base64url as the provider wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// RSA: modulus and exponent.
    Rsa {
        /// The modulus.
        n: String,
        /// The exponent.
        e: String,
    },
    /// A point on P-256.
    P256 {
        /// Its first coordinate.
        x: String,
        /// Its second coordinate.
        y: String,
    },
    /// An Ed25519 key.
    Ed25519 {
        /// The point, compressed.
        x: String,
    },
}

/// A key that may verify signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Its name.
    pub key_id: String,
    /// The one algorithm that it is for, if its provider says so.
    pub algorithm: Option<Algorithm>,
    /// The key.
    pub material: Material,
}

/// The keys of one provider. It may have none: then nothing verifies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

#[derive(Deserialize)]
struct KeySetJson {
    keys: Vec<serde_json::Value>,
}

/// A key as it is published. Members that are not looked at are passed over, as RFC 7517 §4 asks.
#[derive(Deserialize)]
struct KeyJson {
    kty: String,
    kid: String,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys of other kinds, for other uses or without a name are left out: a provider may
    /// publish them beside those that sign.
    ///
    /// # Errors
    /// [`MalformedKeySet`].
    pub fn parse(json: &[u8]) -> Result<Self, MalformedKeySet> {
        let set: KeySetJson = serde_json::from_slice(json).map_err(|_| MalformedKeySet)?;
        if set.keys.len() > MOST_KEYS {
            return Err(MalformedKeySet);
        }
        let keys = set.keys.into_iter().filter_map(|key| usable(serde_json::from_value(key).ok()?));
        Ok(Self { keys: keys.collect() })
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key has this name, whatever it is for.
    #[must_use]
    pub fn has(&self, key_id: &str) -> bool {
        self.keys.iter().any(|key| key.key_id == key_id)
    }

    /// The one key of this name that may verify this algorithm. `None` if there are several: which of
    /// them was meant cannot be told.
    #[must_use]
    pub fn find(&self, key_id: &str, algorithm: Algorithm) -> Option<&PublicKey> {
        let mut fitting =
            self.keys.iter().filter(|key| key.key_id == key_id && key.verifies(algorithm));
        let found = fitting.next()?;
        fitting.next().is_none().then_some(found)
    }
}

impl PublicKey {
    /// The key's kind decides, and what its provider says it is for: the token's word alone does not.
    fn verifies(&self, algorithm: Algorithm) -> bool {
        let kind = match self.material {
            Material::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
            Material::P256 { .. } => algorithm == Algorithm::Es256,
            Material::Ed25519 { .. } => algorithm == Algorithm::EdDsa,
        };
        kind && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

/// The key, if it may verify signatures that are known here.
fn usable(key: KeyJson) -> Option<PublicKey> {
    let signs = key.usage.is_none_or(|usage| usage == "sig");
    let verifies = key.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    // An algorithm that is not known is no reason to use the key for another.
    let algorithm = key.alg.map(|name| name.parse()).transpose().ok()?;
    let material = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", None) => Material::Rsa { n: key.n?, e: key.e? },
        ("EC", Some("P-256")) => Material::P256 { x: key.x?, y: key.y? },
        ("OKP", Some("Ed25519")) => Material::Ed25519 { x: key.x? },
        _ => return None,
    };
    (signs && verifies).then_some(PublicKey { key_id: key.kid, algorithm, material })
}
