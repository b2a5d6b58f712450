//! What can be wrong with the log, and what kept it from being written.

use std::{fmt, io, path::Path};

use keyhaven_engine::port::{hsm::HsmError, store::StoreError};

/// What is wrong with one line of `entries.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryProblem {
    /// It is not a JSON object with an `index`.
    NotAnEntry,
    /// It carries this index instead of the one that its place asks for: entries were removed, added
    /// or swapped.
    OtherIndex(u64),
    /// The file ends within it.
    Torn,
    /// It is longer than any entry.
    TooLong,
}

// Lower case and without a full stop: it ends the sentences below.
impl fmt::Display for EntryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnEntry => write!(f, "the line is not a log entry"),
            Self::OtherIndex(index) => write!(f, "entry {index} stands there instead"),
            Self::Torn => write!(f, "the file ends within it"),
            Self::TooLong => write!(f, "the line is longer than any entry"),
        }
    }
}

/// Why a log folder does not verify.
// The order of the variants is the order of the checks: what a later one says rests on the earlier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A file is not there or not readable.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What the operating system says.
        cause: String,
    },
    /// The verifier key is not one.
    #[error("the verifier key is not one: expected `name+key id+key` as in log.vkey")]
    Key,
    /// The checkpoint was edited, belongs to another log, or is signed by another key.
    #[error(
        "the checkpoint is not one that this key signed for this log: it was edited, or the key is another log's"
    )]
    Checkpoint,
    /// Signed entries are not in the file.
    #[error("entries {found} to {} are missing: {covered} entries are signed, {found} are there", .covered.saturating_sub(1))]
    Missing {
        /// How many entries the checkpoint covers.
        covered: u64,
        /// How many are there; the index of the first that is missing.
        found: u64,
    },
    /// A signed entry is not as it was.
    #[error("entry {index} is damaged: {problem}")]
    Entry {
        /// The entry's index.
        index: u64,
        /// What is wrong with it.
        problem: EntryProblem,
    },
    /// All entries look like entries, but at least one is not what was signed.
    #[error("one or more of the entries 0 to {} were changed: their root is not the signed one", .covered.saturating_sub(1))]
    Changed {
        /// How many entries the checkpoint covers.
        covered: u64,
    },
}

impl VerifyError {
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        Self::File { path: path.display().to_string(), cause: error.to_string() }
    }
}

/// Why the log is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// A file cannot be written or read back.
    #[error("{path}: {cause}")]
    File {
        /// The file or folder.
        path: String,
        /// What the operating system says.
        cause: String,
    },
    /// The store does not give its entries.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The HSM does not sign.
    #[error(transparent)]
    Hsm(#[from] HsmError),
    /// The origin is no name for a log key, or the HSM's public key is no key.
    #[error(
        "the log's origin or the HSM's log key cannot be used: an origin has no spaces or pluses"
    )]
    Key,
    /// The folder's verifier key is not the HSM's log key.
    #[error("the log in this folder was signed by another key than the HSM's log key: {0}")]
    OtherKey(String),
    /// The folder is not what was signed.
    #[error("the audit log was changed: {0}")]
    Damaged(#[from] VerifyError),
    /// The store has fewer entries than the log: it was rolled back, or entries were added to the log.
    #[error(
        "the store ends before entry {store} but the audit log has {log} entries: the store is an older copy, or the log was added to"
    )]
    StoreBehind {
        /// The next index of the store.
        store: u64,
        /// How many entries the log has.
        log: u64,
    },
    /// The store has no longer, and the log has not, the entry with this index: the log is an older copy.
    #[error(
        "entry {0} is neither in the store nor in the audit log: the log is an older copy, or was cut"
    )]
    Lost(u64),
    /// The store's entry with this index is not one.
    #[error("the store's log entry {index} cannot be logged: {problem}")]
    Entry {
        /// The entry's index.
        index: u64,
        /// What is wrong with it.
        problem: EntryProblem,
    },
    /// What was read back is not what was written. It is not signed.
    #[error("the audit log reads back otherwise than written, from byte {0} on")]
    ReadBack(u64),
    /// The sequencer has ended.
    #[error("the audit log's sequencer has stopped")]
    Stopped,
}

impl AuditError {
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        Self::File { path: path.display().to_string(), cause: error.to_string() }
    }
}
