//! A key's life: stopping it, and letting it go on.
//!
//! The states and what may follow what are one table in `keyhaven_shared::key_state`; here is only
//! who asks for which event. NIST SP 800-57 part 1 §7 is behind it: disabled is its suspended state
//! (§7.3), but stricter, for nothing is decrypted in it either.

use keyhaven_shared::{key_state::KeyEvent, lease_event::LeaseEnd, operation::Operation};

use crate::{
    act::{Act, Effect, Scene, TargetName},
    directory::put,
    error::Error,
    name::KeyName,
    record::Key,
    services::Services,
};

/// Lets a disabled key be used again. Of an enabled key it changes nothing. Leases that ended are
/// not brought back: devices ask anew.
#[derive(Debug)]
pub struct EnableKey {
    /// Which.
    pub key: KeyName,
}

/// Stops every use of a key, everywhere, before it answers. Uses that are under way are not
/// released: their reads hold the key's old epoch. Devices are told; one that is not connected goes
/// on until its lease and its offline grace end.
#[derive(Debug)]
pub struct DisableKey {
    /// Which.
    pub key: KeyName,
}

/// Stops every use and sets the day on which the key is destroyed. Of a key that waits already it
/// moves the day, earlier too.
#[derive(Debug)]
pub struct ScheduleKeyDestruction {
    /// Which.
    pub key: KeyName,
    /// Days until then, 7 to 30. Days of 24 hours, from now. Not looked at when `now` is set.
    pub waiting_days: u32,
    /// Due at once; in dev mode only. Destroying is still a step of its own, with a right of its
    /// own.
    pub now: bool,
}

/// Takes a key back from scheduled destruction; it is then disabled. Not enabled: whoever takes it
/// back has not said that it may be used.
#[derive(Debug)]
pub struct CancelKeyDestruction {
    /// Which.
    pub key: KeyName,
}

/// Applies an event to the scene's key. Whatever stops the key ends its leases.
fn apply(scene: &Scene<'_>, event: KeyEvent) -> Result<Effect<Key>, Error> {
    let (_, key) = scene.resource.key()?;
    let state = key.record.state.apply(event).map_err(|error| Error::WrongState(error.state))?;
    // The commit of this row is the whole effect: it moves the epoch that every use rests on.
    let record = key.record.record_in(state);
    let write = put(key.place.clone(), key.epoch, &record)?;
    // What a lease stands for is asked of the same table as everything else, so that a new state
    // cannot be forgotten here.
    let stops = !state.permits(Operation::UnsealDataKey);
    let ends = if stops { vec![LeaseEnd::KeyStopped(key.record.id)] } else { vec![] };
    Ok(Effect::answer(Key::parse(record)?).writing(vec![write]).ending(ends))
}

impl Act for EnableKey {
    type Answer = Key;
    const OPERATION: Operation = Operation::EnableKey;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, _: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        apply(scene, KeyEvent::Enable)
    }
}

impl Act for DisableKey {
    type Answer = Key;
    const OPERATION: Operation = Operation::DisableKey;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, _: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        apply(scene, KeyEvent::Disable)
    }
}

/// Seconds in a day. Calendars, time zones and leap seconds have no part in it.
const DAY: u64 = 24 * 3600;

impl Act for ScheduleKeyDestruction {
    type Answer = Key;
    const OPERATION: Operation = Operation::ScheduleKeyDestruction;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        // The waiting time is what is left between a stolen right and the loss of data, so no
        // policy can waive it.
        if self.now && !services.dev {
            return Err(Error::InvalidRequest(
                "destroying at once works in dev mode only: give 7 to 30 days to wait".to_owned(),
            ));
        }
        // Time to notice, and to take it back; not so much that it is forgotten.
        if !self.now && !(7..=30).contains(&self.waiting_days) {
            return Err(Error::InvalidRequest("give 7 to 30 days to wait".to_owned()));
        }
        let wait = if self.now { 0 } else { u64::from(self.waiting_days) * DAY };
        apply(scene, KeyEvent::Schedule { at: scene.permit.now().saturating_add(wait) })
    }
}

impl Act for CancelKeyDestruction {
    type Answer = Key;
    const OPERATION: Operation = Operation::CancelKeyDestruction;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, _: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        apply(scene, KeyEvent::Cancel)
    }
}
