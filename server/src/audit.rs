//! The audit log's files: a folder that anyone who has the public key can verify, with no server.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `entries.jsonl` | one entry a line: canonical JSON with its `index`, from 0, in commit order |
//! | `checkpoint` | the number of entries and their Merkle tree's root (RFC 6962 §2.1), signed by the HSM's log key, as a C2SP tlog-checkpoint |
//! | `log.vkey` | the log key's public half, as a C2SP signed-note verifier key |
//!
//! The commit gate makes an entry durable in the store before its operation is answered. The
//! [`Sequencer`] moves entries from there into the files and signs. While it cannot, entries wait in the
//! store, safe but not yet signed, and [`Sequencer::trouble`] says so.
//!
//! What verifying proves: the entries that the checkpoint covers are those that were signed, in
//! their order, none missing. What it does not: that nothing was signed after it (compare with a
//! checkpoint kept elsewhere), or that an entry tells the truth about what the server did.

pub use self::{
    error::{AuditError, EntryProblem, VerifyError},
    note::{KeyError, VerifierKey},
    read::{ReadError, Reader, read},
    sequencer::Sequencer,
    verify::{Verified, verify},
};

mod checkpoint;
mod error;
mod files;
mod log;
mod merkle;
mod note;
mod read;
mod scan;
mod sequencer;
mod verify;

#[cfg(test)]
mod tests;
