//! Randomness: `crypto.getRandomValues` and nothing else. When it fails, so do we.

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

use crate::error::Fault;

/// The most random bytes that JavaScript may ask for at once; nonces need 32.
const MAX_BYTES: usize = 1024;

/// Random bytes for what is public: nonces, and names of requests.
///
/// # Errors
/// [`Fault::Randomness`] when the platform has none, [`Fault::Argument`] for more than 1 KiB.
#[wasm_bindgen(js_name = makeRandom)]
pub fn make_random(length: usize) -> Result<Vec<u8>, Fault> {
    if length > MAX_BYTES {
        return Err(Fault::Argument);
    }
    let mut bytes = vec![0; length];
    make_rng()?.fill_bytes(&mut bytes);
    Ok(bytes)
}

/// A generator seeded anew by the platform. One is made for each task and dropped after it.
pub(crate) fn make_rng() -> Result<impl CryptoRng, Fault> {
    seeded(|seed| getrandom::fill(seed).map_err(|_| Fault::Randomness))
}

/// A platform whose generator is broken in a way that shows, shows it in the seed.
fn seeded(fill: impl FnOnce(&mut [u8]) -> Result<(), Fault>) -> Result<ChaCha20Rng, Fault> {
    let mut seed = Zeroizing::new([0; 32]);
    fill(seed.as_mut_slice())?;
    let repeats = seed.iter().all(|byte| Some(byte) == seed.first());
    if repeats { Err(Fault::Randomness) } else { Ok(ChaCha20Rng::from_seed(*seed)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_that_fails_or_repeats_one_byte_is_a_hard_error() {
        let failing = seeded(|_| Err(Fault::Randomness)).err();
        let untouched = seeded(|_| Ok(())).err();
        let stuck = seeded(|seed| {
            seed.fill(0xff);
            Ok(())
        });
        assert_eq!(failing, Some(Fault::Randomness));
        assert_eq!(untouched, Some(Fault::Randomness));
        assert_eq!(stuck.err(), Some(Fault::Randomness));
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(make_random(32), make_random(32));
        assert_eq!(make_random(MAX_BYTES + 1), Err(Fault::Argument));
    }
}
