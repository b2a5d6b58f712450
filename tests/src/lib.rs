//! What the tests and the benchmark have in common: the clients that they play.

pub mod device;
pub mod vectors;
