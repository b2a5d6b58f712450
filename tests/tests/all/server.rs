//! The server as a process: starting, being refused, ending, and starting again.

mod ending;
mod events;
mod exports;
mod failing_disk;
mod http;
mod identities;
mod operator;
mod production;
mod repetition;
mod scans;
mod starting;
mod tampered_rows;
mod tampering;
mod tls;
