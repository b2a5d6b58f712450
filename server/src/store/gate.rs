//! The commit gate within one transaction: judging proposals one after the other, and applying those that
//! still stand.
//!
//! It runs inside the writer's `IMMEDIATE` transaction, so between what it reads and what it writes
//! nobody else writes. That makes commits linearizable: once a change of an epoch was answered,
//! every later proposal that rests on the old one is stale.

use std::sync::Arc;

use keyhaven_engine::{
    integrity::{NodeId, NodeSource, Register, RowSeal},
    port::store::{Epoch, Kind, Proposal, Spend, StoreError, Verdict, Write},
};
use keyhaven_shared::ids::TicketId;
use rusqlite::{Result, Transaction};

use super::{nodes::NodeTable, rows::sql};

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
    nodes: NodeTable<'a>,
    /// The register as of the last applied proposal, once a proposal brought its seal.
    register: Option<Register>,
    /// The register as an earlier transaction left it.
    earlier: Option<Register>,
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
    pub(super) fn begin(
        transaction: &'a Transaction<'a>,
        earlier: Option<Register>,
    ) -> std::result::Result<Self, StoreError> {
        let first_index = super::rows::next_index(transaction)?;
        let (nodes, next_index) = (NodeTable(transaction), first_index);
        let register = None;
        Ok(Self { transaction, nodes, register, earlier, first_index, next_index, erases: false })
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
        let mut register = self.take_register(proposal.seal())?;
        let verdict = self.judge_by(&mut register, proposal);
        self.register = Some(register);
        verdict
    }

    /// The register under this seal. All proposals of a server are under one.
    fn take_register(&mut self, seal: &Arc<RowSeal>) -> Result<Register> {
        if let Some(register) = self.register.take_if(|register| register.is_under(seal)) {
            return Ok(register);
        }
        self.list()?;
        let root = self.nodes.node(NodeId::Root)?;
        let earlier = self.earlier.take_if(|register| register.is_under(seal));
        Ok(match earlier {
            Some(register) => register.at(&root),
            None => Register::open(seal, &root, seal.newest()),
        })
    }

    /// The batch goes on after a refusal, in the same transaction: so everything is checked before the
    /// first write, and a refusal has nothing to undo but tickets, which are given back.
    fn judge_by(&mut self, register: &mut Register, proposal: &Proposal) -> Result<Verdict> {
        if register.is_rolled_back(self.next_index) {
            return Ok(Verdict::RolledBack);
        }
        if let Some(refusal) = self.stale(register, proposal)? {
            return Ok(refusal);
        }
        // Tickets come last: when they can be spent, everything else holds.
        if let Some(ticket) = self.spend_all(proposal.spends())? {
            return Ok(Verdict::Spent(ticket));
        }
        for write in proposal.writes() {
            self.write(register, write)?;
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

    /// Refuses a proposal of which some row is not as it expects. Rows that were only read
    /// count like those to be written: a decision that rested on a policy or a key's state is void when
    /// that has changed.
    fn stale(&self, register: &mut Register, proposal: &Proposal) -> Result<Option<Verdict>> {
        let reads = proposal.reads().iter().map(|(place, epoch)| (place, *epoch));
        let writes = proposal.writes().iter().map(|write| (&write.place, write.expected));
        for (place, expected) in reads.chain(writes) {
            match register.epoch(place, &self.nodes)? {
                Ok(epoch) if epoch == expected => {}
                Ok(_) => return Ok(Some(Verdict::Stale(place.clone()))),
                Err(fault) => return Ok(Some(Verdict::Tampered(place.clone(), fault))),
            }
        }
        Ok(proposal.written_twice().map(|place| Verdict::Stale(place.clone())))
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

    /// Puts a row's new document in place and its epoch up by one. Of a removed row the register keeps
    /// the epoch.
    fn write(&mut self, register: &mut Register, write: &Write) -> Result<()> {
        let at = (write.place.kind.word(), &write.place.id);
        if let Some(row) = register.write(write, self.next_index) {
            let insert = "INSERT INTO row (kind, id, epoch, serial, mac, body)
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                          ON CONFLICT DO UPDATE SET epoch = excluded.epoch, serial = excluded.serial,
                          mac = excluded.mac, body = excluded.body";
            let (epoch, serial) = (sql(row.epoch.0), sql(row.serial.0));
            self.transaction
                .prepare_cached(insert)?
                .execute((at.0, at.1, epoch, serial, row.mac, row.body))?;
        } else {
            let delete = "DELETE FROM row WHERE kind = ?1 AND id = ?2";
            self.transaction.prepare_cached(delete)?.execute(at)?;
        }
        // These hold wrapped keys. Only replacing or removing one leaves old material behind.
        let wraps = matches!(write.place.kind, Kind::KeyVersion | Kind::Keyring);
        self.erases |= wraps && write.expected != Epoch::ABSENT;
        Ok(())
    }

    /// Writes down what the register lists now.
    fn list(&mut self) -> Result<()> {
        for (id, node) in self.register.iter_mut().flat_map(Register::flush) {
            self.nodes.put(id, &node)?;
        }
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

    /// Writes down the register, and the next index, which must outlive the entries: without it, a
    /// store whose entries were all pruned would begin again at 0. The caller commits; if it can, the next
    /// transaction goes on with the register that this answers.
    pub(super) fn finish(mut self) -> Result<Option<Register>> {
        self.list()?;
        if self.next_index != self.first_index {
            let update = "UPDATE meta SET value = ?1 WHERE key = 'next_index'";
            self.transaction.prepare_cached(update)?.execute([sql(self.next_index)])?;
        }
        Ok(self.register.or(self.earlier))
    }
}
