//! The commit gate within one transaction: judging proposals one after the other, and applying those that
//! still stand.
//!
//! It runs inside the writer's `IMMEDIATE` transaction, so between what it reads and what it writes
//! nobody else writes. That makes commits linearizable: once a change of an epoch was answered,
//! every later proposal that rests on the old one is stale.

use std::collections::HashMap;

use keyhaven_engine::port::store::{
    Epoch, Kind, Place, Proposal, Spend, StoreError, Verdict, Write,
};
use keyhaven_shared::ids::TicketId;
use rusqlite::{OptionalExtension, Result, Transaction};

use super::rows::sql;

/// How long after its end a ticket's use is remembered, in seconds: the clock may be set back.
/// Until then a ticket that looks valid to a clock gone back is still found spent.
const FORGET_AFTER: u32 = 86_400;

/// How many uses are forgotten in one transaction.
/// So that no commit waits long behind the tidying.
const FORGET_AT_ONCE: u32 = 1000;

/// The gate, for one transaction. Nothing holds until the transaction is committed.
pub(super) struct Gate<'a> {
    /// The caller's: it commits or rolls back, and the gate never does.
    transaction: &'a Transaction<'a>,
    /// Epochs as of the last applied proposal; many proposals of a batch rest on the same rows.
    /// Sound within the transaction only, for outside it another could write.
    epochs: HashMap<Place, Option<Epoch>>,
    /// What `meta` had when the transaction began. The writer tells by it, after a failed COMMIT,
    /// whether that was applied.
    first_index: u64,
    /// The index for the next entry: indexes are assigned here and nowhere else, without gaps.
    next_index: u64,
    /// Whether the write-ahead log will hold wrapped key material that no row has any more.
    erases: bool,
}

impl<'a> Gate<'a> {
    /// Reads where the log stands.
    ///
    /// # Errors
    /// [`StoreError`], when that cannot be read.
    pub(super) fn begin(transaction: &'a Transaction<'a>) -> std::result::Result<Self, StoreError> {
        let first_index = super::rows::next_index(transaction)?;
        let epochs = HashMap::new();
        Ok(Self { transaction, epochs, first_index, next_index: first_index, erases: false })
    }

    /// The index of the first entry of this transaction.
    pub(super) const fn first_index(&self) -> u64 {
        self.first_index
    }

    /// Whether wrapped key material was replaced or removed.
    pub(super) const fn erases(&self) -> bool {
        self.erases
    }

    /// Judges a proposal and applies it if it stands. A refused one changes nothing.
    ///
    /// # Errors
    /// SQLite's. The proposal may then be applied in part, so the caller must roll the whole
    /// transaction back, the batch's other proposals with it.
    pub(super) fn judge(&mut self, proposal: &Proposal) -> Result<Verdict> {
        // The batch goes on after a refusal, in the same transaction: so everything is checked
        // before the first write, and a refusal has nothing to undo but tickets, which are given
        // back.
        if let Some(place) = self.stale(proposal)? {
            return Ok(Verdict::Stale(place.clone()));
        }
        // Tickets come last: when they can be spent, everything else holds.
        if let Some(ticket) = self.spend_all(proposal.spends())? {
            return Ok(Verdict::Spent(ticket));
        }
        for write in proposal.writes() {
            self.write(write)?;
        }
        let index = self.next_index;
        self.transaction
            .prepare_cached("INSERT INTO log_entry (idx, entry) VALUES (?1, ?2)")?
            // INVARIANT: an applied proposal and its entry are in one transaction, so neither
            // exists without the other, and the order of entries is the order of commits.
            .execute((sql(index), proposal.entry().at(index)))?;
        self.next_index = index.saturating_add(1);
        Ok(Verdict::Committed { index })
    }

