//! A clock that a test sets, and randomness that it can repeat, plant or make fail.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::port::environment::{Environment, NoRandomness};

/// An environment for tests.
pub struct MemoryEnvironment {
    now_ms: AtomicU64,
    counter: AtomicU64,
    planted: Mutex<Vec<[u8; 32]>>,
    fails: Mutex<bool>,
}

impl MemoryEnvironment {
    /// An environment at a time, in seconds since the Unix epoch.
    #[must_use]
    pub fn at(now: u64) -> Self {
        Self {
            now_ms: AtomicU64::new(now * 1000),
            counter: AtomicU64::new(0),
            planted: Mutex::default(),
            fails: Mutex::new(false),
        }
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: u64) {
        self.now_ms.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// Makes the next seed this one.
    pub fn plant_seed(&self, seed: [u8; 32]) {
        self.planted.lock().unwrap_or_else(PoisonError::into_inner).push(seed);
    }

    /// Makes the generator fail, or work again.
    pub fn fail(&self, fails: bool) {
        *self.fails.lock().unwrap_or_else(PoisonError::into_inner) = fails;
    }
}

impl Environment for MemoryEnvironment {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn fill_seed(&self, seed: &mut [u8; 32]) -> Result<(), NoRandomness> {
        if *self.fails.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(NoRandomness);
        }
        if let Some(planted) = self.planted.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            *seed = planted;
            return Ok(());
        }
        let count = self.counter.fetch_add(1, Ordering::SeqCst);
        for (byte, part) in seed.iter_mut().zip(count.to_be_bytes().into_iter().cycle()) {
            *byte = part;
        }
        Ok(())
    }
}
