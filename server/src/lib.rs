//! Placeholder front page, replaced as the crate grows.

pub mod audit;
mod status;
pub mod store;
