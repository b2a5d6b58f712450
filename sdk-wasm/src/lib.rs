//! Keyhaven's client. For browsers this crate is the Wasm half of the npm package.

#[cfg(any(target_family = "wasm", test))]
mod entropy;

#[cfg(any(target_family = "wasm", test))]
pub mod wasm;
