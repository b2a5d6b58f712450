//! What the engine needs from the world, as contracts. Implementations live in the server crate; each
//! runs the suite in [`crate::conformance`].
//!
//! Four, and no more: what can be had without the outside world is not behind one. They are the
//! only `dyn` types of the engine. Errors of a port are its own small enum, and become the engine's
//! at the border. The keys of identity providers are needed by whoever authenticates alone, and come with
//! [`crate::federation`]; the others are what an engine is built on.

pub mod environment;
pub mod hsm;
pub mod issuer_keys;
pub mod store;

use std::sync::Arc;

use self::{environment::Environment, hsm::Hsm, store::Store};

/// The ports' implementations that an engine is built on. Cheap to clone: each is shared.
#[derive(Clone)]
pub struct Ports {
    /// Rows and the commit gate.
    pub store: Arc<dyn Store>,
    /// Root and signing keys.
    pub hsm: Arc<dyn Hsm>,
    /// Time and randomness.
    pub environment: Arc<dyn Environment>,
}
