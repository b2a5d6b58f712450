//! The real things together, in one test binary.

// `cfg(test)` tells clippy that helpers in here may panic, as tests may.
#[cfg(test)]
mod documents;
#[cfg(test)]
mod esdk;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod rust_client;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tour;
#[cfg(test)]
mod vectors;
