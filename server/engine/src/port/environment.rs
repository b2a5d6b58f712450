//! Time and randomness.
//!
//! They come in as a port so that tests can set the clock, repeat a run, and make randomness fail.

use chacha20::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

/// The operating system gave no randomness. Nothing that needs a secret may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct NoRandomness;

/// The clock and the source of randomness. Both are asked from many threads at once, and must not
/// block for long.
pub trait Environment: Send + Sync {
    /// Milliseconds since the Unix epoch, UTC. May jump either way; no promise rests on its order,
    /// but how long tokens, tickets and proofs hold is measured by it.
    fn now_ms(&self) -> u64;

    /// Fills `seed` from the operating system's generator. All 32 bytes, fit to seed a generator of
    /// keys.
    ///
    /// # Errors
    /// [`NoRandomness`]; `seed` is then not to be used.
    fn fill_seed(&self, seed: &mut [u8; 32]) -> Result<(), NoRandomness>;
}

impl dyn Environment {
    /// Seconds since the Unix epoch. Rounded down.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now_ms() / 1000
    }

    /// A generator for one request, seeded afresh: never kept, so no copy of its state outlives the
    /// use. ChaCha20 under a fresh 256-bit key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn make_rng(&self) -> Result<ChaCha20Rng, NoRandomness> {
        // The generator has a copy of it in its state, for as long as the request lasts.
        let mut seed = Zeroizing::new([0; 32]);
        self.fill_seed(&mut seed)?;
        Ok(ChaCha20Rng::from_seed(*seed))
    }
}
