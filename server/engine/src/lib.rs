//! What a key management system *is*, without HTTP, SQL or PKCS#11. One request falls through these
//! files in this order:
//!
//! 1. [`authenticate`]: a presented credential becomes a [`caller::Caller`];
//! 2. [`engine`]: [`engine::Engine::execute`] resolves the target, has `policy` decide by the [`rules`],
//!    lets the operation in [`op`] act, and releases its answer only after the commit gate recorded it;
//!    until then all that it made is in memory, and is dropped, zeroizing, if the gate says no;
//! 3. [`keystore`] lends key material to whoever shows a [`permit::Permit`];
//! 4. [`audit`] is what the record says; [`lease`] tells devices what has ended;
//! 5. [`port`] is what all of it needs from the world; what a store says is believed only as far as
//!    [`integrity`] can check it.
//!
//! A decision is a value: a `Grant` can only come from an authorisation, and the only way to an
//! answer leads through its record. So neither a skipped check nor a skipped record compiles. The
//! tests in this crate run the whole of it over fakes of the ports, each port failed both ways.

pub mod start;

pub mod authenticate;
pub mod caller;
pub mod engine;
pub mod federation;
pub mod identity;
mod policy;
mod replay;
pub mod rules;

pub mod act;
pub mod once;
pub mod op;
pub mod permit;
pub mod resource;

pub mod keystore;
pub mod services;

pub mod audit;
pub mod issuer;
pub mod lease;
pub mod ticket;

pub mod alarm;
pub mod directory;
pub mod error;
mod memory;
pub mod name;
pub mod record;

pub mod port;

pub mod inspect;
pub mod integrity;
pub mod row;

// A feature, not only `cfg(test)`: the server crate runs the same suites over its real ports.
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

#[cfg(test)]
mod tests;
