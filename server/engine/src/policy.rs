//! Decisions.
/// Proof that a decision was made.
#[derive(Debug)]
pub struct Permit {
    _private: (),
}
