//! What the engine needs from the world, as contracts. Implementations live in the server crate; each
//! runs the suite in [`crate::conformance`].

pub mod environment;
pub mod hsm;
pub mod store;
