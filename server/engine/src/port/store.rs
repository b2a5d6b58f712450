//! The store and the commit gate.
//!
//! A store holds *rows*, each a small document at a place, with an epoch that counts its changes; and the
//! audit log's entries that are not yet in the log's files. Reading is free. The only way to write is
//! [`Store::commit`], the gate: it checks that everything a decision rested on is still as it was, applies
//! the changes, spends tickets and appends the audit entry, all in one durable transaction.

use std::{fmt, future::Future, pin::Pin};

use keyhaven_shared::ids::TicketId;

/// The answer of a store call, later.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What kind of row stands at a place. Each kind is a name space of its own: a key and a keyring of
/// the same id are two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The installation itself: one row.
    Deployment,
    /// A keyring, by name.
    Keyring,
    /// A key, by id.
    Key,
    /// A key version, by `keyring name/key id/number`; `keyring name/*` counts the versions of a
    /// keyring.
    KeyVersion,
    /// A name of a key, by `keyring name/alias`.
    Alias,
    /// A principal, by name.
    Principal,
    /// An API token, by id.
    Token,
    /// A policy, by name; the row named `*` counts the changes of all of them.
    Policy,
    /// A device, by id.
    Device,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Deployment,
        Self::Keyring,
        Self::Key,
        Self::KeyVersion,
        Self::Alias,
        Self::Principal,
        Self::Token,
        Self::Policy,
        Self::Device,
    ];

    /// The kind's name in the store. A part of the format of stored rows: it never changes.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Keyring => "keyring",
            Self::Key => "key",
            Self::KeyVersion => "key-version",
            Self::Alias => "alias",
            Self::Principal => "principal",
            Self::Token => "token",
            Self::Policy => "policy",
            Self::Device => "device",
        }
    }
}

/// Where a row stands. Implementations compare the kind and every byte of the id: no collation, no
/// case, no normalisation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// What kind of row.
    pub kind: Kind,
    /// Which one; compared by bytes.
    pub id: String,
}

impl Place {
    /// The place of a row.
    #[must_use]
    pub fn new(kind: Kind, id: impl fmt::Display) -> Self {
        Self { kind, id: id.to_string() }
    }
}

/// How often a row was changed: 1 when it is made; 0 stands for a row that is not there. Removing a
/// row leaves its epoch behind, so that a row made again at the same place goes on counting. So no
/// two states of a place have the same epoch, and a read that still has its epoch saw what stands
/// there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a row that never was.
    pub const ABSENT: Self = Self(0);
}

/// A row as read. Body and epoch are of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which row.
    pub place: Place,
    /// Counts its changes.
    pub epoch: Epoch,
    /// The document; `None` when there is none (any more).
    pub body: Option<Vec<u8>>,
}

/// One change of a row. The row's epoch goes up by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which row.
    pub place: Place,
    /// The epoch the row must still have. [`Epoch::ABSENT`] for a row that is to be made at a place
    /// where none ever was.
    pub expected: Epoch,
    /// The new document, or `None` to remove it.
    pub body: Option<Vec<u8>>,
}

/// The use of a ticket, enrolment token or device proof, counted in the same transaction. A
/// proposal that is refused or fails spends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spend {
    /// The ticket's `jti`, or what stands for the proof.
    pub ticket: TicketId,
    /// How often it may be used in all. With 0 nothing can be spent.
    pub uses: u32,
    /// When the record of its use may be forgotten, in seconds since the Unix epoch.
    pub expires: u64,
}

/// An audit entry but for its index, which the gate assigns. In two halves, so that a store writes
/// it without knowing what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEntry {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl PendingEntry {
    /// The entry's bytes before and after the decimal digits of its index.
    #[must_use]
    pub const fn new(before: Vec<u8>, after: Vec<u8>) -> Self {
        Self { before, after }
    }

    /// The entry with its index filled in.
    #[must_use]
    pub fn at(&self, index: u64) -> Vec<u8> {
        // Decimal, without leading zeros or a sign: the one form that canonical JSON has for it.
        [self.before.as_slice(), index.to_string().as_bytes(), &self.after].concat()
    }
}

