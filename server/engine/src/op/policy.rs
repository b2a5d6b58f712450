//! Policies. Each change is compiled and validated together with all others before it is kept, and moves
//! the epoch that every decision is checked against.
//!
//! So from the moment a change has returned, no operation is released that was decided before it.
//! Nothing keeps an operator from removing the policy that permits changing policies, and then
//! nobody can by way of the API.

use keyhaven_shared::{lease_event::LeaseEnd, operation::Operation};

use crate::{
    act::{Act, Effect, Scene},
    audit::Event,
    directory::{Loaded, put},
    error::Error,
    name,
    once::{self, Kept, Repeatable},
    port::store::{Epoch, Kind, Place, Write},
    record::{PolicyRecord, policies_place},
    rules::Rules,
    services::Services,
};

/// Adds or replaces a named policy. Whoever may do this may do everything, by permitting it to
/// itself.
#[derive(Debug)]
pub struct PutPolicy {
    /// Its name.
    pub name: String,
    /// Cedar statements. One or more, at most 64 KiB.
    pub text: String,
}

/// Removes a named policy. Removing a `forbid` permits more, so this is no lesser right than adding
/// one.
#[derive(Debug)]
pub struct RemovePolicy {
    /// Its name.
    pub name: String,
}

/// Shows the policies. All of them, with their whole text: reading them is to know who may do what.
#[derive(Debug)]
pub struct ListPolicies;

/// The largest policy, in bytes.
const LARGEST_TEXT: usize = 64 * 1024;

/// Every policy's row, from the store. Begins after the row `*`, which is none.
async fn all(services: &Services) -> Result<Vec<Loaded<PolicyRecord>>, Error> {
    services.directory.list::<PolicyRecord>(("", ""), usize::MAX).await
}

/// The write that moves the policies' epoch. It has no document: that it is written is what counts.
pub(crate) fn next_epoch(expected: Epoch) -> Write {
    Write { place: policies_place(), expected, body: None }
}

/// What every change of a policy has in common: the counter, the record, and that devices ask anew.
fn changed(name: &str, scene: &Scene<'_>, write: Write) -> (Vec<Write>, Event, Vec<LeaseEnd>) {
    // Written against the epoch that decided this very change: of two at once, the second is
    // refused and validated anew, together with the first.
    let writes = vec![write, next_epoch(Epoch(scene.permit.policy_epoch()))];
    let detail = Event { subject: Some(name.to_owned()), ..Event::default() };
    (writes, detail, vec![LeaseEnd::PolicyChanged])
}

impl Act for PutPolicy {
    type Answer = PolicyRecord;
    const OPERATION: Operation = Operation::PutPolicy;

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<PolicyRecord>, Error> {
        name::check("policy", &self.name)?;
        if self.text.len() > LARGEST_TEXT {
            return Err(Error::InvalidRequest("a policy has at most 64 KiB: split it".to_owned()));
        }
        let rows = all(services).await?;
        // All together, as they will be in force: a name is a policy's own, but what errs denies
        // everything.
        let others = rows.iter().filter(|row| row.place.id != self.name);
        let mut texts: Vec<(String, String)> =
            others.map(|row| (row.place.id.clone(), row.record.text.clone())).collect();
        // The new one first: of several faults its own is told.
        texts.insert(0, (self.name.clone(), self.text.clone()));
        // Only to see whether it compiles; what decides is compiled from the store.
        Rules::compile(Epoch::ABSENT, &texts)?;
        let place = Place::new(Kind::Policy, &self.name);
        // Also the epoch of a policy that was removed, whose name may be taken again.
        let expected = services.directory.epoch(place.clone()).await?;
        let record = PolicyRecord { text: self.text.clone(), updated_at: scene.permit.now() };
        let (writes, detail, ends) = changed(&self.name, scene, put(place, expected, &record)?);
        Ok(Effect::answer(record).writing(writes).noting(detail).ending(ends))
    }
}

impl Repeatable for PutPolicy {
    fn keep(answer: &PolicyRecord) -> Result<Kept, Error> {
        // The text stands in the request, too.
        Kept::of(&answer.updated_at)
    }

    fn again(&self, _: &Services, kept: serde_json::Value) -> Result<PolicyRecord, Error> {
        Ok(PolicyRecord { text: self.text.clone(), updated_at: once::told(kept)? })
    }
}

impl Act for RemovePolicy {
    type Answer = ();
    const OPERATION: Operation = Operation::RemovePolicy;

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<()>, Error> {
        let place = Place::new(Kind::Policy, &self.name);
        let row = services.directory.load::<PolicyRecord>(place).await?;
        let row = row.ok_or(Error::NotFound("policy"))?;
        let gone = Write { place: row.place, expected: row.epoch, body: None };
        let (writes, detail, ends) = changed(&self.name, scene, gone);
        Ok(Effect::answer(()).writing(writes).noting(detail).ending(ends))
    }
}

impl Act for ListPolicies {
    type Answer = Vec<(String, PolicyRecord)>;
    const OPERATION: Operation = Operation::ListPolicies;

    async fn act(&self, services: &Services, _: &Scene<'_>) -> Result<Effect<Self::Answer>, Error> {
        let rows = all(services).await?.into_iter();
        let policies = rows.map(|row| (row.place.id, PolicyRecord::clone(&row.record)));
        Ok(Effect::answer(policies.collect()))
    }
}
