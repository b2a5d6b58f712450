//! Decisions.
/// Proof that a decision was made.
#[derive(Debug)]
pub struct Permit {
    _private: (),
}

impl Permit {
    /// A permit for the suites in [`crate::conformance`], which test ports without an engine.
    #[cfg(any(test, feature = "conformance"))]
    #[must_use]
    pub const fn for_conformance() -> Self {
        Self { _private: () }
    }
}
