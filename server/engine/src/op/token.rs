//! API tokens. The server keeps only a hash of the secret; a token is shown once.
//!
//! A token carries no rights of its own: it stands for its principal, with all that policies permit
//! that one.

use base64ct::{Base64UrlUnpadded, Encoding};
use keyhaven_shared::{api::bytes::Base64Bytes, ids::TokenId, operation::Operation};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    act::{Act, Effect, Scene},
    audit::Event,
    directory::put,
    error::Error,
    once::{self, Kept, Repeatable},
    port::store::{Epoch, Kind, Place, Write},
    record::{PrincipalRecord, TokenRecord},
    services::Services,
};

/// Makes an API token for a principal. Whoever may do this can act as any principal: the right is
/// not narrowed to whose token it is.
#[derive(Debug)]
pub struct IssueToken {
    /// Whose. It must exist; it may be disabled, and the token is then good for nothing until it is
    /// enabled.
    pub principal: String,
    /// Days it is good for, 1 to 365.
    pub expires_in_days: u32,
}

/// A token, to be shown once.
pub struct IssuedToken {
    /// The whole token: `kh1.<id>.<secret>`. The secret is 32 random bytes in base64url without
    /// padding.
    pub token: Zeroizing<String>,
    /// Its id.
    pub id: TokenId,
    /// Seconds since the Unix epoch.
    pub expires_at: u64,
}

/// Makes a token and the row that knows it. The row is proposed, not written. `expires_at` in
/// seconds since the Unix epoch, checked by the caller.
pub(crate) fn make_token(
    services: &Services,
    (principal, expires_at): (&str, u64),
) -> Result<(IssuedToken, Write), Error> {
    let mut rng = services.ports.environment.make_rng()?;
    // Apart: the id is looked up by and logged, so it must say nothing of the secret.
    let (mut id, mut secret) = ([0; 16], Zeroizing::new([0; 32]));
    rand_core::Rng::fill_bytes(&mut rng, &mut id);
    rand_core::Rng::fill_bytes(&mut rng, secret.as_mut_slice());
    let id = TokenId::from_random(id);
    // The hash is over the text: what is presented later is hashed as it comes.
    let secret = Zeroizing::new(Base64UrlUnpadded::encode_string(secret.as_slice()));
    let record = TokenRecord {
        principal: principal.to_owned(),
        secret_sha256: Base64Bytes(Sha256::digest(secret.as_bytes()).to_vec()),
        expires_at,
        revoked_at: None,
    };
    let token = Zeroizing::new(format!("kh1.{id}.{}", secret.as_str()));
    let write = put(Place::new(Kind::Token, id), Epoch::ABSENT, &record)?;
    Ok((IssuedToken { token, id, expires_at }, write))
}

impl Act for IssueToken {
    type Answer = IssuedToken;
    const OPERATION: Operation = Operation::IssueToken;

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<IssuedToken>, Error> {
        if !(1..=365).contains(&self.expires_in_days) {
            return Err(Error::InvalidRequest("a token is good for 1 to 365 days".to_owned()));
        }
        let place = Place::new(Kind::Principal, &self.principal);
        let owner = services.directory.load::<PrincipalRecord>(place).await?;
        let owner = owner.ok_or(Error::NotFound("principal"))?;
        let life = u64::from(self.expires_in_days) * 24 * 3600;
        // From the moment of the decision, so that a slow request does not make a longer life.
        let expires_at = scene.permit.now().saturating_add(life);
        let (issued, write) = make_token(services, (&self.principal, expires_at))?;
        let subject = Some(format!("{} {}", self.principal, issued.id));
        let effect = Effect::answer(issued).writing(vec![write]);
        let effect = effect.noting(Event { subject, ..Event::default() });
        // The owner's row is in the gate's reads: no token for a principal that changed in the
        // meantime.
        Ok(Effect { reads: vec![owner.read()], ..effect })
    }
}

impl Repeatable for IssueToken {
    fn keep(answer: &IssuedToken) -> Result<Kept, Error> {
        Kept::of(&answer.id.to_string())
    }

    fn again(&self, _: &Services, kept: serde_json::Value) -> Result<IssuedToken, Error> {
        // Only a hash of the secret is left.
        let id = once::told(kept)?;
        Err(Error::AlreadyDone { what: "token", id })
    }
}

/// Ends an API token for good. Its requests that are under way are refused by the gate: they rest
/// on its row. Repeating it is no error and keeps the first date.
#[derive(Debug)]
pub struct RevokeToken {
    /// Its id.
    pub token: TokenId,
}

impl Act for RevokeToken {
    type Answer = u64;
    const OPERATION: Operation = Operation::RevokeToken;

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<u64>, Error> {
        let row =
            services.directory.load::<TokenRecord>(Place::new(Kind::Token, self.token)).await?;
        let row = row.ok_or(Error::NotFound("token"))?;
        // The row is written even if nothing changes in it: the answer is then as durable as the
        // first.
        let revoked_at = row.record.revoked_at.unwrap_or_else(|| scene.permit.now());
        let record =
            TokenRecord { revoked_at: Some(revoked_at), ..TokenRecord::clone(&row.record) };
        let write = put(row.place, row.epoch, &record)?;
        let detail = Event { subject: Some(self.token.to_string()), ..Event::default() };
        Ok(Effect::answer(revoked_at).writing(vec![write]).noting(detail))
    }
}
