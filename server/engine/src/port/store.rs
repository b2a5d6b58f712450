//! The store and the commit gate.
//!
//! A store holds *rows*, each a small document at a place, with an epoch that counts its changes; and the
//! audit log's entries that are not yet in the log's files. Reading is free. The only way to write is
//! [`Store::commit`], the gate: it checks that everything a decision rested on is still as it was, applies
//! the changes, spends tickets and appends the audit entry, all in one durable transaction.

use std::{future::Future, pin::Pin, sync::Arc};

use keyhaven_shared::ids::TicketId;

use crate::integrity::{Fault, Nodes, RowSeal};

pub use crate::row::{Epoch, Kind, Place, Row, StoredRow, Write};

/// The answer of a store call, later.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

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
    pub(crate) seal: Arc<RowSeal>,
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

    /// A place that is changed more than once, which it cannot be: a second change rests on what the first
    /// replaces.
    #[must_use]
    pub fn written_twice(&self) -> Option<&Place> {
        let mut places = self.writes.iter().map(|write| &write.place).enumerate();
        let is_earlier = |(at, place): &(usize, &Place)| {
            self.writes.iter().take(*at).any(|write| write.place == **place)
        };
        places.find(is_earlier).map(|(_, place)| place)
    }

    /// What to spend; no two are of one ticket.
    #[must_use]
    pub fn spends(&self) -> &[Spend] {
        &self.spends
    }

    /// What the changed rows are sealed with.
    #[must_use]
    pub const fn seal(&self) -> &Arc<RowSeal> {
        &self.seal
    }

    /// The audit entry.
    #[must_use]
    pub const fn entry(&self) -> &PendingEntry {
        &self.entry
    }

    /// A proposal for the suites in [`crate::conformance`], which test stores without an engine. All are
    /// under one seal.
    #[cfg(any(test, feature = "conformance"))]
    #[must_use]
    pub fn for_conformance(
        reads: Vec<(Place, Epoch)>,
        writes: Vec<Write>,
        spends: impl IntoIterator<Item = Spend>,
        entry: PendingEntry,
    ) -> Self {
        let (spends, seal) = (spends.into_iter().collect(), RowSeal::for_conformance());
        Self { reads, writes, spends, seal, entry }
    }
}

#[cfg(any(test, feature = "conformance"))]
impl Proposal {
    /// The same under another seal, which remembers how new the store has been.
    #[must_use]
    pub fn for_conformance_under(seal: &Arc<RowSeal>, proposal: Self) -> Self {
        Self { seal: Arc::clone(seal), ..proposal }
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
    /// It cannot be told whether this row has changed: the register does not hold there.
    Tampered(Place, Fault),
    /// The store is older than what was read from it or committed to it before.
    RolledBack,
}

/// Rows as they are stored, with the register's nodes on the way to them, all of one moment. The reader
/// checks them (see [`crate::integrity`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extract {
    /// The rows.
    pub rows: Vec<StoredRow>,
    /// The nodes.
    pub nodes: Nodes,
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
/// Integrity: epochs are those of the register, not of the rows. A commit seals each row that it
/// changes and lists it in the register, in its own transaction. What is read is handed out as it
/// stands, whatever it is.
///
/// Concurrency: any number of calls at once; an implementation batches commits.
///
/// Retry duty: none. An implementation retries nothing whose outcome it does not know; what can be
/// tried again is the engine's to decide, which knows what it rested on.
pub trait Store: Send + Sync {
    /// Reads a row, or none, and the nodes on the way to its place.
    fn read(&self, place: Place) -> StoreFuture<'_, Extract>;

    /// Reads up to `limit` rows of one kind, whose id starts with `prefix` and comes after `after`, in order
    /// of id bytes, and the nodes on the way to each.
    fn list(
        &self,
        kind: Kind,
        prefix: String,
        after: String,
        limit: usize,
    ) -> StoreFuture<'_, Extract>;

    /// Reads a branch of the register with all its leaves, and the root.
    fn branch(&self, branch: u8) -> StoreFuture<'_, Nodes>;

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
