//! A store in memory with fault hooks, for the engine's tests.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use keyhaven_shared::ids::TicketId;
use tokio::sync::{Notify, watch};

use crate::{
    integrity::{NodeId, Nodes, Register},
    port::store::{
        Extract, Kind, Place, Proposal, Spend, Store, StoreError, StoreFuture, StoredRow, Verdict,
    },
};

/// What goes wrong with the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is applied; the answer is [`StoreError::Unavailable`].
    Lost,
    /// It is applied; the answer is [`StoreError::Unknown`].
    Unknown,
}

/// A store in memory. It keeps nothing over its own life.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    faults: Mutex<VecDeque<Fault>>,
    stalled: watch::Sender<bool>,
    /// The kind whose answer is held, after so many others.
    held: Mutex<Option<(Kind, usize)>>,
    released: Notify,
}

impl Default for MemoryStore {
    fn default() -> Self {
        let stalled = watch::Sender::new(false);
        let (state, faults, held) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { state, faults, stalled, held, released: Notify::new() }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next commit that would be applied fail; several faults are taken in order.
    pub fn fail_next_commit(&self, fault: Fault) {
        lock(&self.faults).push_back(fault);
    }

    /// Lets every commit wait from now on, until [`Self::resume`].
    pub fn stall(&self) {
        self.stalled.send_replace(true);
    }

    /// Lets the waiting commits go on.
    pub fn resume(&self) {
        self.stalled.send_replace(false);
    }

    /// A row as it is stored.
    #[must_use]
    pub fn row(&self, place: &Place) -> Option<StoredRow> {
        lock(&self.state).rows.get(place).cloned()
    }

    /// All rows of a kind, as they are stored.
    #[must_use]
    pub fn rows(&self, kind: Kind) -> Vec<StoredRow> {
        let state = lock(&self.state);
        state.rows.values().filter(|row| row.place.kind == kind).cloned().collect()
    }

    /// Holds one answer back until [`Self::release`]: of the reads and lists of a kind, the one after
    /// `pass` others. What is done meanwhile is not in it.
    pub fn hold_answer(&self, kind: Kind, pass: usize) {
        *lock(&self.held) = Some((kind, pass));
    }

    /// Lets the answer that is held, or will be, go.
    pub fn release(&self) {
        self.released.notify_one();
    }

    /// Puts a row there as someone with the database file could: past the gate, with any epoch.
    pub fn tamper(&self, row: StoredRow) {
        lock(&self.state).rows.insert(row.place.clone(), row);
    }

    /// Takes a row away, likewise.
    pub fn delete(&self, place: &Place) {
        lock(&self.state).rows.remove(place);
    }

    /// Changes a node of the register, likewise.
    pub fn tamper_node(&self, id: NodeId, change: impl FnOnce(&mut Vec<u8>)) {
        change(lock(&self.state).nodes.0.entry(id).or_default());
    }

    /// A copy of everything, to be put back later.
    #[must_use]
    pub fn copy(&self) -> Copied {
        Copied(lock(&self.state).clone())
    }

    /// Puts everything back as it was when the copy was made.
    pub fn put_back(&self, copy: Copied) {
        *lock(&self.state) = copy.0;
    }

    /// Waits, if this is the answer to be held back.
    async fn held(&self, kind: Kind) {
        let now = {
            let mut held = lock(&self.held);
            match held.as_mut().filter(|(awaited, _)| *awaited == kind) {
                Some((_, 0)) => held.take().is_some(),
                Some((_, pass)) => {
                    *pass -= 1;
                    false
                }
                None => false,
            }
        };
        if now {
            self.released.notified().await;
        }
    }

    async fn stalled(&self) {
        let mut stalled = self.stalled.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        drop(stalled.wait_for(|stalled| !stalled).await);
    }
}

impl Store for MemoryStore {
    fn read(&self, place: Place) -> StoreFuture<'_, Extract> {
        Box::pin(async move {
            let kind = place.kind;
            let extract = {
                let state = lock(&self.state);
                let Ok(nodes) = Nodes::to(&state.nodes, [&place]);
                Extract { rows: state.rows.get(&place).cloned().into_iter().collect(), nodes }
            };
            self.held(kind).await;
            Ok(extract)
        })
    }

