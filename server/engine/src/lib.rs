//! What a key management system *is*: operations, lifecycle, policy, the audit contract, and ports.
pub mod policy;
pub mod port;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
