//! The protocol over an engine in memory. What is tested of every endpoint is generated from the table of
//! routes, so that a new line cannot be forgotten.

mod bad_input;
mod credentials;
mod description;
mod events;
mod failing;
mod happy;
mod log;
mod origins;
mod repetition;
mod rights;
mod samples;
mod spellings;
mod world;
