//! Time and randomness.

use chacha20::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

/// The operating system gave no randomness. Nothing that needs a secret may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct NoRandomness;

/// The clock and the source of randomness.
pub trait Environment: Send + Sync {
    /// Milliseconds since the Unix epoch. May jump; nothing safe depends on its order.
    fn now_ms(&self) -> u64;

    /// Fills `seed` from the operating system's generator.
    ///
    /// # Errors
    /// [`NoRandomness`]; `seed` is then not to be used.
    fn fill_seed(&self, seed: &mut [u8; 32]) -> Result<(), NoRandomness>;
}

impl dyn Environment {
    /// Seconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now_ms() / 1000
    }

    /// A generator for one request, seeded afresh: never kept, so no copy of its state outlives the use.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn make_rng(&self) -> Result<ChaCha20Rng, NoRandomness> {
        let mut seed = Zeroizing::new([0; 32]);
        self.fill_seed(&mut seed)?;
        Ok(ChaCha20Rng::from_seed(*seed))
    }
}
