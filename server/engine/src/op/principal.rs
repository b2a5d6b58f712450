//! Principals: the users and services that policies name.

use keyhaven_shared::{lease_event::LeaseEnd, operation::Operation};

use crate::{
    act::{Act, Effect, Scene},
    audit::Event,
    caller,
    directory::put,
    error::Error,
    name,
    port::store::{Epoch, Kind, Place},
    record::PrincipalRecord,
    services::Services,
};

/// Makes a principal.
#[derive(Debug)]
pub struct CreatePrincipal {
    /// Its name.
    pub name: String,
    /// Its groups.
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
        if [caller::SYSTEM, caller::UNKNOWN].contains(&self.name.as_str()) {
            return Err(Error::InvalidRequest(
                "this name has a meaning of its own in the audit log: choose another".to_owned(),
            ));
        }
        let place = Place::new(Kind::Principal, &self.name);
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

/// Lists the principals.
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

/// Refuses a principal everything until it is enabled again.
#[derive(Debug)]
pub struct DisablePrincipal {
    /// Its name.
    pub name: String,
}

/// Lets a disabled principal act again.
#[derive(Debug)]
pub struct EnablePrincipal {
    /// Its name.
    pub name: String,
}

async fn set_enabled(
    services: &Services,
    (name, enabled): (&str, bool),
) -> Result<Effect<PrincipalRecord>, Error> {
    let row = services.directory.load::<PrincipalRecord>(Place::new(Kind::Principal, name)).await?;
    let row = row.ok_or(Error::NotFound("principal"))?;
    let record = PrincipalRecord { enabled, ..PrincipalRecord::clone(&row.record) };
    let write = put(row.place, row.epoch, &record)?;
    let detail = Event { subject: Some(name.to_owned()), ..Event::default() };
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
