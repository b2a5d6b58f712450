//! The server's time, as far as it is proven: no wall clock set back can extend a lease.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    lock::locked,
    transport::{Moment, Runtime},
};

/// Keeps the latest server time that was verified, and counts on from there.
pub(crate) struct ServerClock {
    runtime: Arc<dyn Runtime>,
    anchor: Mutex<Option<Anchor>>,
}

#[derive(Clone, Copy)]
struct Anchor {
    /// Since the Unix epoch.
    server: Duration,
    at: Moment,
}

impl ServerClock {
    /// Knows nothing of the server's time yet.
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime, anchor: Mutex::new(None) }
    }

    /// Now, by this machine's clocks.
    pub(crate) fn moment(&self) -> Moment {
        self.runtime.moment()
    }

    /// Learns from a verified answer that the server's time (since the Unix epoch) was `server` at `at` or
    /// later: give the moment at which the request was sent, so that the estimate errs towards the future.
    pub(crate) fn observe(&self, server: Duration, at: Moment) {
        let now = self.moment();
        let mut anchor = locked(&self.anchor);
        let heard = Anchor { server, at };
        // Only forwards: an answer that was held back on its way would turn the clock back.
        if anchor.is_none_or(|known| known.now(now) < heard.now(now)) {
            *anchor = Some(heard);
        }
    }

    /// The time since the Unix epoch, to the second: proven, else this machine's.
    pub(crate) fn seconds(&self) -> u64 {
        self.now().as_secs()
    }

    /// As [`Self::seconds`], in full.
    pub(crate) fn now(&self) -> Duration {
        let now = self.moment();
        locked(&self.anchor).map_or_else(|| now.unix(), |anchor| anchor.now(now))
    }
}

impl Anchor {
    /// The server's time at a moment.
    fn now(self, moment: Moment) -> Duration {
        self.server.saturating_add(moment.since(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::testing::{HandClock, START};

    fn clock() -> (ServerClock, HandClock) {
        let hands = HandClock::new();
        (ServerClock::new(Arc::new(hands.clone())), hands)
    }

    #[test]
    fn before_anything_is_proven_the_machines_clock_is_taken() {
        let (clock, hands) = clock();
        assert_eq!(clock.seconds(), START);
        hands.set_wall_back(Duration::from_secs(100));
        assert_eq!(clock.seconds(), START - 100);
    }

    #[test]
    fn a_wall_clock_set_back_does_not_turn_proven_time_back() {
        let (clock, hands) = clock();
        clock.observe(Duration::from_secs(START + 50), clock.moment());
        hands.advance(Duration::from_secs(7));
        hands.set_wall_back(Duration::from_secs(10_000));
        assert_eq!(clock.seconds(), START + 57);
    }

    #[test]
    fn a_monotonic_clock_that_stood_still_is_made_up_for_by_the_wall_clock() {
        let (clock, hands) = clock();
        clock.observe(Duration::from_secs(START), clock.moment());
        hands.sleep_machine(Duration::from_secs(8 * 3600));
        assert_eq!(clock.seconds(), START + 8 * 3600);
    }

    #[test]
    fn an_older_word_never_turns_it_back() {
        let (clock, _) = clock();
        let moment = clock.moment();
        clock.observe(Duration::from_secs(START + 50), moment);
        clock.observe(Duration::from_secs(START + 10), moment);
        assert_eq!(clock.seconds(), START + 50);
    }

    #[test]
    fn an_answer_that_took_long_counts_from_when_it_was_asked_for() {
        let (clock, hands) = clock();
        let sent = clock.moment();
        hands.advance(Duration::from_secs(20));
        clock.observe(Duration::from_secs(START), sent);
        assert_eq!(clock.seconds(), START + 20);
    }
}
