//! The suites that every implementation of a port runs.

pub mod hsm;
pub mod store;
