//! The one binary: command line, configuration, TLS, HTTP, and the real implementations of the engine's
//! ports. Read [`start`](crate::start) to see what is plugged into what.
//!
//! A request enters at `http.rs` and goes to `keyhaven_wire`. `store`, `audit` and `hsm` are what the
//! engine rests on; `cli` is everything a person types.

pub mod cli;

pub mod dev;
pub mod serve;
pub mod start;

pub mod config;
mod health;
mod history;
mod http;
mod metrics;
pub mod telemetry;
mod terminal;
pub mod tls;

pub mod audit;
pub mod hsm;
mod status;
pub mod store;

mod environment;
