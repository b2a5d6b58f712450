//! The one binary: command line, configuration, TLS, HTTP, and the real implementations of the engine's
//! ports. Read [`start`](crate::start) to see what is plugged into what.
//!
//! A request enters at `http.rs` and goes to `keyhaven_wire`. `store`, `audit` and `hsm` are what the
//! engine rests on; `cli` is everything a person types.
//!
//! | part | modules | who starts it |
//! | --- | --- | --- |
//! | entry | `cli`, `dev`, `serve` | a person |
//! | composition | `start`, `config` | `dev`, `serve` |
//! | front | `http`, `tls`, `health`, `metrics` | `start` |
//! | ports | `store`, `hsm`, `environment` | `start` |
//! | audit log | `audit` writes and verifies it, `history` reads it for the API | `start` |
//! | own log | `telemetry` | `dev`, `serve` |
//!
//! Of the server's crates this alone opens files, sockets and tokens. What a request may do is
//! decided in none of these modules: the engine decides, and hands out no result before its record
//! is durable.

pub mod cli;

pub mod dev;
pub mod fsck;
pub mod serve;
pub mod start;

pub mod config;
pub mod federation;
mod health;
mod history;
pub mod host;
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
