//! What is kept in memory of what the store says, so that a change made meanwhile is not undone by a
//! read that was under way.

use std::sync::{PoisonError, RwLock};

/// A cache that knows whether something was forgotten since a read began.
///
/// One count for all that is in it: reads are short and changes are rare, so that little is read in
/// vain because something else changed.
#[derive(Default)]
pub(crate) struct Memory<T> {
    inner: RwLock<Counted<T>>,
}

#[derive(Default)]
struct Counted<T> {
    kept: T,
    forgotten: u64,
}

/// When a read began: see [`Memory::begin`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(u64);

impl<T> Memory<T> {
    /// Looks at what is kept.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner).kept)
    }

    /// To be called before the store is read for something to be kept.
    pub(crate) fn begin(&self) -> Since {
        Since(self.inner.read().unwrap_or_else(PoisonError::into_inner).forgotten)
    }

    /// Keeps what was read, unless something was forgotten meanwhile: that may be it.
    pub(crate) fn keep(&self, since: Since, keep: impl FnOnce(&mut T)) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if Since(inner.forgotten) == since {
            keep(&mut inner.kept);
        }
    }

    /// Forgets something, and whatever is being read meanwhile.
    pub(crate) fn forget(&self, forget: impl FnOnce(&mut T)) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.forgotten = inner.forgotten.wrapping_add(1);
        forget(&mut inner.kept);
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn what_was_read_before_something_was_forgotten_is_not_kept() {
        let memory = Memory::<Option<u8>>::default();
        let late = memory.begin();
        memory.forget(|kept| *kept = None);
        memory.keep(late, |kept| *kept = Some(1));
        assert_eq!(memory.look(|kept| *kept), None);
        memory.keep(memory.begin(), |kept| *kept = Some(2));
        assert_eq!(memory.look(|kept| *kept), Some(2));
    }
}
