//! Placeholder front page, replaced as the crate grows.
pub mod hsm;
