//! The suites that every implementation of a port runs, and memory fakes of the ports.

pub mod hsm;
pub mod memory_environment;
pub mod memory_hsm;
pub mod memory_issuer;
pub mod memory_store;
pub mod store;

/// What an implementation did that its contract does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);
