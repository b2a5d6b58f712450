//! A clock that stands still until it is set.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use crate::native::{
    lock::locked,
    transport::{BoxFuture, Moment, Runtime},
};

/// What the wall clock shows at first (Unix time).
pub(crate) const START: u64 = 1_800_000_000;

/// Both clocks of a machine. As a runtime, its sleep moves them as tokio's own (paused) clock goes.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<Mutex<Hands>>);

struct Hands {
    base: Instant,
    monotonic: Duration,
    wall: Duration,
    /// What nobody can change.
    truth: Duration,
    tokio: Option<tokio::time::Instant>,
}

impl HandClock {
    /// Stands still.
    pub(crate) fn new() -> Self {
        let (monotonic, wall) = (Duration::ZERO, Duration::from_secs(START));
        Self(Arc::new(Mutex::new(Hands {
            base: Instant::now(),
            monotonic,
            wall,
            truth: wall,
            tokio: None,
        })))
    }

    /// Goes with tokio's clock, which stands still while anything is to be done.
    pub(crate) fn ticking() -> Self {
        let clock = Self::new();
        locked(&clock.0).tokio = Some(tokio::time::Instant::now());
        clock
    }

    /// Time goes by.
    pub(crate) fn advance(&self, time: Duration) {
        let mut hands = locked(&self.0);
        hands.monotonic += time;
        hands.wall += time;
        hands.truth += time;
    }

    /// The machine sleeps, and its monotonic clock with it.
    pub(crate) fn sleep_machine(&self, time: Duration) {
        let mut hands = locked(&self.0);
        hands.wall += time;
        hands.truth += time;
    }

    /// Somebody sets the wall clock back.
    pub(crate) fn set_wall_back(&self, time: Duration) {
        locked(&self.0).wall -= time;
    }

    /// The time in the rest of the world (Unix time).
    pub(crate) fn true_time(&self) -> u64 {
        let hands = locked(&self.0);
        let gone = hands.tokio.map_or(Duration::ZERO, |began| began.elapsed());
        (hands.truth + gone).as_secs()
    }
}

impl Runtime for HandClock {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn moment(&self) -> Moment {
        let hands = locked(&self.0);
        let gone = hands.tokio.map_or(Duration::ZERO, |began| began.elapsed());
        Moment {
            monotonic: hands.base + hands.monotonic + gone,
            wall: SystemTime::UNIX_EPOCH + hands.wall + gone,
        }
    }
}
