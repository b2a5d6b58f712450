//! The disk refuses, in each of the ways it can.

use super::*;
use crate::store::writer::Meddling;

async fn meddle(
    store: &SqliteStore,
    meddling: impl FnOnce(&mut rusqlite::Connection) + Send + 'static,
) {
    let meddling: Meddling = Box::new(meddling);
    // The meddling may well make its own transaction fail.
    drop(store.ask(|answer| Job::Meddle(Some(meddling), answer)).await);
}

fn change(place: &Place) -> Proposal {
    proposal("change", vec![write(place, 0, &[7; 100_000])], None)
}

async fn assert_unavailable(store: &SqliteStore, place: &Place) {
    let refused = store.commit(change(place)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.trouble().is_some());
    assert_nothing(store, place).await;
}

async fn assert_nothing(store: &SqliteStore, place: &Place) {
    assert_eq!(store.read(place.clone()).await, Ok(Extract::default()));
    assert_eq!(store.next_index().await, Ok(0));
    assert_eq!(store.entries(0, 9).await, Ok(vec![]));
}

async fn assert_works(store: &SqliteStore, place: &Place) {
    assert_eq!(store.commit(change(place)).await, Ok(Verdict::Committed { index: 0 }));
    assert_eq!(store.trouble(), None);
}

#[tokio::test]
async fn a_full_disk_refuses_with_nothing_done_until_there_is_room() {
    let (folder, place) = (folder(), Place::new(Kind::Key, "k"));
    let store = open(&folder);
    meddle(&store, |c| c.pragma_update(None, "max_page_count", 1).unwrap()).await;
    assert_unavailable(&store, &place).await;
    meddle(&store, |c| c.pragma_update(None, "max_page_count", 1 << 20).unwrap()).await;
    assert_works(&store, &place).await;
}

#[tokio::test]
async fn a_read_only_store_refuses_with_nothing_done_until_it_can_write() {
    let (folder, place) = (folder(), Place::new(Kind::Key, "k"));
    let store = open(&folder);
    meddle(&store, |c| c.pragma_update(None, "query_only", "ON").unwrap()).await;
    assert_unavailable(&store, &place).await;
    let ping = store.ping().await;
    assert!(matches!(ping, Err(StoreError::Unavailable(_))), "{ping:?}");
    meddle(&store, |c| c.pragma_update(None, "query_only", "OFF").unwrap()).await;
    assert_works(&store, &place).await;
    assert_eq!(store.ping().await, Ok(()));
}

#[tokio::test]
async fn a_commit_that_failed_is_settled_by_another() {
    let (folder, place) = (folder(), Place::new(Kind::Key, "k"));
    let store = open(&folder);
    meddle(&store, |c| c.commit_hook(Some(|| true)).unwrap()).await;
    assert_unavailable(&store, &place).await;
    // The connection that failed was replaced.
    assert_works(&store, &place).await;
}

#[tokio::test]
async fn a_commit_that_failed_and_cannot_be_settled_is_unknown() {
    let (folder, place) = (folder(), Place::new(Kind::Key, "k"));
    let store = open(&folder);
    meddle(&store, |c| c.commit_hook(Some(|| true)).unwrap()).await;
    let [path, away] = ["store.db", "away"].map(|name| folder.path().join(name));
    fs::rename(&path, &away).unwrap();
    let unknown = store.commit(change(&place)).await;
    assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{unknown:?}");
    let after = store.commit(change(&place)).await;
    assert!(matches!(after, Err(StoreError::Unavailable(_))), "{after:?}");
    fs::rename(&away, &path).unwrap();
    assert_works(&store, &place).await;
}

#[tokio::test]
async fn one_refused_in_a_batch_does_not_touch_the_others() {
    let (folder, place) = (folder(), Place::new(Kind::Key, "k"));
    let store = Arc::new(open(&folder));
    // All three are queued before the writer gets to run them, in whatever batches.
    let commits = ["a", "b", "c"].map(|tag| {
        let (store, place) = (Arc::clone(&store), place.clone());
        tokio::spawn(async move {
            store.commit(proposal(tag, vec![write(&place, 0, tag.as_bytes())], None)).await
        })
    });
    let mut verdicts = Vec::new();
    for commit in commits {
        verdicts.push(commit.await.unwrap().unwrap());
    }
    let stale = Verdict::Stale(place);
    assert_eq!(verdicts, [Verdict::Committed { index: 0 }, stale.clone(), stale]);
}
