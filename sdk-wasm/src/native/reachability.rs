//! Whether the server answers. Leases with an offline grace go on without it, but only then.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{error::Error, lock::locked};

/// What the last request to a server taught.
#[derive(Default)]
pub(crate) struct Reachability(Mutex<State>);

#[derive(Default)]
struct State {
    /// Requests in a row that found no server.
    failures: u32,
    rests_until: Option<Instant>,
}

const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

impl Reachability {
    /// Learns from a request's outcome. Whatever the server says, it answers; what is not its own word says
    /// that something else stands in its place.
    pub(crate) fn observe<T>(&self, outcome: &Result<T, Error>, now: Instant) {
        let answered = match outcome {
            Ok(_) => true,
            Err(Error::Refused(refusal)) => refusal.code != "http_error",
            Err(_) => false,
        };
        let mut state = locked(&self.0);
        if answered {
            *state = State::default();
        } else {
            let rest = FIRST_REST.saturating_mul(1 << state.failures.min(5)).min(LONGEST_REST);
            state.failures = state.failures.saturating_add(1);
            state.rests_until = now.checked_add(rest);
        }
    }

    /// Whether the last request found no server.
    pub(crate) fn is_offline(&self) -> bool {
        locked(&self.0).failures > 0
    }

    /// Whether it was tried in vain a moment ago, so that asking again at once is of no use.
    pub(crate) fn is_resting(&self, now: Instant) -> bool {
        locked(&self.0).rests_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::error::{Refusal, TransportError};

    #[test]
    fn after_each_failure_it_rests_longer_and_after_an_answer_not_at_all() {
        let (server, now) = (Reachability::default(), Instant::now());
        let failed: Result<(), Error> = Err(Error::Network(TransportError::new("away")));
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            server.observe(&failed, now);
            let rest = Duration::from_secs(seconds);
            assert!(server.is_resting(now + rest - Duration::from_millis(1)), "{seconds}");
            assert!(server.is_offline() && !server.is_resting(now + rest), "{seconds}");
        }
        server.observe(&Ok(()), now);
        assert!(!server.is_offline() && !server.is_resting(now));
    }

    #[test]
    fn a_refusal_is_an_answer_and_a_proxys_page_is_none() {
        let (server, now) = (Reachability::default(), Instant::now());
        for (code, offline) in [("access_denied", false), ("http_error", true)] {
            let refusal = Refusal {
                status: 503,
                code: code.into(),
                detail: String::new(),
                request_id: String::new(),
            };
            server.observe::<()>(&Err(Error::Refused(refusal.into())), now);
            assert_eq!(server.is_offline(), offline, "{code}");
        }
    }
}
