//! Principals: the users and services that policies name.
//!
//! A principal is a name and its groups. It has no rights of its own and no credential: policies
//! give the one, tokens, tickets and devices are the other. Principals are never removed, so a name
//! in the log means the same one for ever.

use keyhaven_shared::{lease_event::LeaseEnd, operation::Operation};

use crate::{
    act::{Act, Effect, Scene},
    audit::Event,
    caller,
    directory::put,
    error::Error,
    name,
    once::{self, Kept, Repeatable},
    port::store::{Epoch, Kind, Place},
    record::PrincipalRecord,
    services::Services,
};

/// Makes a principal. Naming groups needs no other right than this one: whoever may make principals
/// may put them in any group, one that may do everything included.
#[derive(Debug)]
pub struct CreatePrincipal {
    /// Its name.
    pub name: String,
    /// Its groups. Policies see them; they cannot be changed later.
    pub groups: Vec<String>,
}

impl Act for CreatePrincipal {
    type Answer = PrincipalRecord;
    const OPERATION: Operation = Operation::CreatePrincipal;

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<PrincipalRecord>, Error> {
        name::check("principal", &self.name)?;
        for group in &self.groups {
            name::check("group", group)?;
        }
        // Entries of the server itself and of callers that proved nothing would look like this
        // principal's.
        if [caller::SYSTEM, caller::UNKNOWN].contains(&self.name.as_str()) {
            return Err(Error::InvalidRequest(
                "this name has a meaning of its own in the audit log: choose another".to_owned(),
            ));
        }
        let place = Place::new(Kind::Principal, &self.name);
        // From the store, not the cache: the answer is to be true, not only to be refused later.
        if services.directory.epoch(place.clone()).await? != Epoch::ABSENT {
            return Err(Error::Conflict("a principal of that name exists"));
        }
        let record = PrincipalRecord {
            name: self.name.clone(),
            groups: self.groups.clone(),
            enabled: true,
            created_at: scene.permit.now(),
        };
        let write = put(place, Epoch::ABSENT, &record)?;
        let detail = Event { subject: Some(self.name.clone()), ..Event::default() };
        Ok(Effect::answer(record).writing(vec![write]).noting(detail))
    }
}

impl Repeatable for CreatePrincipal {
    fn keep(answer: &PrincipalRecord) -> Result<Kept, Error> {
        Kept::of(answer)
    }

    fn again(&self, _: &Services, kept: serde_json::Value) -> Result<PrincipalRecord, Error> {
        once::told(kept)
    }
}

/// Lists the principals. In order of name. Who may list sees all of them.
#[derive(Debug)]
pub struct ListPrincipals {
    /// Names after this one.
    pub after: String,
    /// At most so many.
    pub limit: usize,
}

impl Act for ListPrincipals {
    type Answer = Vec<PrincipalRecord>;
    const OPERATION: Operation = Operation::ListPrincipals;

    async fn act(&self, services: &Services, _: &Scene<'_>) -> Result<Effect<Self::Answer>, Error> {
        let rows =
            services.directory.list::<PrincipalRecord>(("", &self.after), self.limit).await?;
        Ok(Effect::answer(rows.iter().map(|row| PrincipalRecord::clone(&row.record)).collect()))
    }
}

/// Refuses a principal everything until it is enabled again. Its tokens, tickets and devices with
/// it: all of them are checked against its row.
#[derive(Debug)]
pub struct DisablePrincipal {
    /// Its name.
    pub name: String,
}

/// Lets a disabled principal act again. With the credentials that it had, as far as they are still
/// good.
#[derive(Debug)]
pub struct EnablePrincipal {
    /// Its name.
    pub name: String,
}

/// The change of one principal's switch.
async fn set_enabled(
    services: &Services,
    (name, enabled): (&str, bool),
) -> Result<Effect<PrincipalRecord>, Error> {
    let row = services.directory.load::<PrincipalRecord>(Place::new(Kind::Principal, name)).await?;
    let row = row.ok_or(Error::NotFound("principal"))?;
    // Only the switch: a principal that is enabled again is in the groups it was in.
    let record = PrincipalRecord { enabled, ..PrincipalRecord::clone(&row.record) };
    let write = put(row.place, row.epoch, &record)?;
    let detail = Event { subject: Some(name.to_owned()), ..Event::default() };
    // All devices ask anew, not only this principal's: too much is harmless, and nobody has to read
    // which devices it has.
    let ends = if enabled { vec![] } else { vec![LeaseEnd::PolicyChanged] };
    Ok(Effect::answer(record).writing(vec![write]).ending(ends).noting(detail))
}

impl Act for DisablePrincipal {
    type Answer = PrincipalRecord;
    const OPERATION: Operation = Operation::DisablePrincipal;

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<PrincipalRecord>, Error> {
        // The last administrator would lock everybody out by a slip.
        if scene.caller.name() == self.name {
            return Err(Error::InvalidRequest(
                "a principal cannot disable itself: ask another".to_owned(),
            ));
        }
        set_enabled(services, (&self.name, false)).await
    }
}

impl Act for EnablePrincipal {
    type Answer = PrincipalRecord;
    const OPERATION: Operation = Operation::EnablePrincipal;

    async fn act(
        &self,
        services: &Services,
        _: &Scene<'_>,
    ) -> Result<Effect<PrincipalRecord>, Error> {
        set_enabled(services, (&self.name, true)).await
    }
}