/// One operation's request to the gate. Only a performed grant makes one (see `crate::policy`), and
/// setting up a new installation. Recording a refusal makes one, too, which reads, writes and
/// spends nothing. Its fields are not public: no other crate can make a proposal.
#[derive(Debug)]
pub struct Proposal {
    // Not public, so that no other crate can write past the policies, or write without a record.
    pub(crate) reads: Vec<(Place, Epoch)>,
    pub(crate) writes: Vec<Write>,
    pub(crate) spends: Vec<Spend>,
    pub(crate) entry: PendingEntry,
}

impl Proposal {
    /// The rows the decision rested on, and the epochs they had. All must still hold; a place may
    /// stand here more than once.
    #[must_use]
    pub fn reads(&self) -> &[(Place, Epoch)] {
        &self.reads
    }

    /// The changes. All or none; a place that stands here twice makes the proposal stale.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// What to spend; no two are of one ticket.
    #[must_use]
    pub fn spends(&self) -> &[Spend] {
        &self.spends
    }

    /// The audit entry.
    #[must_use]
    pub const fn entry(&self) -> &PendingEntry {
        &self.entry
    }

    /// A proposal for the suites in [`crate::conformance`], which test stores without an engine.
    #[cfg(any(test, feature = "conformance"))]
    #[must_use]
    pub fn for_conformance(
        reads: Vec<(Place, Epoch)>,
        writes: Vec<Write>,
        spends: impl IntoIterator<Item = Spend>,
        entry: PendingEntry,
    ) -> Self {
        Self { reads, writes, spends: spends.into_iter().collect(), entry }
    }
}

/// What the gate decided. Anything but `Committed` has changed nothing and recorded nothing. What
/// of several is told, when several things do not hold, is the implementation's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Durable, with the index of its audit entry.
    Committed {
        /// The entry's index in the log.
        index: u64,
    },
    /// This row has changed since it was read, or since the write was made.
    Stale(Place),
    /// This ticket has no uses left.
    Spent(TicketId),
}

/// Why the store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was changed: disk full, read-only, closed, broken. Safe to try again.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A commit may or may not have been applied; the audit log will tell by the request id. An
    /// answer that was computed must not be released. Trying again unseen could do the thing twice.
    #[error("the outcome of a commit is not known: {0}")]
    Unknown(String),
    /// A row or entry is not readable as what it should be.
    #[error("the store holds something that is not valid: {0}")]
    Corrupt(String),
}

/// The store.
///
/// Durability: when [`Store::commit`] answers `Committed`, the transaction survives a power cut.
///
/// Order: commits are linearizable. A commit whose reads or expected epochs no longer hold is
/// refused whole. Log indexes are consecutive from 0, in commit order. A read sees every commit
/// that was answered before it began.
///
/// Concurrency: any number of calls at once; an implementation batches commits.
///
/// Retry duty: none. An implementation retries nothing whose outcome it does not know; what can be
/// tried again is the engine's to decide, which knows what it rested on.
pub trait Store: Send + Sync {
    /// Reads a row; one that never was has [`Epoch::ABSENT`] and no body. One that was removed has
    /// its epoch and no body.
    fn read(&self, place: Place) -> StoreFuture<'_, Row>;

    /// Reads up to `limit` rows that have a body, of one kind, whose id starts with `prefix` and
    /// comes after `after`, in order of id bytes. The rows of one answer are of one moment.
    fn list(
        &self,
        kind: Kind,
        prefix: String,
        after: String,
        limit: usize,
    ) -> StoreFuture<'_, Vec<Row>>;

    /// The gate. Dropping the future does not take the proposal back. Either all of it becomes
    /// durable, the entry included, or nothing does.
    fn commit(&self, proposal: Proposal) -> StoreFuture<'_, Verdict>;

    /// Reads up to `limit` log entries from index `from` that are still in the store, with the
    /// first entry's index. Entries that were pruned are not there any more. In order of index.
    fn entries(&self, from: u64, limit: usize) -> StoreFuture<'_, Vec<(u64, Vec<u8>)>>;

    /// Forgets the log entries below index `below`, once they are durable in the log's files. The
    /// caller has made sure of that: nothing else holds them. Repeating it is no error.
    fn prune_entries(&self, below: u64) -> StoreFuture<'_, ()>;

    /// The index that the next log entry will have. It goes on counting over what was pruned.
    fn next_index(&self) -> StoreFuture<'_, u64>;

    /// Asks the store for a sign of life, a durable write included.
    fn ping(&self) -> StoreFuture<'_, ()>;
}
