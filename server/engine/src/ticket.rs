//! Tickets and enrolment tokens: short-lived capabilities that a backend has minted for one user.
//! JWS (RFC 7515) with EdDSA (RFC 8037), signed by a key that only this installation derives.
//!
//! A ticket never widens what its subject's policies permit: both must allow the operation.
//!
//! Nothing of them is stored but, once used, their `jti`. So they cannot be listed, and one that
//! was minted can be taken back only by stopping its key, subject or device, or by a policy; its
//! life is at most an hour.

use std::collections::BTreeMap;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use keyhaven_shared::{
    ids::{DeploymentId, DeviceId, KeyId, TicketId},
    operation::Operation,
    secret::SigningSeed,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{EnrolmentFault, Error, TicketFault};

/// What a ticket says, checked and parsed. Whoever holds a value of this type has had signature and
/// expiry checked; the rest is checked against each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketClaims {
    /// Its `jti`.
    pub id: TicketId,
    /// The principal it is for. Its policies decide, not the minter's.
    pub subject: String,
    /// The key it is for. By id: moving an alias moves no ticket.
    pub key: KeyId,
    /// What it allows.
    pub operations: Vec<Operation>,
    /// Pairs that the encryption context must have. Compared byte by byte; none means that any
    /// context will do, unless it must be exact.
    pub context: BTreeMap<String, String>,
    /// Whether the context must be exactly these pairs.
    pub context_exact: bool,
    /// The one device it is for (RFC 7800 `cnf`). `None`: any enrolled device of the subject.
    pub device: Option<DeviceId>,
    /// How often it may be used. Counted in the store, in the transaction of the operation that
    /// uses it.
    pub uses: u32,
    /// Seconds since the Unix epoch.
    pub expires_at: u64,
}

/// What an enrolment token says, checked and parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentClaims {
    /// Its `jti`.
    pub id: TicketId,
    /// The principal whose device it enrols.
    pub subject: String,
    /// The page origin it is for. Told by the page itself when it enrols; a program that is no page
    /// can tell any.
    pub origin: Option<String>,
    /// Seconds since the Unix epoch.
    pub expires_at: u64,
}

