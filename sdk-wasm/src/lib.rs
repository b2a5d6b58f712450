//! Keyhaven's client for Rust programs: data is encrypted and decrypted where it is used, with data keys
//! that a [Keyhaven](https://github.com/keyhaven/keyhaven) server gives, or refuses, by policy and on the
//! record. What it writes is read by the npm package `@keyhaven/sdk` in a browser, and the other way round.
//!
//! # A story
//!
//! ```no_run
#![doc = include_str!("../doc/story.rs")]
//! ```
//!
//! [`Endpoint::from_environment`] gives both arguments from what `keyhaven env` prints. A whole program is in
//! `examples/rust-backend`.
//!
//! # Two kinds of clients
//!
//! | | [`Client::with_token`] | [`Client::with_device`] |
//! | --- | --- | --- |
//! | shows | an API token, until it is revoked or expires | a ticket for each data key, minted for one user, device, key and context; and a signature |
//! | data keys come | in plaintext, inside TLS | sealed to this device (X25519 and ML-KEM-768), signed by the server |
//! | a key that is disabled | may still be in use here for [`Limits::max_age`] | stops at once; without a connection, at its lease's end |
//! | a message that takes longer | goes on | goes on while its lease is renewed, by a new ticket each time |
//! | without the server | works with held keys for [`Limits::max_age`] | works to a lease's end, and for [`Limits::offline_grace`] after it |
//! | a rotation | is known after [`Limits::max_age`] | is known at once: the next message names the new version |
//! | needs the right to | `GenerateDataKey`, `Decrypt` | `DeliverDataKey`, `UnsealDataKey`, and a backend that mints |
//! | suits | a backend that you trust with its own keys | a program at the edge, on a customer's machine, behind somebody else's proxy |
//!
//! Take a token unless you know why not. A backend whose users encrypt in a browser mints their tickets with
//! [`Minting`].
//!
//! # What it promises
//!
//! - Nothing of a message is given out before it is verified; a message that is cut off is an error.
//! - Secrets are zeroized on drop: API tokens, tickets, private keys, data keys, message keys. The HTTP and
//!   TLS libraries below keep buffers of their own that are not.
//! - A wall clock that is set back extends nothing.
//! - Errors have a stable [`Error::code`] and hold no secrets.
//!
//! # Features
//!
//! - `reqwest` (default): [`Https`] and [`Tokio`], TLS by rustls. Without it, bring your own [`Transport`] and
//!   [`Runtime`]; nothing else here depends on tokio's runtime.
//!
//! Compiled for WebAssembly, this crate is the Wasm half of the npm package instead.

/// Compiles the examples in the repository's README.
#[cfg(all(doctest, not(target_family = "wasm")))]
#[doc = include_str!("../../README.md")]
#[expect(rustdoc::invalid_codeblock_attributes, reason = "the marks on shell blocks are a test's")]
mod readme {}

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
