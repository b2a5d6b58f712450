//! The one binary: command line, configuration, TLS, HTTP, and the real implementations of the engine's
//! ports. Read [`serve`](crate::serve) to see what is plugged into what.
//!
//! A request enters at `http.rs` and goes to `keyhaven_wire`. `store`, `audit` and `hsm` are what the
//! engine rests on; `cli` is everything a person types.

pub mod cli;

mod dev;
mod serve;

pub mod config;
mod health;
mod history;
mod http;
mod metrics;
pub mod telemetry;
mod tls;

pub mod audit;
pub mod hsm;
mod status;
pub mod store;

mod environment;
