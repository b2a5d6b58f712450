//! The right to use one data key until a time.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use keyhaven_shared::{delivery, ids::KeyId};

use super::{
    error::{Error, LeaseEnd},
    lock::locked,
};

/// Something that holds key material, and gives it up when told.
pub(crate) trait Stop: Send + Sync {
    fn stop(&self);
}

/// The right to use one data key of a device until a time, in the server's own time.
pub(crate) struct Lease {
    key: KeyId,
    issued_at: Duration,
    ends_at: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: Option<LeaseEnd>,
    users: Vec<Weak<dyn Stop>>,
}

impl Lease {
    pub(crate) fn new(granted: &delivery::Lease) -> Self {
        Self {
            key: granted.key,
            issued_at: Duration::from_secs(granted.issued_at),
            ends_at: Duration::from_secs(granted.not_after),
            state: Mutex::default(),
        }
    }

    pub(crate) const fn key(&self) -> KeyId {
        self.key
    }

    pub(crate) const fn issued_at(&self) -> Duration {
        self.issued_at
    }

    pub(crate) const fn ends_at(&self) -> Duration {
        self.ends_at
    }

    /// Refuses when it has ended, also when no timer has noticed yet.
    pub(crate) fn check(&self, now: Duration) -> Result<(), Error> {
        if now >= self.ends_at {
            self.end(LeaseEnd::Expired);
        }
        let ended = locked(&self.state).ended;
        ended.map_or(Ok(()), |reason| Err(self.error(reason)))
    }

    /// Registers who must stop when it ends.
    pub(crate) fn used_by(&self, user: &Arc<impl Stop + 'static>) -> Result<(), Error> {
        let user = Arc::downgrade(user);
        let mut state = locked(&self.state);
        if let Some(reason) = state.ended {
            return Err(self.error(reason));
        }
        state.users.retain(|user| user.strong_count() > 0);
        state.users.push(user);
        Ok(())
    }

    /// Ends it: whoever uses it gives its key up before this returns. The first reason counts.
    pub(crate) fn end(&self, reason: LeaseEnd) {
        let mut state = locked(&self.state);
        state.ended.get_or_insert(reason);
        let users = std::mem::take(&mut state.users);
        drop(state);
        for user in users.iter().filter_map(Weak::upgrade) {
            user.stop();
        }
    }

    const fn error(&self, reason: LeaseEnd) -> Error {
        Error::LeaseEnded { key: self.key, reason }
    }
}