    fn list(
        &self,
        kind: Kind,
        prefix: String,
        after: String,
        limit: usize,
    ) -> StoreFuture<'_, Extract> {
        Box::pin(async move {
            let extract = lock(&self.state).list(kind, (&prefix, &after), limit);
            self.held(kind).await;
            Ok(extract)
        })
    }

    fn branch(&self, branch: u8) -> StoreFuture<'_, Nodes> {
        Box::pin(async move {
            let Ok(nodes) = Nodes::of_branch(&lock(&self.state).nodes, branch);
            Ok(nodes)
        })
    }

    fn commit(&self, proposal: Proposal) -> StoreFuture<'_, Verdict> {
        Box::pin(async move {
            self.stalled().await;
            let mut state = lock(&self.state);
            let mut register = Register::open(
                proposal.seal(),
                state.nodes.get(NodeId::Root),
                proposal.seal().newest(),
            );
            if let Some(refusal) = state.refusal(&proposal, &mut register) {
                return Ok(refusal);
            }
            let fault = lock(&self.faults).pop_front();
            if fault == Some(Fault::Lost) {
                return Err(StoreError::Unavailable("lost on purpose".to_owned()));
            }
            let index = state.apply(&proposal, register);
            match fault {
                Some(_) => Err(StoreError::Unknown("answer lost on purpose".to_owned())),
                None => Ok(Verdict::Committed { index }),
            }
        })
    }

    fn entries(&self, from: u64, limit: usize) -> StoreFuture<'_, Vec<(u64, Vec<u8>)>> {
        Box::pin(async move {
            let state = lock(&self.state);
            let entries = state.entries.range(from..).take(limit);
            Ok(entries.map(|(index, entry)| (*index, entry.clone())).collect())
        })
    }

    fn prune_entries(&self, below: u64) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut state = lock(&self.state);
            state.entries = state.entries.split_off(&below);
            Ok(())
        })
    }

    fn next_index(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move { Ok(lock(&self.state).next_index) })
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.stalled().await;
            Ok(())
        })
    }
}

/// A copy of everything that was stored.
#[derive(Debug)]
pub struct Copied(State);

#[derive(Debug, Clone, Default)]
struct State {
    rows: BTreeMap<Place, StoredRow>,
    nodes: Nodes,
    spent: HashMap<TicketId, u32>,
    entries: BTreeMap<u64, Vec<u8>>,
    next_index: u64,
}

impl State {
    fn list(&self, kind: Kind, (prefix, after): (&str, &str), limit: usize) -> Extract {
        let rows = self.rows.iter().filter(|(place, _)| {
            place.kind == kind && place.id.starts_with(prefix) && place.id.as_str() > after
        });
        let rows: Vec<_> = rows.take(limit).map(|(_, row)| row.clone()).collect();
        let Ok(nodes) = Nodes::to(&self.nodes, rows.iter().map(|row| &row.place));
        Extract { rows, nodes }
    }

    fn refusal(&self, proposal: &Proposal, register: &mut Register) -> Option<Verdict> {
        if register.is_rolled_back(self.next_index) {
            return Some(Verdict::RolledBack);
        }
        let reads = proposal.reads().iter().map(|(place, epoch)| (place, *epoch));
        let writes = proposal.writes().iter().map(|write| (&write.place, write.expected));
        for (place, expected) in reads.chain(writes) {
            let Ok(epoch) = register.epoch(place, &self.nodes);
            match epoch {
                Ok(epoch) if epoch == expected => {}
                Ok(_) => return Some(Verdict::Stale(place.clone())),
                Err(fault) => return Some(Verdict::Tampered(place.clone(), fault)),
            }
        }
        if let Some(twice) = proposal.written_twice() {
            return Some(Verdict::Stale(twice.clone()));
        }
        let used = |spend: &Spend| self.spent.get(&spend.ticket).copied().unwrap_or(0);
        let spent = proposal.spends().iter().find(|spend| used(spend) >= spend.uses);
        spent.map(|spend| Verdict::Spent(spend.ticket))
    }

    fn apply(&mut self, proposal: &Proposal, mut register: Register) -> u64 {
        for write in proposal.writes() {
            match register.write(write, self.next_index) {
                Some(row) => self.rows.insert(write.place.clone(), row),
                None => self.rows.remove(&write.place),
            };
        }
        self.nodes.0.extend(register.flush());
        for spend in proposal.spends() {
            let used = self.spent.entry(spend.ticket).or_insert(0);
            *used = used.saturating_add(1);
        }
        let index = self.next_index;
        self.entries.insert(index, proposal.entry().at(index));
        self.next_index = index.saturating_add(1);
        index
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        conformance::store,
        port::store::{Epoch, PendingEntry, Write},
    };

    fn proposal() -> Proposal {
        let place = Place::new(Kind::Key, "k");
        let write = Write { place, expected: Epoch::ABSENT, body: Some(vec![1]) };
        Proposal::for_conformance(vec![], vec![write], None, PendingEntry::new(vec![], vec![]))
    }

    #[tokio::test]
    async fn it_does_what_every_store_must() {
        store::check(Arc::new(MemoryStore::new())).await;
    }

    #[tokio::test]
    async fn a_lost_commit_changes_nothing_and_an_unknown_one_does() {
        let store = MemoryStore::new();
        store.fail_next_commit(Fault::Lost);
        store.fail_next_commit(Fault::Unknown);
        let lost = store.commit(proposal()).await;
        assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
        assert_eq!(store.next_index().await, Ok(0));
        let unknown = store.commit(proposal()).await;
        assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{unknown:?}");
        assert_eq!(store.next_index().await, Ok(1));
        let stale = store.commit(proposal()).await;
        assert_eq!(stale, Ok(Verdict::Stale(Place::new(Kind::Key, "k"))));
    }

    #[tokio::test]
    async fn a_stalled_commit_goes_on_when_it_is_resumed() {
        let store = Arc::new(MemoryStore::new());
        store.stall();
        let waiting = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.commit(proposal()).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(store.next_index().await, Ok(0));
        store.resume();
        assert_eq!(waiting.await.unwrap(), Ok(Verdict::Committed { index: 0 }));
    }
}
