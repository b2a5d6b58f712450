//! The right to use one data key until a time.

use std::{
    sync::{Arc, Mutex, OnceLock, Weak},
    time::Duration,
};

use keyhaven_shared::{delivery, ids::KeyId};

use super::{
    error::{Error, LeaseEnd},
    lock::locked,
    reachability::Reachability,
    transport::BoxFuture,
};

/// Something that holds key material, and gives it up when told.
pub(crate) trait Stop: Send + Sync {
    fn stop(&self);
}

/// How a lease is renewed while it is in use.
pub(crate) trait Renewal: Send + Sync {
    /// Whether anybody is left to renew it.
    fn is_possible(&self) -> bool;
    /// Asks the server anew; gives the times of what it granted.
    fn renew(&self) -> BoxFuture<'static, Result<Times, Error>>;
}

/// When a lease was given, and when it ends: in the server's own time, since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) issued_at: Duration,
    pub(crate) ends_at: Duration,
    /// When it ends while the server cannot be reached; never before `ends_at`.
    pub(crate) offline_ends_at: Duration,
}

/// The right to use one data key of a device until a time. A renewal moves that.
pub(crate) struct Lease {
    key: KeyId,
    /// Whether its server answers: only without it the grace counts.
    server: Arc<Reachability>,
    /// Set once the data key is held: a lease that ended on its way is not worth one.
    renewal: OnceLock<Box<dyn Renewal>>,
    state: Mutex<State>,
}

struct State {
    times: Times,
    ended: Option<LeaseEnd>,
    /// Those who hold its data key, and those at work with it: both must stop when it ends.
    holders: Vec<Weak<dyn Stop>>,
    workers: Vec<Weak<dyn Stop>>,
    /// Whether work was begun under it since it was given, or renewed.
    used: bool,
    /// When it is to be renewed next, in the server's time.
    renew_at: Option<Duration>,
    renewing: bool,
    /// Whether the server refused to renew it, so that no offline grace is left.
    refused: bool,
}

impl Times {
    /// The times that a delivery names.
    pub(crate) const fn of(granted: &delivery::Lease) -> Self {
        let issued_at = Duration::from_secs(granted.issued_at);
        let ends_at = Duration::from_secs(granted.not_after);
        let grace = Duration::from_secs(granted.offline_grace as u64);
        Self { issued_at, ends_at, offline_ends_at: ends_at.saturating_add(grace) }
    }
}

impl Lease {
    pub(crate) fn new(granted: &delivery::Lease, server: Arc<Reachability>) -> Self {
        let state = State {
            times: Times::of(granted),
            ended: None,
            holders: Vec::new(),
            workers: Vec::new(),
            used: false,
            renew_at: None,
            renewing: false,
            refused: false,
        };
        Self { key: granted.key, server, renewal: OnceLock::new(), state: Mutex::new(state) }
    }

    /// The key that its data key was made under.
    pub(crate) const fn key(&self) -> KeyId {
        self.key
    }

    /// When it was given, or renewed, and when it ends.
    pub(crate) fn times(&self) -> Times {
        locked(&self.state).times
    }

    /// From now on it can be renewed. The first way counts.
    pub(crate) fn keep_up(&self, renewal: Box<dyn Renewal>, at: Duration) {
        if self.renewal.set(renewal).is_ok() {
            locked(&self.state).renew_at = Some(at);
        }
    }

    /// Whether new work may begin under it: before its end, or in its grace when the server was just tried in
    /// vain.
    pub(crate) fn is_usable(&self, now: Duration, resting: bool) -> bool {
        let State { times, ended, refused, .. } = &*locked(&self.state);
        let in_grace = resting && !refused && now < times.offline_ends_at;
        ended.is_none() && (now < times.ends_at || in_grace)
    }

    /// Refuses when it has ended, also when no timer has noticed yet.
    pub(crate) fn check(&self, now: Duration) -> Result<(), Error> {
        if self.is_over(now) {
            self.end(LeaseEnd::Expired);
        }
        let ended = locked(&self.state).ended;
        ended.map_or(Ok(()), |reason| Err(self.error(reason)))
    }

