//! The one place that reads the clock and the operating system's randomness.
//!
//! Everything else gets time and randomness handed in, so that tests can say what they are. A lint
//! forbids reading the clock anywhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use keyhaven_engine::port::environment::{Environment, NoRandomness};

/// The machine's clock and random generator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now_ms(&self) -> u64 {
        // A clock before 1970 reads as 1970; on such a machine everything that has an end has not
        // ended.
        let since = now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn fill_seed(&self, seed: &mut [u8; 32]) -> Result<(), NoRandomness> {
        // It may block early in the machine's life, until the generator is seeded.
        getrandom::fill(seed).map_err(|_| NoRandomness)
    }
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "the environment is where the clock is read")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
