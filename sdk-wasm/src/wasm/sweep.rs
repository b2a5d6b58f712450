//! Overwrites what work with keys left on the stack.
//!
//! Secrets live in boxes that zeroize themselves, but hash functions and ciphers are given their bytes and keep
//! copies in buffers of their own, some of which lie on the stack until something else is written there. In this
//! module's memory, which JavaScript can read, they would outlive the key.

use core::hint::black_box;

/// More of the stack than any work here takes; ML-KEM takes most.
const BYTES: usize = 64 * 1024;

/// Overwrites the stack below the caller. To be called when a key is given up, from as high up as it can be.
// Not inlined: a frame of its own lies below the caller's, where the work's frames were.
#[inline(never)]
pub(super) fn sweep_stack() {
    // The compiler has to take it that the zeros are looked at, so it writes them.
    black_box(&mut [0_u8; BYTES]);
}

/// Implements `Drop` for what holds a key: its fields zeroize themselves, this sweeps up after its use.
macro_rules! sweep_on_drop {
    ($($name:ty),+) => {
        $(impl Drop for $name {
            fn drop(&mut self) {
                $crate::wasm::sweep::sweep_stack();
            }
        })+
    };
}

pub(super) use sweep_on_drop;
