//! Many at once: commits are linearizable, and the log's order is their order.

use std::{collections::BTreeMap, sync::Arc};

use tokio::task::JoinSet;

use super::{committed, proposal, read, spend, write};
use crate::port::store::{Epoch, Kind, Place, Store, StoreError, Verdict};

const USERS: usize = 24;
const CHANGES: u64 = 40;

/// Many users commit on the epoch they read while one changer changes it: no use of an epoch stands in
/// the log after the change that ended it, or before the change that began it.
pub(super) async fn nothing_stale(store: &Arc<dyn Store>) -> Result<(), StoreError> {
    let place = Place::new(Kind::Key, "race");
    committed(store.as_ref(), vec![], vec![write(&place, 0, Some("0"))]).await?;
    let mut users = JoinSet::new();
    for _ in 0..USERS {
        users.spawn(uses(Arc::clone(store), place.clone()));
    }
    let mut changes = BTreeMap::new();
    for epoch in 1..=CHANGES {
        let change = proposal(vec![], vec![write(&place, epoch, Some("x"))], None);
        let Verdict::Committed { index } = store.commit(change).await? else {
            assert_eq!(epoch, 0, "the only changer was refused");
            continue;
        };
        changes.insert(epoch + 1, index);
        // From here on nothing that rests on the old epoch may be committed.
        let late = proposal(vec![(place.clone(), Epoch(epoch))], vec![], None);
        assert_eq!(store.commit(late).await?, Verdict::Stale(place.clone()));
        assert_eq!(read(store.as_ref(), place.clone()).await?.epoch, Epoch(epoch + 1));
    }
    let mut seen = 0;
    while let Some(joined) = users.join_next().await {
        assert!(joined.is_ok(), "a user's task died: {joined:?}");
        for (epoch, index) in joined.unwrap_or(Ok(vec![]))? {
            seen += 1;
            let begun = changes.get(&epoch).is_none_or(|change| *change < index);
            let ended = changes.get(&(epoch + 1)).is_some_and(|change| *change < index);
            assert!(begun && !ended, "the use of epoch {epoch} at {index} is stale");
        }
    }
    assert!(seen > 0, "nobody was committed at all");
    Ok(())
}

/// Commits on what it reads until the last change is done; answers the epochs and indexes.
async fn uses(store: Arc<dyn Store>, place: Place) -> Result<Vec<(u64, u64)>, StoreError> {
    let mut done = Vec::new();
    loop {
        let Epoch(epoch) = read(store.as_ref(), place.clone()).await?.epoch;
        let using = proposal(vec![(place.clone(), Epoch(epoch))], vec![], None);
        if let Verdict::Committed { index } = store.commit(using).await? {
            done.push((epoch, index));
        }
        if epoch > CHANGES {
            return Ok(done);
        }
        tokio::task::yield_now().await;
    }
}

/// Of many who race for a ticket with three uses, three win.
pub(super) async fn three_of_many_spend(store: &Arc<dyn Store>) -> Result<(), StoreError> {
    let mut racers = JoinSet::new();
    for _ in 0..USERS {
        let store = Arc::clone(store);
        racers
            .spawn(async move { store.commit(proposal(vec![], vec![], Some(spend(9, 3)))).await });
    }
    let (mut won, mut lost) = (0, 0);
    while let Some(joined) = racers.join_next().await {
        match joined.unwrap_or(Ok(Verdict::Spent(spend(9, 3).ticket)))? {
            Verdict::Committed { .. } => won += 1,
            Verdict::Spent(_) => lost += 1,
            Verdict::Stale(place) | Verdict::Tampered(place, _) => {
                assert_eq!(place.id, "", "nothing was read");
            }
            Verdict::RolledBack => assert_eq!(won, USERS, "nothing was put back"),
        }
    }
    assert_eq!((won, lost), (3, USERS - 3));
    Ok(())
}
