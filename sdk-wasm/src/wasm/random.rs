//! Randomness for JavaScript.

use rand_core::Rng;
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::Fault;
use crate::entropy::make_rng;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ_and_none_is_huge() {
        assert_ne!(make_random(32), make_random(32));
        assert_eq!(make_random(MAX_BYTES + 1), Err(Fault::Argument));
    }
}
