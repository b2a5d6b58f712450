//! Randomness: the platform's generator (in a browser `crypto.getRandomValues`) and nothing else. When
//! it fails, so do we.

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use zeroize::Zeroizing;

/// The platform's generator failed, or gave zeros. There is no other source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRandomness;

/// A generator seeded anew by the platform. One is made for each task and dropped after it.
pub(crate) fn make_rng() -> Result<impl CryptoRng, NoRandomness> {
    seeded(|seed| getrandom::fill(seed).map_err(|_| NoRandomness))
}

/// A platform whose generator is broken in a way that shows, shows it in the seed.
fn seeded(
    fill: impl FnOnce(&mut [u8]) -> Result<(), NoRandomness>,
) -> Result<ChaCha20Rng, NoRandomness> {
    let mut seed = Zeroizing::new([0; 32]);
    fill(seed.as_mut_slice())?;
    let repeats = seed.iter().all(|byte| Some(byte) == seed.first());
    if repeats { Err(NoRandomness) } else { Ok(ChaCha20Rng::from_seed(*seed)) }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;

    #[test]
    fn a_generator_that_fails_or_repeats_one_byte_is_a_hard_error() {
        let failing = seeded(|_| Err(NoRandomness)).err();
        let untouched = seeded(|_| Ok(())).err();
        let stuck = seeded(|seed| {
            seed.fill(0xff);
            Ok(())
        });
        assert_eq!(failing, Some(NoRandomness));
        assert_eq!(untouched, Some(NoRandomness));
        assert_eq!(stuck.err(), Some(NoRandomness));
    }

    #[test]
    fn two_draws_differ() {
        let draw = || make_rng().unwrap().next_u64();
        assert_ne!(draw(), draw());
    }
}
