//! Who somebody is elsewhere: exactly an issuer and a subject. An administrator says which principal that
//! is here; no claim, e-mail address or group of a token does.

use std::{fmt, str::FromStr};

use keyhaven_shared::{
    encoding::{Label, Transcript},
    hex::hex,
};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The longest issuer and the longest subject that can be bound, in bytes (OpenID Connect Core §2).
const LONGEST: usize = 255;

/// An identity: who vouches, and for whom. Both are compared byte by byte; nothing is normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer of tokens by its URL, or an authority of certificates by `sha256:` and the fingerprint of
    /// its certificate.
    pub issuer: String,
    /// The subject of a token, or the name in a certificate.
    pub subject: String,
}

impl Identity {
    /// Its id: what a row is found by, and what stands in the log.
    #[must_use]
    pub fn id(&self) -> IdentityId {
        let text = Transcript::new(Label::IDENTITY)
            .field(self.issuer.as_bytes())
            .field(self.subject.as_bytes());
        IdentityId(Sha256::digest(text.finish()).into())
    }

    /// Checks what is to be bound. Printable ASCII alone: two subjects that look alike are the same.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] naming the rule.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |text: &str| Err(Error::InvalidRequest(text.to_owned()));
        if !is_url(&self.issuer) && !is_fingerprint(&self.issuer) {
            return invalid(
                "an issuer is the URL that its tokens have as `iss`, byte for byte, or `sha256:` and the \
                 64 hexadecimal digits (a-f in lower case) of the fingerprint of an authority's certificate",
            );
        }
        let printable = |c: char| matches!(c, ' '..='~');
        let trimmed = self.subject.trim() == self.subject;
        if !(1..=LONGEST).contains(&self.subject.len())
            || !trimmed
            || !self.subject.chars().all(printable)
        {
            return invalid(
                "a subject is 1 to 255 printable ASCII characters, without spaces at its ends",
            );
        }
        Ok(())
    }
}

/// Whether it looks as issuers do. Which issuers are believed is the configuration's to say.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty())
        && text.len() <= LONGEST
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether it is the fingerprint of an authority.
fn is_fingerprint(text: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(digit))
}

/// The id of an identity: a hash over it. In the log it stands for the identity without telling it to
/// whoever does not know it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdentityId([u8; 32]);

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// The text is no id of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identity's id is 64 hexadecimal digits, a-f in lower case: list the identities")]
pub struct MalformedIdentityId;

impl FromStr for IdentityId {
    type Err = MalformedIdentityId;

    fn from_str(text: &str) -> Result<Self, MalformedIdentityId> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes().chunks(2);
        for (byte, digits) in bytes.iter_mut().zip(digits) {
            let digits = str::from_utf8(digits).map_err(|_| MalformedIdentityId)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| MalformedIdentityId)?;
        }
        // One spelling: what is written again is the same.
        let id = Self(bytes);
        if id.to_string() == text { Ok(id) } else { Err(MalformedIdentityId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(issuer: &str, subject: &str) -> Identity {
        Identity { issuer: issuer.to_owned(), subject: subject.to_owned() }
    }

    #[test]
    fn no_two_identities_have_one_id() {
        let all = [
            identity("https://a", "b"),
            identity("https://a/", "b"),
            identity("https://ab", ""),
            identity("https://", "ab"),
            identity("https://a", "B"),
            identity("https://a", "b "),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other.id() != one.id()), "{one:?}");
            assert_eq!(one.id().to_string().parse(), Ok(one.id()));
        }
        let id = all[0].id().to_string();
        for bad in
            ["", id.get(1..).unwrap(), &format!("{id}0"), &id.to_uppercase(), &id.replace('a', "+")]
        {
            assert_eq!(bad.parse::<IdentityId>(), Err(MalformedIdentityId), "{bad}");
        }
    }

    #[test]
    fn what_looks_like_another_cannot_be_bound() {
        let fingerprint = format!("sha256:{}", "0f".repeat(32));
        for (issuer, subject) in [
            ("https://idp.example/realms/a", "auth0|5f7c8ec7c33c6c004bbafe82"),
            ("http://127.0.0.1:9000", "system:serviceaccount:ns:name"),
            (fingerprint.as_str(), "spiffe://prod/worker"),
            ("https://idp.example", "CN=Ann Smith,O=Example"),
        ] {
            assert!(identity(issuer, subject).check().is_ok(), "{issuer} {subject}");
        }
        for (issuer, subject) in [
            ("", "a"),
            ("idp.example", "a"),
            ("https://", "a"),
            ("https://idp.example ", "a"),
            ("https://idp.ex\u{430}mple", "a"),
            ("sha256:00", "a"),
            (&fingerprint.to_uppercase(), "a"),
            ("https://idp.example", ""),
            ("https://idp.example", " a"),
            ("https://idp.example", "a\n"),
            ("https://idp.example", "a\0"),
            ("https://idp.example", "\u{430}nn"),
            ("https://idp.example", &"a".repeat(256)),
        ] {
            assert!(identity(issuer, subject).check().is_err(), "{issuer} {subject}");
        }
    }
}
