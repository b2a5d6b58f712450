//! Bearer tokens of identity providers: JWTs (RFC 7519) signed as JWS in compact form (RFC 7515), read as
//! RFC 8725 asks. Only taken apart here: nothing of a token is believed before its signature has held.
//!
//! A token is read in one way. Header members that could choose a key or change how the token is to be
//! read (`jwk`, `jku`, `x5u`, `x5c`, `crit`, `cty`, `enc`, …) are refused, not passed over: a reader that
//! heeds one would believe another key than we do. So are members that stand twice.

mod claims;
mod keys;

use base64ct::{Base64UrlUnpadded, Encoding};
use core::{fmt, str::FromStr};
use serde::{Deserialize, de::IgnoredAny};

pub use self::{
    claims::Claims,
    keys::{KeySet, MalformedKeySet, Material, PublicKey},
};

/// The longest token that is read, in bytes. A server's limit for all headers is not far above.
pub const LONGEST_TOKEN: usize = 16 * 1024;

/// The text is no token in the one form that is read. Why, is not told: the sender proved nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signed JWT in the form that is accepted")]
pub struct MalformedToken;

/// How a token may be signed. No MAC is here, and no `none`: a name that is not here is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519 (RFC 8037).
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// Its name in `alg` (RFC 7518 §3.1, RFC 8037 §3.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The word is no algorithm of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of RS256, PS256, ES256, EdDSA")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|known| known.name() == name).ok_or(UnknownAlgorithm)
    }
}

/// A token that was taken apart and not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedToken {
    /// How it says that it is signed.
    pub algorithm: Algorithm,
    /// Which of its issuer's keys it says that it is signed with. Compared with the names of keys that
    /// are known, and used for nothing else.
    pub key_id: String,
    /// What it says.
    pub claims: Claims,
}

/// The longest name of a key.
const LONGEST_KEY_ID: usize = 256;

/// The header (RFC 7515 §4.1), and no other member. The thumbprints of a certificate are known because
/// providers send them; they are not used.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderJson {
    alg: String,
    kid: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default, rename = "x5t")]
    _x5t: Option<IgnoredAny>,
    #[serde(default, rename = "x5t#S256")]
    _x5t_s256: Option<IgnoredAny>,
}

impl UnverifiedToken {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`MalformedToken`].
    pub fn parse(token: &str) -> Result<Self, MalformedToken> {
        if token.len() > LONGEST_TOKEN {
            return Err(MalformedToken);
        }
        let mut parts = token.split('.');
        // Exactly three: five are an encrypted token, and an empty signature signs nothing.
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(MalformedToken);
        };
        if signature.is_empty() || decode(signature).is_none() {
            return Err(MalformedToken);
        }
        let header: HeaderJson = read(header).ok_or(MalformedToken)?;
        let claims: Claims = read(payload).ok_or(MalformedToken)?;
        let algorithm = header.alg.parse().map_err(|_| MalformedToken)?;
        let typed = header.typ.as_deref().is_none_or(is_access_token);
        let named = (1..=LONGEST_KEY_ID).contains(&header.kid.len());
        if !typed || !named {
            return Err(MalformedToken);
        }
        Ok(Self { algorithm, key_id: header.kid, claims })
    }
}

/// Whether a `typ` is that of a JWT in general, or of an access token (RFC 9068 §2.1). Other kinds that a
/// provider signs with the same key, such as logout tokens, say so here (RFC 8725 §3.11).
fn is_access_token(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    matches!(kind.as_str(), "jwt" | "at+jwt" | "application/jwt" | "application/at+jwt")
}

fn decode(part: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(part).ok()
}

fn read<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&decode(part)?).ok()
}

#[cfg(test)]
mod tests;