/// The JSON claims of both, RFC 7519 names where there are some. Unknown claims are refused: one
/// that this build does not know might narrow what the ticket allows.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketToken {
    iss: String,
    aud: String,
    jti: String,
    sub: String,
    exp: u64,
    key: String,
    ops: Vec<String>,
    ctx: BTreeMap<String, String>,
    ctx_exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
    uses: u32,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    /// The device's id (RFC 7800 §3.4).
    kid: String,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnrolmentJson {
    iss: String,
    aud: String,
    jti: String,
    sub: String,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

/// The `typ` of each kind: one can never be taken for the other. Explicit typing, RFC 8725 §3.11;
/// both are signed by the same key.
const TICKET_TYPE: &str = "keyhaven-ticket+jwt";
const ENROLMENT_TYPE: &str = "keyhaven-enrolment+jwt";
/// Tokens are for the server that made them; the name keeps them apart from what else might be
/// signed.
const AUDIENCE: &str = "keyhaven";

/// Signs and checks tickets. Ed25519, deterministic, in the server's memory: no HSM call for a
/// ticket. The key is derived from the system's domain key, so that it is the same after a restart
/// and differs between installations.
pub struct TicketOffice {
    issuer: String,
    signing: EncodingKey,
    checking: DecodingKey,
}

impl TicketOffice {
    /// An office for one installation.
    ///
    /// # Errors
    /// [`Error::Internal`] when the key does not encode, which no Ed25519 key does.
    pub fn new(deployment: DeploymentId, seed: &SigningSeed) -> Result<Self, Error> {
        // EXPOSE: the seed becomes the signing key.
        let key = SigningKey::from_bytes(seed.expose_secret());
        // The one form the library takes a private key in; it keeps its own copy until the process
        // ends.
        let document = key.to_pkcs8_der().map_err(|_| Error::Internal)?;
        let public = Base64UrlUnpadded::encode_string(key.verifying_key().as_bytes());
        Ok(Self {
            issuer: deployment.to_string(),
            signing: EncodingKey::from_ed_der(document.as_bytes()),
            checking: DecodingKey::from_ed_components(&public).map_err(|_| Error::Internal)?,
        })
    }

    /// Mints a ticket. What may be in it is checked where it is asked for; here all claims are
    /// signed as they are.
    ///
    /// # Errors
    /// [`Error::Internal`] when signing fails.
    pub fn mint_ticket(&self, claims: &TicketClaims) -> Result<String, Error> {
        let token = TicketToken {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            jti: claims.id.to_string(),
            sub: claims.subject.clone(),
            exp: claims.expires_at,
            key: claims.key.to_string(),
            ops: claims.operations.iter().map(ToString::to_string).collect(),
            ctx: claims.context.clone(),
            ctx_exact: claims.context_exact,
            cnf: claims.device.map(|device| Confirmation { kid: device.to_string() }),
            uses: claims.uses,
        };
        self.sign(TICKET_TYPE, &token)
    }

    /// Checks a ticket's signature and time. Not whether it is spent: only the commit gate can tell
    /// that.
    ///
    /// # Errors
    /// [`Error::Ticket`]: invalid or expired.
    pub fn check_ticket(&self, ticket: &str, now: u64) -> Result<TicketClaims, Error> {
        let invalid = Error::Ticket(TicketFault::Invalid);
        let token: TicketToken = self.verify(TICKET_TYPE, ticket).ok_or_else(|| invalid.clone())?;
        // A second hurdle: the key that verified it differs between installations already.
        if token.iss != self.issuer {
            return Err(invalid);
        }
        // The second of expiry is the first that is too late.
        if token.exp <= now {
            return Err(Error::Ticket(TicketFault::Expired));
        }
        parse_ticket(token).ok_or(invalid)
    }

    /// Mints an enrolment token.
    ///
    /// # Errors
    /// [`Error::Internal`] when signing fails.
    pub fn mint_enrolment(&self, claims: &EnrolmentClaims) -> Result<String, Error> {
        let token = EnrolmentJson {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            jti: claims.id.to_string(),
            sub: claims.subject.clone(),
            exp: claims.expires_at,
            origin: claims.origin.clone(),
        };
        self.sign(ENROLMENT_TYPE, &token)
    }

    /// Checks an enrolment token's signature and time. Not its origin, which the enrolment
    /// compares, nor whether it was used.
    ///
    /// # Errors
    /// [`Error::Enrolment`]: invalid or expired.
    pub fn check_enrolment(&self, token: &str, now: u64) -> Result<EnrolmentClaims, Error> {
        let invalid = Error::Enrolment(EnrolmentFault::Invalid);
        let token: EnrolmentJson =
            self.verify(ENROLMENT_TYPE, token).ok_or_else(|| invalid.clone())?;
        if token.iss != self.issuer {
            return Err(invalid);
        }
        if token.exp <= now {
            return Err(Error::Enrolment(EnrolmentFault::Expired));
        }
        let id = token.jti.parse().map_err(|_| invalid)?;
        let (subject, origin, expires_at) = (token.sub, token.origin, token.exp);
        Ok(EnrolmentClaims { id, subject, origin, expires_at })
    }

    fn sign(&self, kind: &str, claims: &impl Serialize) -> Result<String, Error> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(kind.to_owned());
        jsonwebtoken::encode(&header, claims, &self.signing).map_err(|_| Error::Internal)
    }

    /// Time is checked by the caller against the engine's own clock, not the library's. The
    /// algorithm is fixed here and never taken from the token's header: `none`, or a MAC under our
    /// public key, verify nowhere.
    fn verify<T: DeserializeOwned + Clone>(&self, kind: &str, token: &str) -> Option<T> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_audience(&[AUDIENCE]);
        // A token that leaves one out is refused: by default the library asks for `exp` alone.
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        let data = jsonwebtoken::decode::<T>(token, &self.checking, &validation).ok()?;
        // Compared whole, and only after the signature has held.
        (data.header.typ.as_deref() == Some(kind)).then_some(data.claims)
    }
}

