//! What every store must do.
//!
//! The cases share one store, each with rows of its own, so that they also run on a store in use.

use std::sync::Arc;

use keyhaven_shared::ids::TicketId;

use crate::{
    integrity::{NodeId, Register, RowSeal},
    port::store::{
        Epoch, Extract, Kind, PendingEntry, Place, Proposal, Row, Spend, Store, StoreError,
        Verdict, Write,
    },
    row::Serial,
};

mod race;
mod register;

/// Runs the whole suite. It spawns tasks, so it needs a tokio runtime.
///
/// # Panics
/// When the store does not do what every store must.
pub async fn check(store: Arc<dyn Store>) {
    let s = store.as_ref();
    assert_eq!(rows_count_their_changes(s).await, Ok(()), "rows count their changes");
    assert_eq!(removed_rows_count_on(s).await, Ok(()), "removed rows count on");
    assert_eq!(refusals_change_nothing(s).await, Ok(()), "refusals change nothing");
    assert_eq!(tickets_are_spent(s).await, Ok(()), "tickets are spent as often as they may");
    assert_eq!(lists_are_in_order(s).await, Ok(()), "lists are in order");
    assert_eq!(ids_are_bytes(s).await, Ok(()), "ids are compared by bytes");
    assert_eq!(entries_are_consecutive(s).await, Ok(()), "entries are consecutive");
    assert_eq!(pruning_keeps_the_index(s).await, Ok(()), "pruning keeps the next index");
    assert_eq!(register::everything_is_listed(s).await, Ok(()), "everything is listed");
    assert_eq!(
        register::an_older_store_is_refused(s).await,
        Ok(()),
        "nothing is committed to a store that is older than it was"
    );
    assert_eq!(race::nothing_stale(&store).await, Ok(()), "nothing stale is committed");
    assert_eq!(
        race::three_of_many_spend(&store).await,
        Ok(()),
        "three of many spend a ticket of three uses"
    );
    assert_eq!(s.ping().await, Ok(()), "a ping is answered");
}

async fn rows_count_their_changes(store: &dyn Store) -> Result<(), StoreError> {
    let place = Place::new(Kind::Keyring, "count");
    assert_eq!(read(store, place.clone()).await?, row(&place, 0, None));
    for epoch in 0..3 {
        let body = epoch.to_string();
        committed(store, vec![], vec![write(&place, epoch, Some(&body))]).await?;
        assert_eq!(read(store, place.clone()).await?, row(&place, epoch + 1, Some(&body)));
    }
    // The same id of another kind is another row.
    let other = Place::new(Kind::Key, "count");
    assert_eq!(read(store, other.clone()).await?, row(&other, 0, None));
    Ok(())
}

async fn removed_rows_count_on(store: &dyn Store) -> Result<(), StoreError> {
    let place = Place::new(Kind::Alias, "ring/removed");
    committed(store, vec![], vec![write(&place, 0, Some("a"))]).await?;
    committed(store, vec![], vec![write(&place, 1, None)]).await?;
    assert_eq!(read(store, place.clone()).await?, row(&place, 2, None));
    assert!(list(store, Kind::Alias, place.id.clone(), String::new(), 9).await?.is_empty());
    // Neither "never was" nor "as it was" is true of a row that was removed.
    for epoch in [0, 1] {
        let again = proposal(vec![], vec![write(&place, epoch, Some("b"))], None);
        assert_eq!(store.commit(again).await?, Verdict::Stale(place.clone()));
    }
    committed(store, vec![], vec![write(&place, 2, Some("b"))]).await?;
    assert_eq!(read(store, place.clone()).await?, row(&place, 3, Some("b")));
    Ok(())
}

