//! Identities: which principal somebody is whom an identity provider, or an authority of certificates,
//! vouches for.
//!
//! One identity is one principal; a principal may have several. Binding is explicit, one by one, and on the
//! record: neither a provider nor who it lets in can choose whom they are here.

use keyhaven_shared::operation::Operation;

use crate::{
    act::{Act, Effect, Scene},
    audit::Event,
    directory::put,
    error::Error,
    identity::{Identity, IdentityId},
    port::store::{Kind, Place, Write},
    record::{IdentityRecord, PrincipalRecord, identity_place},
    services::Services,
};

/// Binds an identity to a principal. Whoever may do this can act as any principal, as with issuing tokens.
#[derive(Debug)]
pub struct BindIdentity {
    /// Whose it is to be. It must exist; it may be disabled, and the identity is then good for nothing
    /// until it is enabled.
    pub principal: String,
    /// Which identity.
    pub identity: Identity,
}

impl Act for BindIdentity {
    type Answer = IdentityRecord;
    const OPERATION: Operation = Operation::BindIdentity;

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<IdentityRecord>, Error> {
        self.identity.check()?;
        let owner = Place::new(Kind::Principal, &self.principal);
        let owner = services.directory.load::<PrincipalRecord>(owner).await?;
        let owner = owner.ok_or(Error::NotFound("principal"))?;
        let id = self.identity.id();
        // From the store: one that was bound before, and is no more, has left its epoch there.
        let row = services.directory.read(identity_place(id)).await?;
        if row.body.is_some() {
            return Err(Error::Conflict("this identity is a principal's: unbind it first"));
        }
        let Identity { issuer, subject } = self.identity.clone();
        let (principal, created_at) = (self.principal.clone(), scene.permit.now());
        let record = IdentityRecord { principal, issuer, subject, created_at };
        let write = put(row.place, row.epoch, &record)?;
        let subject = Some(format!("{} {id}", self.principal));
        let effect = Effect::answer(record).writing(vec![write]);
        let effect = effect.noting(Event { subject, ..Event::default() });
        Ok(Effect { reads: vec![owner.read()], ..effect })
    }
}

/// Takes an identity from its principal. Its requests that are under way are refused by the gate: they
/// rest on its row.
#[derive(Debug)]
pub struct UnbindIdentity {
    /// Which one.
    pub identity: IdentityId,
}

impl Act for UnbindIdentity {
    type Answer = IdentityRecord;
    const OPERATION: Operation = Operation::UnbindIdentity;

    async fn act(&self, services: &Services, _: &Scene<'_>) -> Result<Effect<Self::Answer>, Error> {
        let row = services.directory.load::<IdentityRecord>(identity_place(self.identity)).await?;
        let row = row.ok_or(Error::NotFound("identity"))?;
        let record = IdentityRecord::clone(&row.record);
        let write = Write { place: row.place, expected: row.epoch, body: None };
        let subject = Some(format!("{} {}", record.principal, self.identity));
        let effect = Effect::answer(record).writing(vec![write]);
        Ok(effect.noting(Event { subject, ..Event::default() }))
    }
}

/// Lists the identities. In order of id. Who may list sees all of them.
#[derive(Debug)]
pub struct ListIdentities {
    /// Ids after this one.
    pub after: String,
    /// At most so many.
    pub limit: usize,
}

impl Act for ListIdentities {
    type Answer = Vec<IdentityRecord>;
    const OPERATION: Operation = Operation::ListIdentities;

    async fn act(&self, services: &Services, _: &Scene<'_>) -> Result<Effect<Self::Answer>, Error> {
        let rows = services.directory.list::<IdentityRecord>(("", &self.after), self.limit).await?;
        Ok(Effect::answer(rows.iter().map(|row| IdentityRecord::clone(&row.record)).collect()))
    }
}
