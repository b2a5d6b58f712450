//! What a token claims (RFC 7519 §4.1).

use core::fmt;
use std::collections::BTreeSet;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

/// The longest `iss`, `sub`, `jti`, or entry of `aud`, in bytes. OpenID Connect bounds subjects by 255.
const LONGEST_TEXT: usize = 512;
/// The most entries of `aud`.
const MOST_AUDIENCES: usize = 16;

/// The claims that decide. All others are passed over: a provider may say more than we ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `iss`: who signed it.
    pub issuer: String,
    /// `sub`: who it is about, in its issuer's name space.
    pub subject: String,
    /// `aud`: whom it is for.
    pub audiences: Vec<String>,
    /// `exp`, in seconds since the Unix epoch.
    pub expires_at: u64,
    /// `iat`, likewise.
    pub issued_at: u64,
    /// `nbf`, likewise.
    pub not_before: Option<u64>,
    /// `jti`.
    pub id: Option<String>,
}

/// `aud` is one text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

/// Reads an object whose names are unique. Of two, another reader might take the other.
struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims, each once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
        let mut seen = BTreeSet::new();
        let (mut issuer, mut subject, mut id, mut audiences) = (None, None, None, None);
        let (mut expires_at, mut issued_at, mut not_before) = (None, None, None);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "iss" => issuer = Some(map.next_value::<String>()?),
                "sub" => subject = Some(map.next_value::<String>()?),
                "jti" => id = Some(map.next_value::<String>()?),
                "aud" => audiences = Some(map.next_value::<Audiences>()?),
                // Whole seconds: RFC 7519 allows fractions, which providers do not send.
                "exp" => expires_at = Some(map.next_value::<u64>()?),
                "iat" => issued_at = Some(map.next_value::<u64>()?),
                "nbf" => not_before = Some(map.next_value::<u64>()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if !seen.insert(name) {
                return Err(A::Error::custom("a claim stands twice"));
            }
        }
        let missing = |name| A::Error::missing_field(name);
        let claims = Claims {
            issuer: issuer.ok_or_else(|| missing("iss"))?,
            subject: subject.ok_or_else(|| missing("sub"))?,
            audiences: match audiences.ok_or_else(|| missing("aud"))? {
                Audiences::One(one) => vec![one],
                Audiences::Many(many) => many,
            },
            expires_at: expires_at.ok_or_else(|| missing("exp"))?,
            issued_at: issued_at.ok_or_else(|| missing("iat"))?,
            not_before,
            id,
        };
        if claims.is_bounded() { Ok(claims) } else { Err(A::Error::custom("a claim is too long")) }
    }
}

impl Claims {
    fn is_bounded(&self) -> bool {
        let texts =
            [&self.issuer, &self.subject].into_iter().chain(&self.audiences).chain(&self.id);
        let fit = texts.into_iter().all(|text| (1..=LONGEST_TEXT).contains(&text.len()));
        fit && (1..=MOST_AUDIENCES).contains(&self.audiences.len())
    }
}
