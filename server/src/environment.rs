//! The one place that reads the clock and the operating system's randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use keyhaven_engine::port::environment::{Environment, NoRandomness};

/// The machine's clock and random generator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now_ms(&self) -> u64 {
        let since = now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn fill_seed(&self, seed: &mut [u8; 32]) -> Result<(), NoRandomness> {
        getrandom::fill(seed).map_err(|_| NoRandomness)
    }
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "the environment is where the clock is read")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
