//! The suites that every implementation of a port runs, and memory fakes of the ports.

pub mod hsm;
pub mod memory_environment;
pub mod memory_hsm;
pub mod memory_store;
pub mod store;