async fn refusals_change_nothing(store: &dyn Store) -> Result<(), StoreError> {
    let [old, new] = ["refused-old", "refused-new"].map(|id| Place::new(Kind::Policy, id));
    committed(store, vec![], vec![write(&old, 0, Some("a"))]).await?;
    let index = store.next_index().await?;
    let spend = Some(spend(1, 1));
    let fresh = write(&new, 0, Some("b"));
    let refused = [
        proposal(vec![(old.clone(), Epoch(0))], vec![fresh.clone()], spend),
        proposal(vec![(old.clone(), Epoch(2))], vec![fresh.clone()], spend),
        proposal(vec![(old.clone(), Epoch(u64::MAX))], vec![fresh.clone()], spend),
        proposal(vec![], vec![fresh.clone(), write(&old, 0, None)], spend),
        // A place can be changed once: the second change rests on what the first replaces.
        proposal(vec![], vec![write(&old, 1, None), fresh.clone(), write(&old, 1, None)], spend),
    ];
    for refused in refused {
        assert_eq!(store.commit(refused).await?, Verdict::Stale(old.clone()));
    }
    let none_left = self::spend(1, 0);
    let spent = proposal(vec![], vec![fresh], Some(none_left));
    assert_eq!(store.commit(spent).await?, Verdict::Spent(none_left.ticket));
    assert_eq!(store.next_index().await?, index);
    assert!(store.entries(index, 9).await?.is_empty());
    assert_eq!(read(store, old.clone()).await?, row(&old, 1, Some("a")));
    assert_eq!(read(store, new.clone()).await?, row(&new, 0, None));
    // The ticket of the refused proposals was not spent either.
    let proposal = proposal(vec![(old, Epoch(1)), (new, Epoch(0))], vec![], spend);
    assert_eq!(store.commit(proposal).await?, Verdict::Committed { index });
    Ok(())
}

async fn tickets_are_spent(store: &dyn Store) -> Result<(), StoreError> {
    for expected in [true, true, true, false, false] {
        let verdict = store.commit(proposal(vec![], vec![], Some(spend(2, 3)))).await?;
        assert_eq!(matches!(verdict, Verdict::Committed { .. }), expected, "{verdict:?}");
    }
    // Another ticket has uses of its own.
    let verdict = store.commit(proposal(vec![], vec![], Some(spend(3, 1)))).await?;
    assert!(matches!(verdict, Verdict::Committed { .. }), "{verdict:?}");
    // Of two, both are spent or neither is.
    let (fresh, used) = (spend(4, 1), spend(3, 1));
    for both in [[fresh, used], [used, fresh]] {
        let verdict = store.commit(proposal(vec![], vec![], both)).await?;
        assert_eq!(verdict, Verdict::Spent(used.ticket));
    }
    let verdict = store.commit(proposal(vec![], vec![], [fresh, spend(5, 1)])).await?;
    assert!(matches!(verdict, Verdict::Committed { .. }), "{verdict:?}");
    for each in [fresh, spend(5, 1)] {
        let verdict = store.commit(proposal(vec![], vec![], Some(each))).await?;
        assert_eq!(verdict, Verdict::Spent(each.ticket));
    }
    Ok(())
}

async fn lists_are_in_order(store: &dyn Store) -> Result<(), StoreError> {
    let ids = ["l/10", "l/2", "l/", "l/é", "l0", "l", "l/a/b", "l/B"];
    let writes = ids.map(|id| write(&Place::new(Kind::Device, id), 0, Some(id)));
    committed(store, vec![], writes.to_vec()).await?;
    let list = async |after: &str, limit| {
        let rows = list(store, Kind::Device, "l/".to_owned(), after.to_owned(), limit).await?;
        Ok(rows.into_iter().map(|row| row.place.id).collect::<Vec<_>>())
    };
    let all = ["l/", "l/10", "l/2", "l/B", "l/a/b", "l/é"];
    assert_eq!(list("", 99).await?, all);
    assert_eq!(list("k", 2).await?, ["l/", "l/10"]);
    assert_eq!(list("l/10", 2).await?, ["l/2", "l/B"]);
    assert_eq!(list("l/1", 1).await?, ["l/10"]);
    assert!(list("l/é", 99).await?.is_empty());
    assert!(list("z", 99).await?.is_empty());
    assert!(list("", 0).await?.is_empty());
    Ok(())
}

async fn ids_are_bytes(store: &dyn Store) -> Result<(), StoreError> {
    // Case, composed and decomposed letters, wildcards, a zero byte, quotes: all different, all literal.
    let ids = ["b/é", "b/e\u{301}", "b/A", "b/a", "b/%", "b/_", "b/\0", "b/'", "b/\u{10ffff}"];
    let writes = ids.map(|id| write(&Place::new(Kind::Principal, id), 0, Some(id)));
    committed(store, vec![], writes.to_vec()).await?;
    for id in ids {
        let place = Place::new(Kind::Principal, id);
        assert_eq!(read(store, place.clone()).await?, row(&place, 1, Some(id)));
        let found = list(store, Kind::Principal, id.to_owned(), String::new(), 9).await?;
        assert_eq!(found, [row(&place, 1, Some(id))]);
    }
    Ok(())
}

