//! The suites that every implementation of a port runs, and memory fakes.

pub mod hsm;
pub mod memory_store;
pub mod store;
