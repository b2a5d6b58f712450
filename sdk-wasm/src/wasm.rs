//! The Wasm half of the npm package: formats and cryptography, and nothing else. Transport, storage and
//! streams are TypeScript (`npm/src`), which calls this module and holds its objects as handles: the
//! bytes of a data key never leave Wasm's memory. In the order in which a message needs them:
//!
//! 1. [`DeviceKeys`]: who this device is, [`ModuleKeys`]: its keys that WebCrypto cannot keep, and
//!    [`RequestProof`]: how it proves that a request is its own;
//! 2. [`DataKeyRequest`] → [`Delivery`] → [`DataKeyHandle`]: a data key, sealed by the server to it;
//! 3. whole messages by the handle itself, or in frames for WebCrypto: [`FrameWriter`], or [`HeaderReader`] →
//!    [`MessageHeader`] → [`FrameReader`];
//! 4. [`LeaseEvent`]: the server says, signed, that a key may no longer be used.
//!
//! Objects hold memory that JavaScript's collector does not see: `free()` zeroizes and releases it.

mod error;

mod delivery;
mod device;
mod frames;
mod lease_event;
mod message;
mod module_keys;
mod proof;
mod random;
mod signed;
mod sweep;
mod whole;

#[cfg(test)]
mod story;

pub use self::{
    delivery::{DataKeyHandle, DataKeyRequest, Delivery, DeliveryAnswer, Deployment},
    device::DeviceKeys,
    error::Fault,
    frames::{FrameReader, FrameWriter},
    lease_event::{LeaseEvent, LeaseStream},
    message::{FrameLayout, HeaderReader, MessageHeader},
    module_keys::ModuleKeys,
    proof::RequestProof,
    random::make_random,
    signed::{UnverifiedMessage, signature_end},
};

use wasm_bindgen::prelude::wasm_bindgen;

/// The version of this module; the npm package compares it with its own.
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
