//! Placeholder front page, replaced as the crate grows.

pub mod audit;
pub mod hsm;
mod status;
pub mod store;