    /// The first row that is not as the proposal expects it.
    /// Rows that were only read count like those to be written: a decision that rested on a policy
    /// or a key's state is void when that has changed.
    fn stale<'p>(&mut self, proposal: &'p Proposal) -> Result<Option<&'p Place>> {
        for (place, epoch) in proposal.reads() {
            if self.epoch(place)? != Some(*epoch) {
                return Ok(Some(place));
            }
        }
        for (earlier, write) in proposal.writes().iter().enumerate() {
            // A place can be changed once: a second change rests on what the first replaces.
            let twice = proposal.writes().iter().take(earlier).any(|w| w.place == write.place);
            if twice || self.epoch(&write.place)? != Some(write.expected) {
                return Ok(Some(&write.place));
            }
        }
        Ok(None)
    }

    /// A row's epoch; `None`, which equals no expected epoch, if what is stored cannot be one.
    ///
    /// A row that was removed still has its epoch, so a row made anew at its place is not taken for
    /// it.
    fn epoch(&mut self, place: &Place) -> Result<Option<Epoch>> {
        if let Some(epoch) = self.epochs.get(place) {
            return Ok(*epoch);
        }
        let stored = self
            .transaction
            .prepare_cached("SELECT epoch FROM row WHERE kind = ?1 AND id = ?2")?
            .query_row((place.kind.word(), &place.id), |row| row.get::<_, i64>(0))
            .optional()?;
        let epoch = stored.map_or(Some(Epoch::ABSENT), |n| u64::try_from(n).ok().map(Epoch));
        self.epochs.insert(place.clone(), epoch);
        Ok(epoch)
    }

    /// Counts one use of each; or of none, if this one has none left.
    /// Answers the ticket that had none left.
    fn spend_all(&self, spends: &[Spend]) -> Result<Option<TicketId>> {
        for (counted, spend) in spends.iter().enumerate() {
            if !self.spend(*spend)? {
                for earlier in spends.iter().take(counted) {
                    self.take_back(*earlier)?;
                }
                return Ok(Some(spend.ticket));
            }
        }
        Ok(None)
    }

    /// Undoes [`Self::spend`]. A count of 0 may stay behind; it says the same as no row.
    fn take_back(&self, spend: Spend) -> Result<()> {
        let update = "UPDATE ticket_use SET uses = uses - 1 WHERE jti = ?1";
        self.transaction.prepare_cached(update)?.execute([spend.ticket.as_bytes()]).map(drop)
    }

    /// Counts one use of a ticket; `false` if it has none left.
    ///
    /// One statement checks and counts, so that two uses in one batch cannot both take the last.
    fn spend(&self, spend: Spend) -> Result<bool> {
        let counted = self
            .transaction
            .prepare_cached(
                "INSERT INTO ticket_use (jti, uses, expires) SELECT ?1, 1, ?3 WHERE ?2 > 0
                 ON CONFLICT DO UPDATE SET uses = uses + 1 WHERE uses < ?2",
            )?
            .execute((spend.ticket.as_bytes(), spend.uses, sql(spend.expires)))?;
        Ok(counted > 0)
    }

    /// Puts a row's new document in place and its epoch up by one. A removed row keeps its place
    /// with an empty body.
    fn write(&mut self, write: &Write) -> Result<()> {
        let epoch = Epoch(write.expected.0.saturating_add(1));
        self.transaction
            .prepare_cached(
                "INSERT INTO row (kind, id, epoch, body) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET epoch = excluded.epoch, body = excluded.body",
            )?
            .execute((write.place.kind.word(), &write.place.id, sql(epoch.0), &write.body))?;
        // These hold wrapped keys. Only replacing or removing one leaves old material behind.
        let wraps = matches!(write.place.kind, Kind::KeyVersion | Kind::Keyring);
        self.erases |= wraps && write.expected != Epoch::ABSENT;
        self.epochs.insert(write.place.clone(), Some(epoch));
        Ok(())
    }

    /// Forgets the log entries below an index.
    /// The caller has made sure that they are in the signed files: this is their only other copy.
    pub(super) fn prune(&self, below: u64) -> Result<()> {
        let mut delete = self.transaction.prepare_cached("DELETE FROM log_entry WHERE idx < ?1")?;
        delete.execute([sql(below)]).map(drop)
    }

    /// Writes something, so that committing proves the disk takes it.
    /// A transaction that changes nothing would be committed without touching the disk.
    pub(super) fn ping(&self) -> Result<()> {
        let update = "UPDATE meta SET value = value + 1 WHERE key = 'pings'";
        self.transaction.prepare_cached(update)?.execute(()).map(drop)
    }

    /// Forgets the uses of tickets that ended a day ago; the ticket's own end refuses it now.
    pub(super) fn forget_tickets(&self) -> Result<()> {
        let delete = "DELETE FROM ticket_use WHERE jti IN
             (SELECT jti FROM ticket_use WHERE expires < unixepoch() - ?1 LIMIT ?2)";
        let mut delete = self.transaction.prepare_cached(delete)?;
        delete.execute([FORGET_AFTER, FORGET_AT_ONCE]).map(drop)
    }

    /// Writes down the next index, which must outlive the entries. The caller commits.
    /// Without it, a store whose entries were all pruned would begin again at 0, and two entries
    /// would have one index.
    pub(super) fn finish(&self) -> Result<()> {
        if self.next_index == self.first_index {
            return Ok(());
        }
        let update = "UPDATE meta SET value = ?1 WHERE key = 'next_index'";
        self.transaction.prepare_cached(update)?.execute([sql(self.next_index)]).map(drop)
    }
}
