//! The browser SDK's Wasm face.

use wasm_bindgen::prelude::wasm_bindgen;

/// The version of this module; the npm package compares it with its own.
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
