//! All leases of a client, and their end.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use keyhaven_shared::ids::KeyId;
use rand_core::Rng;
use tokio::sync::Notify;

use super::{
    clock::ServerClock,
    error::{Error, LeaseEnd},
    lease::{Lease, Renewal, Times},
    lock::locked,
    rotations::Rotations,
    transport::BoxFuture,
};
use crate::entropy::make_rng;

/// The leases of data keys that are held or at work.
pub(crate) struct Leases {
    clock: Arc<ServerClock>,
    rotations: Rotations,
    /// Tells who keeps watch that there is something new to see to.
    changed: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Weak: a lease lasts as long as its data key is held, or at work.
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
        let rotations = Rotations::default();
        Self { clock, rotations, changed: Arc::default(), state: Mutex::default() }
    }

    /// Which keys were rotated.
    pub(crate) const fn rotations(&self) -> &Rotations {
        &self.rotations
    }

    /// Tells of leases that began.
    pub(crate) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
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
            self.changed.notify_one();
        }
        drop(state);
        if let Some(reason) = ended {
            lease.end(reason);
        }
    }

    /// From now on a lease is renewed while it is in use.
    pub(crate) fn keep_up(&self, lease: &Lease, renewal: impl Renewal + 'static) {
        lease.keep_up(Box::new(renewal), renewal_of(lease.times()));
        self.changed.notify_one();
    }

    /// Begins the renewals that are due. Each is to be run, and tells its lease what it brought.
    pub(crate) fn renewals(&self) -> Vec<BoxFuture<'static, ()>> {
        let (now, running) = (self.clock.now(), self.living());
        let begun = running.into_iter().filter_map(|lease| {
            let renewal = lease.begin_renewal(now)?;
            Some(renewed(lease, renewal, Arc::clone(&self.clock), self.changed()))
        });
        begun.collect()
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

    /// Ends the leases whose time is over.
    pub(crate) fn expire(&self) {
        let now = self.clock.now();
        self.end_where(|lease| lease.is_over(now), LeaseEnd::Expired);
    }

    /// How long it may take until one ends, or is to be renewed.
    pub(crate) fn rest(&self) -> Option<Duration> {
        let now = self.clock.now();
        let due = self.living().into_iter().map(|lease| lease.due_at(now));
        due.min().map(|next| next.saturating_sub(now))
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

    /// The leases that are held or at work.
    fn living(&self) -> Vec<Arc<Lease>> {
        locked(&self.state).running.iter().filter_map(Weak::upgrade).collect()
    }

    /// Ends those that a condition holds for.
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
        // Without the lock: whoever gives its key up may drop the last hold of another lease.
        for lease in ending {
            lease.end(reason);
        }
    }
}

impl State {
    /// Why a lease that just arrived has ended already, if it has.
    fn end_of(&self, lease: &Lease, Heard(before): Heard) -> Option<LeaseEnd> {
        if self.closed {
            return Some(LeaseEnd::Closed);
        }
        let since = usize::try_from(self.count.saturating_sub(before)).unwrap_or(usize::MAX);
        // More was said meanwhile than is remembered: any of it may have been about this lease.
        if since > self.heard.len() {
            return Some(LeaseEnd::EventsMissed);
        }
        let mut later = self.heard.iter().rev().take(since);
        later.find(|ending| ending.ends(lease)).map(|ending| ending.reason)
    }
}

impl Ending {
    /// Whether this is about that lease. Times are in whole seconds: within the same one, it is.
    fn ends(&self, lease: &Lease) -> bool {
        self.key.is_none_or(|key| key == lease.key()) && lease.times().issued_at <= self.at
    }
}

/// One renewal. The lease may end meanwhile: then nothing brings it back.
fn renewed(
    lease: Arc<Lease>,
    renewal: BoxFuture<'static, Result<Times, Error>>,
    clock: Arc<ServerClock>,
    changed: Arc<Notify>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let outcome = renewal.await;
        lease.renewed(outcome, (clock.now(), renewal_of));
        changed.notify_one();
    })
}

/// When a lease is renewed: at 50 to 70 % of its time, not the same in every client.
fn renewal_of(Times { issued_at, ends_at, .. }: Times) -> Duration {
    let all = ends_at.saturating_sub(issued_at);
    let share = make_rng().map_or(0, |mut rng| rng.next_u32() % 1000);
    issued_at.saturating_add(all / 2).saturating_add(all * share / 5000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_of_many_clients_do_not_come_at_once() {
        let seconds = Duration::from_secs;
        let times = Times {
            issued_at: seconds(1000),
            ends_at: seconds(1100),
            offline_ends_at: seconds(1100),
        };
        let all: Vec<_> = (0..200).map(|_| renewal_of(times)).collect();
        assert!(all.iter().all(|at| *at >= seconds(1050) && *at < seconds(1070)));
        let (first, last) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(*last - *first > seconds(10), "{first:?} {last:?}");
    }
}
