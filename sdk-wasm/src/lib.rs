//! Keyhaven's client. For browsers this crate is the Wasm half of the npm package.

mod entropy;

#[cfg(not(target_family = "wasm"))]
mod native;

#[cfg(any(target_family = "wasm", test))]
pub mod wasm;

#[cfg(not(target_family = "wasm"))]
pub use self::native::*;
#[cfg(not(target_family = "wasm"))]
pub use keyhaven_shared::{
    context::{ContextError, EncryptionContext},
    ids::{DeviceId, KeyId, Version},
};
