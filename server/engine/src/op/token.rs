//! API tokens. The server keeps only a hash of the secret; a token is shown once.

use base64ct::{Base64UrlUnpadded, Encoding};
use keyhaven_shared::{api::bytes::Base64Bytes, ids::TokenId, operation::Operation};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    act::{Act, Effect, Scene},
    audit::Event,
    directory::put,
    error::Error,
    port::store::{Epoch, Kind, Place, Write},
    record::{PrincipalRecord, TokenRecord},
    services::Services,
};

/// Makes an API token for a principal.
#[derive(Debug)]
pub struct IssueToken {
    /// Whose.
    pub principal: String,
    /// Days it is good for, 1 to 365.
    pub expires_in_days: u32,
}

/// A token, to be shown once.
pub struct IssuedToken {
    /// The whole token: `kh1.<id>.<secret>`.
    pub token: Zeroizing<String>,
    /// Its id.
    pub id: TokenId,
    /// Seconds since the Unix epoch.
    pub expires_at: u64,
}

/// Makes a token and the row that knows it.
pub(crate) fn make_token(
    services: &Services,
    (principal, expires_at): (&str, u64),
) -> Result<(IssuedToken, Write), Error> {
    let mut rng = services.ports.environment.make_rng()?;
    let (mut id, mut secret) = ([0; 16], Zeroizing::new([0; 32]));
    rand_core::Rng::fill_bytes(&mut rng, &mut id);
    rand_core::Rng::fill_bytes(&mut rng, secret.as_mut_slice());
    let id = TokenId::from_random(id);
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
        let expires_at = scene.permit.now().saturating_add(life);
        let (issued, write) = make_token(services, (&self.principal, expires_at))?;
        let subject = Some(format!("{} {}", self.principal, issued.id));
        let effect = Effect::answer(issued).writing(vec![write]);
        let effect = effect.noting(Event { subject, ..Event::default() });
        Ok(Effect { reads: vec![owner.read()], ..effect })
    }
}

/// Ends an API token for good.
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
        let revoked_at = row.record.revoked_at.unwrap_or_else(|| scene.permit.now());
        let record =
            TokenRecord { revoked_at: Some(revoked_at), ..TokenRecord::clone(&row.record) };
        let write = put(row.place, row.epoch, &record)?;
        let detail = Event { subject: Some(self.token.to_string()), ..Event::default() };
        Ok(Effect::answer(revoked_at).writing(vec![write]).noting(detail))
    }
}
