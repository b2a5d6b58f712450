//! Identity providers that this server believes, and what it believes of their tokens (OpenID Connect,
//! RFC 9068), checked as RFC 8725 asks.
//!
//! All that does not hold is one refusal: whoever tries learns nothing of how near they came, nor which
//! issuers there are. The operator's log has the reason at the level `debug`, and nothing of the token.

use std::{collections::HashMap, fmt, sync::Arc};

use jsonwebtoken::{Algorithm as JwtAlgorithm, DecodingKey, Validation};
use keyhaven_shared::{
    encoding::{Label, Transcript},
    ids::TicketId,
    jwt::{Algorithm, Claims, Material, PublicKey, UnverifiedToken},
};
use sha2::{Digest, Sha256};

use crate::{
    identity::Identity,
    port::{issuer_keys::IssuerKeys, store::Spend},
};

/// How far an issuer's clock may be from ours, in seconds, either way.
pub const SKEW: u64 = 30;

/// An issuer, and what its tokens must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// Its `iss`, byte for byte.
    pub issuer: String,
    /// What must be among the token's `aud`.
    pub audience: String,
    /// What else may be there. A token for anybody else is refused: that one could show it here.
    pub other_audiences: Vec<String>,
    /// How its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// The longest time from `iat` to `exp`, in seconds.
    pub max_lifetime_s: u64,
    /// Whether each token, known by its `jti`, is good for one request.
    pub single_use: bool,
}

/// What a token proved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Whom.
    pub(crate) identity: Identity,
    /// What to count in the store of a token that is good once.
    pub(crate) spend: Option<Spend>,
}

/// The issuers, and where their keys are known. By default there are none.
#[derive(Default)]
pub struct Federation {
    issuers: HashMap<String, TrustedIssuer>,
    keys: Option<Arc<dyn IssuerKeys>>,
}

impl fmt::Debug for Federation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.issuers.values()).finish()
    }
}

impl Federation {
    /// Believes these issuers, by these keys.
    #[must_use]
    pub fn new(issuers: Vec<TrustedIssuer>, keys: Arc<dyn IssuerKeys>) -> Self {
        let issuers = issuers.into_iter().map(|issuer| (issuer.issuer.clone(), issuer)).collect();
        Self { issuers, keys: Some(keys) }
    }

    /// Checks a token. `None` for whatever is wrong with it.
    pub(crate) async fn verify(&self, token: &str, now: u64) -> Option<Verified> {
        let unverified = UnverifiedToken::parse(token).ok()?;
        // Only to learn whose keys to check with. A table of what is configured: the token's words choose
        // among them, and lead nowhere else.
        let trusted = self.issuers.get(&unverified.claims.issuer)?;
        match self.check(trusted, token, (&unverified, now)).await {
            Ok(verified) => Some(verified),
            Err(reason) => {
                tracing::debug!(issuer = trusted.issuer, reason, "a bearer token is refused");
                None
            }
        }
    }

    async fn check(
        &self,
        trusted: &TrustedIssuer,
        token: &str,
        (unverified, now): (&UnverifiedToken, u64),
    ) -> Result<Verified, &'static str> {
        if !trusted.algorithms.contains(&unverified.algorithm) {
            return Err("its algorithm is not allowed for this issuer");
        }
        let known = self.keys.as_ref().ok_or("there are no keys")?;
        let known = known.keys(&trusted.issuer, &unverified.key_id).await;
        let known = known.ok_or("the issuer's keys are not to be had")?;
        let key = known.find(&unverified.key_id, unverified.algorithm);
        let key = key.ok_or("the issuer has no such key")?;
        let claims = verify_signature(token, key, unverified.algorithm);
        let claims = claims.ok_or("its signature does not hold")?;
        trusted.check(&claims, now)?;
        let identity = Identity { issuer: claims.issuer, subject: claims.subject };
        if !trusted.single_use {
            return Ok(Verified { identity, spend: None });
        }
        let id = claims.id.ok_or("it has no `jti`, which a token for one use needs")?;
        let spend = one_use(&identity.issuer, &id, claims.expires_at);
        Ok(Verified { identity, spend })
    }
}

impl TrustedIssuer {
    /// Checks what a token says whose signature has held.
    fn check(&self, claims: &Claims, now: u64) -> Result<(), &'static str> {
        let for_us = |audience: &String| *audience == self.audience;
        let known = |audience: &String| for_us(audience) || self.other_audiences.contains(audience);
        if claims.issuer != self.issuer {
            return Err("it is of another issuer");
        }
        if !claims.audiences.iter().any(for_us) || !claims.audiences.iter().all(known) {
            return Err("it is for another audience");
        }
        // The second of expiry is the first that is too late, as of tickets.
        if claims.expires_at.saturating_add(SKEW) <= now {
            return Err("it has expired");
        }
        let begins = claims.not_before.unwrap_or_default().max(claims.issued_at);
        if begins > now.saturating_add(SKEW) {
            return Err("it is of the future");
        }
        // A token that ends before it begins has no life at all.
        let life = claims.expires_at.checked_sub(claims.issued_at);
        if life.is_none_or(|life| life > self.max_lifetime_s) {
            return Err("it lives longer than is allowed for this issuer");
        }
        Ok(())
    }
}

/// The claims, if the key signed them. The algorithm is fixed to the one that the key was found for.
fn verify_signature(token: &str, key: &PublicKey, algorithm: Algorithm) -> Option<Claims> {
    let key = match &key.material {
        Material::Rsa { n, e } => DecodingKey::from_rsa_components(n, e),
        Material::P256 { x, y } => DecodingKey::from_ec_components(x, y),
        Material::Ed25519 { x } => DecodingKey::from_ed_components(x),
    };
    let mut validation = Validation::new(match algorithm {
        Algorithm::Rs256 => JwtAlgorithm::RS256,
        Algorithm::Ps256 => JwtAlgorithm::PS256,
        Algorithm::Es256 => JwtAlgorithm::ES256,
        Algorithm::EdDsa => JwtAlgorithm::EdDSA,
    });
    // What is claimed is checked above, against the engine's own clock and all of it.
    (validation.validate_exp, validation.validate_aud) = (false, false);
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<Claims>(token, &key.ok()?, &validation).ok().map(|data| data.claims)
}

/// The one use of a token. Its name is a hash over issuer and `jti`, so that no issuer uses up another's
/// tokens. It is remembered for as long as the token could be shown.
fn one_use(issuer: &str, id: &str, expires_at: u64) -> Option<Spend> {
    let name = Transcript::new(Label::IDENTITY).field(issuer.as_bytes()).field(b"jti");
    let hash = Sha256::digest(name.field(id.as_bytes()).finish());
    let ticket = TicketId::from_bytes(*hash.first_chunk()?);
    Some(Spend { ticket, uses: 1, expires: expires_at.saturating_add(SKEW) })
}

#[cfg(test)]
mod tests;