    /// Whether its time is over. In its grace one that is at work is renewed before that ends it, when the
    /// server is back.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        let state = locked(&self.state);
        if state.ended.is_some() || now < state.times.ends_at {
            return state.ended.is_some();
        }
        // Whoever cuts the network can use up the grace, and gets nothing beyond it.
        let gone = state.refused || now >= state.times.offline_ends_at;
        gone || !(self.server.is_offline() || state.renewing || self.is_kept_up(&state))
    }

    /// Registers who holds its data key, and must stop when it ends.
    pub(crate) fn held_by(&self, holder: &Arc<impl Stop + 'static>) -> Result<(), Error> {
        let holder = Arc::downgrade(holder);
        self.register(|state| state.holders.push(holder))
    }

    /// Registers who is at work under it, and must stop when it ends.
    pub(crate) fn used_by(&self, worker: &Arc<impl Stop + 'static>) -> Result<(), Error> {
        let worker = Arc::downgrade(worker);
        self.register(|state| {
            state.workers.retain(|worker| worker.strong_count() > 0);
            state.workers.push(worker);
        })
    }

    /// Takes down that it was used, so that it is worth renewing.
    pub(crate) fn note_use(&self) {
        locked(&self.state).used = true;
    }

    /// Begins its renewal, if that is due: `None` if not, or if nobody needs it; then it is looked at again
    /// after half of its rest.
    pub(crate) fn begin_renewal(
        &self,
        now: Duration,
    ) -> Option<BoxFuture<'static, Result<Times, Error>>> {
        let mut state = locked(&self.state);
        let due = state.renew_at.is_some_and(|at| at <= now);
        if !due || state.renewing || state.refused || state.ended.is_some() {
            return None;
        }
        if !self.is_kept_up(&state) {
            state.postpone(now);
            return None;
        }
        state.renewing = true;
        drop(state);
        self.renewal.get().map(|renewal| renewal.renew())
    }

    /// Takes over what its renewal brought. `next` is when it is renewed again, if this one did it.
    pub(crate) fn renewed(
        &self,
        outcome: Result<Times, Error>,
        (now, next): (Duration, impl FnOnce(Times) -> Duration),
    ) {
        let mut state = locked(&self.state);
        state.renewing = false;
        match outcome {
            // An end meanwhile stays one: `ended` is not looked at here, and nothing takes it back.
            Ok(times) if times.ends_at > state.times.ends_at => {
                (state.times, state.used) = (times, false);
                state.renew_at = Some(next(times));
            }
            // What was granted does not reach further: this one cannot be kept up.
            Ok(_) => state.refused = true,
            Err(error) if refuses(&error) => state.refused = true,
            Err(_) => state.postpone(now),
        }
    }

    /// When somebody must look at it again.
    pub(crate) fn due_at(&self, now: Duration) -> Duration {
        let state = locked(&self.state);
        // In its grace it ends as soon as the server is back.
        let ends = if now < state.times.ends_at { state.times.ends_at } else { now + GRACE_STEP };
        let asks = !state.renewing && !state.refused;
        state.renew_at.filter(|_| asks).map_or(ends, |renew| renew.min(ends))
    }

    /// Ends it: whoever uses it gives its key up before this returns. The first reason counts.
    pub(crate) fn end(&self, reason: LeaseEnd) {
        let mut state = locked(&self.state);
        state.ended.get_or_insert(reason);
        let users =
            [std::mem::take(&mut state.holders), std::mem::take(&mut state.workers)].concat();
        drop(state);
        for user in users.iter().filter_map(Weak::upgrade) {
            user.stop();
        }
    }

    /// Adds one who must stop, unless it is too late.
    fn register(&self, add: impl FnOnce(&mut State)) -> Result<(), Error> {
        let mut state = locked(&self.state);
        if let Some(reason) = state.ended {
            return Err(self.error(reason));
        }
        add(&mut state);
        Ok(())
    }

    /// Whether it is in use, and somebody renews it.
    fn is_kept_up(&self, state: &State) -> bool {
        let in_use = state.used || state.workers.iter().any(|worker| worker.strong_count() > 0);
        in_use && self.renewal.get().is_some_and(|renewal| renewal.is_possible())
    }

    const fn error(&self, reason: LeaseEnd) -> Error {
        Error::LeaseEnded { key: self.key, reason }
    }
}

/// How often one is looked at whose time is over, but not its grace.
const GRACE_STEP: Duration = Duration::from_secs(1);
/// Between attempts to renew.
const SHORTEST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

impl State {
    /// Looks at the renewal again later: ever more often towards the end.
    fn postpone(&mut self, now: Duration) {
        let rest = self.times.ends_at.saturating_sub(now) / 2;
        self.renew_at = Some(now + rest.clamp(SHORTEST_REST, LONGEST_REST));
    }
}

/// Whether the server said no, so that it need not be asked again.
fn refuses(error: &Error) -> bool {
    if let Error::Tickets(said) = error {
        // A source of tickets in this program hands on what the server said to it.
        return said.get_ref().downcast_ref().is_some_and(refuses);
    }
    matches!(error, Error::Refused(refusal) if refusal.status < 500 && refusal.status != 429)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::error::{Refusal, SourceError};

    #[test]
    fn a_refusal_is_final_whoever_hands_it_on_and_a_server_in_trouble_is_asked_again() {
        let refused = |status| {
            let text = String::new;
            let (code, detail, request_id) = (text(), text(), text());
            Error::Refused(Refusal { status, code, detail, request_id }.into())
        };
        for (status, is_final) in
            [(403, true), (409, true), (429, false), (500, false), (503, false)]
        {
            assert_eq!(refuses(&refused(status)), is_final, "{status}");
            let handed_on = Error::Tickets(SourceError::new(refused(status)));
            assert_eq!(refuses(&handed_on), is_final, "{status}, by a source of tickets");
        }
        assert!(!refuses(&Error::Network(SourceError::new("away"))));
        assert!(!refuses(&Error::Tickets(SourceError::new("the backend is away"))));
    }
}
