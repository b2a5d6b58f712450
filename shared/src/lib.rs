//! What Keyhaven's server and its clients must agree on, byte for byte.
//!
//! No I/O, no clock, no global randomness, no async: time and randomness come in as arguments, so that
//! the same code runs in the server and in a browser's WebAssembly. Every format is drawn as a byte
//! table in `docs/formats.md`. In reading order:
//!
//! 1. the vocabulary: [`ids`] (written in [`hex`]), [`key_spec`], [`key_state`], [`operation`];
//! 2. the one encoder of authenticated bytes: [`encoding`], and the [`context`] bound to data;
//! 3. secrets and how they are sealed: [`secret`], [`committed`], [`wrap`], [`ciphertext`];
//! 4. a data key's way to a device: [`device`], [`hpke`], [`issuer`], [`delivery`], [`lease_event`], and how
//!    a device signs its requests: [`http_signature`];
//! 5. what clients encrypt: [`message`];
//! 6. the native API's documents: `api`, and the tokens of identity providers: `jwt`, both with the feature `api`.

pub mod hex;
pub mod ids;
pub mod key_spec;
pub mod key_state;
pub mod operation;

pub mod context;
pub mod encoding;

pub mod ciphertext;
pub mod committed;
pub mod secret;
pub mod wrap;

pub mod delivery;
pub mod device;
pub mod hpke;
pub mod http_signature;
pub mod issuer;
pub mod lease_event;

mod fields;
pub mod message;

#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "api")]
pub mod jwt;

#[cfg(test)]
mod known_answers;