async fn entries_are_consecutive(store: &dyn Store) -> Result<(), StoreError> {
    let first = store.next_index().await?;
    for expected in first..first + 5 {
        let verdict = store.commit(proposal(vec![], vec![], None)).await?;
        assert_eq!(verdict, Verdict::Committed { index: expected });
        assert_eq!(store.next_index().await?, expected + 1);
    }
    let wanted: Vec<_> = (first..first + 5).map(|i| (i, entry().at(i))).collect();
    assert_eq!(store.entries(first, 99).await?, wanted);
    let some: Vec<_> = wanted.into_iter().skip(1).take(2).collect();
    assert_eq!(store.entries(first + 1, 2).await?, some);
    assert!(store.entries(first + 5, 99).await?.is_empty());
    Ok(())
}

async fn pruning_keeps_the_index(store: &dyn Store) -> Result<(), StoreError> {
    committed(store, vec![], vec![]).await?;
    committed(store, vec![], vec![]).await?;
    let next = store.next_index().await?;
    store.prune_entries(next - 1).await?;
    assert_eq!(store.entries(0, 99).await?, [(next - 1, entry().at(next - 1))]);
    store.prune_entries(next).await?;
    store.prune_entries(next).await?;
    assert!(store.entries(0, 99).await?.is_empty());
    assert_eq!(store.next_index().await?, next);
    let verdict = store.commit(proposal(vec![], vec![], None)).await?;
    assert_eq!(verdict, Verdict::Committed { index: next });
    Ok(())
}

async fn committed(
    store: &dyn Store,
    reads: Vec<(Place, Epoch)>,
    writes: Vec<Write>,
) -> Result<(), StoreError> {
    let verdict = store.commit(proposal(reads, writes, None)).await?;
    assert!(matches!(verdict, Verdict::Committed { .. }), "{verdict:?}");
    Ok(())
}

/// A row, once it was checked.
async fn read(store: &dyn Store, place: Place) -> Result<Row, StoreError> {
    let Extract { rows, nodes } = store.read(place.clone()).await?;
    assert!(rows.len() < 2, "{place} stands there more than once");
    let seal = RowSeal::for_conformance();
    let mut register = Register::open(&seal, nodes.get(NodeId::Root), Serial::NONE);
    let checked = register.check(&place, rows.into_iter().next(), &nodes);
    assert!(checked.is_ok(), "{place} does not hold: {checked:?}");
    Ok(checked.unwrap_or(Row { place, epoch: Epoch::ABSENT, body: None }))
}

/// Rows, once they were checked.
async fn list(
    store: &dyn Store,
    kind: Kind,
    prefix: String,
    after: String,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let Extract { rows, nodes } = store.list(kind, prefix, after, limit).await?;
    let seal = RowSeal::for_conformance();
    let mut register = Register::open(&seal, nodes.get(NodeId::Root), Serial::NONE);
    let checked = rows.into_iter().map(|row| register.check(&row.place.clone(), Some(row), &nodes));
    let checked: Result<Vec<_>, _> = checked.collect();
    assert!(checked.is_ok(), "a listed row does not hold: {checked:?}");
    Ok(checked.unwrap_or_default())
}

fn row(place: &Place, epoch: u64, body: Option<&str>) -> Row {
    Row { place: place.clone(), epoch: Epoch(epoch), body: body.map(Into::into) }
}

fn write(place: &Place, expected: u64, body: Option<&str>) -> Write {
    Write { place: place.clone(), expected: Epoch(expected), body: body.map(Into::into) }
}

/// A spend that is not forgotten during the test.
fn spend(ticket: u8, uses: u32) -> Spend {
    Spend { ticket: TicketId::from_bytes([ticket; 16]), uses, expires: u64::MAX }
}

fn entry() -> PendingEntry {
    PendingEntry::new(b"{\"index\":".to_vec(), b",\"time\":0}".to_vec())
}

fn proposal(
    reads: Vec<(Place, Epoch)>,
    writes: Vec<Write>,
    spends: impl IntoIterator<Item = Spend>,
) -> Proposal {
    Proposal::for_conformance(reads, writes, spends, entry())
}
