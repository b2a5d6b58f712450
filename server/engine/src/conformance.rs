//! The suites that every implementation of a port runs.

pub mod hsm;
mod memory_hsm;
pub mod store;

/// What an implementation did that its contract does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);
