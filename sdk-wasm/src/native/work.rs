//! Messages as they pass through, under a lease.

use std::sync::{Arc, Mutex};

use keyhaven_shared::message::MessageError;

use super::{
    clock::ServerClock,
    error::{ArgumentFault, Error},
    held_key::HeldKey,
    lease::{Lease, Stop},
    lock::locked,
};

/// A coder at work on one message. When its lease ends, it is dropped at once, and its keys with it.
///
/// The lock is held for one step only, so that a lease that ends waits for a piece of work at most, and never
/// for the caller.
pub(crate) struct Work<C> {
    clock: Arc<ServerClock>,
    /// A backend's data key has none: its work goes on.
    lease: Option<Arc<Lease>>,
    /// `None` once it has finished, failed, or lost its lease.
    coder: Mutex<Option<C>>,
}

impl<C: Send + 'static> Work<C> {
    /// Puts a coder to work under the lease of its data key.
    ///
    /// # Errors
    /// [`Error::LeaseEnded`] when that has ended already.
    pub(crate) fn begin(
        clock: &Arc<ServerClock>,
        key: &HeldKey,
        coder: C,
    ) -> Result<Arc<Self>, Error> {
        let (clock, lease) = (Arc::clone(clock), key.lease().cloned());
        let work = Arc::new(Self { clock, lease, coder: Mutex::new(Some(coder)) });
        if let Some(lease) = &work.lease {
            lease.used_by(&work)?;
        }
        Ok(work)
    }

    /// One step. After one that failed there is no other.
    ///
    /// # Errors
    /// The step's; [`Error::LeaseEnded`]; [`ArgumentFault::Finished`] after an earlier failure.
    pub(crate) fn step<T>(
        &self,
        step: impl FnOnce(&mut C) -> Result<T, MessageError>,
    ) -> Result<T, Error> {
        self.check()?;
        let mut coder = locked(&self.coder);
        let done = coder.as_mut().map(step);
        // A coder that failed is in no state to go on, and its keys are of no more use.
        if !matches!(done, Some(Ok(_))) {
            *coder = None;
        }
        drop(coder);
        self.told(done)
    }

    /// The last step: the coder and its keys end with it.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub(crate) fn finish<T>(
        &self,
        step: impl FnOnce(C) -> Result<T, MessageError>,
    ) -> Result<T, Error> {
        self.check()?;
        let coder = locked(&self.coder).take();
        self.told(coder.map(step))
    }

    /// Says why there was no coder, if there was none.
    fn told<T>(&self, done: Option<Result<T, MessageError>>) -> Result<T, Error> {
        if let Some(done) = done {
            return Ok(done?);
        }
        // The lease ended just now, if no earlier step failed.
        self.check()?;
        Err(ArgumentFault::Finished.into())
    }

    /// Refuses when the lease has ended.
    fn check(&self) -> Result<(), Error> {
        self.lease.as_ref().map_or(Ok(()), |lease| lease.check(self.clock.now()))
    }
}

impl<C: Send> Stop for Work<C> {
    fn stop(&self) {
        drop(locked(&self.coder).take());
    }
}
