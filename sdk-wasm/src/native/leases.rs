//! All leases of a client, and their end.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use keyhaven_shared::ids::KeyId;

use super::{clock::ServerClock, error::LeaseEnd, lease::Lease, lock::locked};

/// The leases of data keys that are held or at work.
pub(crate) struct Leases {
    clock: Arc<ServerClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Vec<Weak<Lease>>,
    closed: bool,
    /// What the server said lately, for leases that were on their way then.
    heard: VecDeque<Ending>,
    /// How much it said in all.
    count: u64,
}

/// The server's word that leases end which it gave up to a time (its own, since the Unix epoch).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    /// Those of one key; without, all.
    pub(crate) key: Option<KeyId>,
    pub(crate) reason: LeaseEnd,
    pub(crate) at: Duration,
}

/// How much of the server's word had been heard when a request was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard(u64);

/// More than come while one answer is on its way; who missed one is told that all ended.
const REMEMBERED: usize = 256;

impl Leases {
    pub(crate) fn new(clock: Arc<ServerClock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// To be asked before a request is sent whose answer brings a lease.
    pub(crate) fn heard(&self) -> Heard {
        Heard(locked(&self.state).count)
    }

    /// Takes up a lease. It ends at once after [`Self::close`], and if the server's word that it ends came
    /// before it came itself.
    pub(crate) fn start(&self, lease: &Arc<Lease>, before: Heard) {
        let mut state = locked(&self.state);
        let ended = state.end_of(lease, before);
        if ended.is_none() {
            state.running.retain(|lease| lease.strong_count() > 0);
            state.running.push(Arc::downgrade(lease));
        }
        drop(state);
        if let Some(reason) = ended {
            lease.end(reason);
        }
    }

    /// Ends what the server says has ended. A lease that it gave later was given in spite of that.
    pub(crate) fn hear(&self, ending: Ending) {
        let mut state = locked(&self.state);
        state.count += 1;
        state.heard.push_back(ending);
        if state.heard.len() > REMEMBERED {
            state.heard.pop_front();
        }
        drop(state);
        self.end_where(|lease| ending.ends(lease), ending.reason);
    }

    /// Ends the leases whose time is over; says how long the next one still has.
    pub(crate) fn expire(&self) -> Option<Duration> {
        let now = self.clock.now();
        self.end_where(|lease| lease.ends_at() <= now, LeaseEnd::Expired);
        let state = locked(&self.state);
        let ends = state.running.iter().filter_map(Weak::upgrade).map(|lease| lease.ends_at());
        ends.min().map(|next| next.saturating_sub(now))
    }

    /// Ends all leases, and those that would still begin.
    pub(crate) fn close(&self) {
        locked(&self.state).closed = true;
        self.end_where(|_| true, LeaseEnd::Closed);
    }

    /// The leases that have not ended.
    pub(crate) fn running(&self) -> usize {
        let state = locked(&self.state);
        state.running.iter().filter(|lease| lease.strong_count() > 0).count()
    }

    fn end_where(&self, condition: impl Fn(&Lease) -> bool, reason: LeaseEnd) {
        let mut ending = Vec::new();
        locked(&self.state).running.retain(|lease| {
            let Some(lease) = lease.upgrade() else { return false };
            let stays = !condition(&lease);
            if !stays {
                ending.push(lease);
            }
            stays
        });
        for lease in ending {
            lease.end(reason);
        }
    }
}

impl State {
    fn end_of(&self, lease: &Lease, Heard(before): Heard) -> Option<LeaseEnd> {
        if self.closed {
            return Some(LeaseEnd::Closed);
        }
        let since = usize::try_from(self.count.saturating_sub(before)).unwrap_or(usize::MAX);
        if since > self.heard.len() {
            return Some(LeaseEnd::PolicyChanged);
        }
        let mut later = self.heard.iter().rev().take(since);
        later.find(|ending| ending.ends(lease)).map(|ending| ending.reason)
    }
}

impl Ending {
    fn ends(&self, lease: &Lease) -> bool {
        self.key.is_none_or(|key| key == lease.key()) && lease.issued_at() <= self.at
    }
}