/// The claims in the engine's terms; `None` when one of them is no id or operation of ours.
fn parse_ticket(token: TicketToken) -> Option<TicketClaims> {
    let operations: Result<Vec<Operation>, _> = token.ops.iter().map(|name| name.parse()).collect();
    let device = match token.cnf {
        Some(confirmation) => Some(confirmation.kid.parse().ok()?),
        None => None,
    };
    Some(TicketClaims {
        id: token.jti.parse().ok()?,
        subject: token.sub,
        key: token.key.parse().ok()?,
        operations: operations.ok()?,
        context: token.ctx,
        context_exact: token.ctx_exact,
        device,
        uses: token.uses,
        expires_at: token.exp,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn office(byte: u8) -> TicketOffice {
        let seed = SigningSeed::fill_with(|bytes| bytes.fill(byte));
        TicketOffice::new(DeploymentId::from_random([1; 16]), &seed).unwrap()
    }

    fn claims() -> TicketClaims {
        TicketClaims {
            id: TicketId::from_random([2; 16]),
            subject: "writer".into(),
            key: KeyId::from_random([3; 16]),
            operations: vec![Operation::DeliverDataKey],
            context: BTreeMap::from([("file".into(), "1".into())]),
            context_exact: true,
            device: Some(DeviceId::from_thumbprint([4; 32])),
            uses: 1,
            expires_at: 100,
        }
    }

    #[test]
    fn a_ticket_says_what_was_minted_until_it_expires() {
        let ticket = office(1).mint_ticket(&claims()).unwrap();
        assert_eq!(office(1).check_ticket(&ticket, 99), Ok(claims()));
        let expired = Err(Error::Ticket(TicketFault::Expired));
        assert_eq!(office(1).check_ticket(&ticket, 100), expired);
    }

    #[test]
    fn every_changed_character_and_every_other_signer_is_refused() {
        let ticket = office(1).mint_ticket(&claims()).unwrap();
        let invalid = Err(Error::Ticket(TicketFault::Invalid));
        assert_eq!(office(2).check_ticket(&ticket, 1), invalid);
        for position in 0..ticket.len() {
            let mut changed = ticket.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(office(1).check_ticket(&changed, 1), invalid, "at {position}");
        }
        for length in 0..ticket.len() {
            assert_eq!(
                office(1).check_ticket(ticket.split_at(length).0, 1),
                invalid,
                "cut to {length}"
            );
        }
        assert_eq!(office(1).check_ticket(&format!("{ticket}A"), 1), invalid);
    }

    #[test]
    fn another_algorithm_or_kind_is_refused() {
        let ticket = office(1).mint_ticket(&claims()).unwrap();
        let payload = ticket.split('.').nth(1).unwrap();
        let none =
            Base64UrlUnpadded::encode_string(br#"{"alg":"none","typ":"keyhaven-ticket+jwt"}"#);
        let invalid = Err(Error::Ticket(TicketFault::Invalid));
        assert_eq!(office(1).check_ticket(&format!("{none}.{payload}."), 1), invalid);
        let (id, subject) = (TicketId::from_random([2; 16]), "writer".to_owned());
        let enrolment = EnrolmentClaims { id, subject, origin: None, expires_at: 100 };
        let token = office(1).mint_enrolment(&enrolment).unwrap();
        assert_eq!(office(1).check_ticket(&token, 1), invalid);
        assert_eq!(office(1).check_enrolment(&token, 1), Ok(enrolment));
        assert!(office(1).check_enrolment(&ticket, 1).is_err());
    }
}
