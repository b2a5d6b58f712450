use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use keyhaven_engine::{
    conformance,
    port::store::{Epoch, PendingEntry, Spend, Write},
};
use keyhaven_shared::ids::TicketId;
use tempfile::TempDir;

use super::*;

mod child;
mod fault;
mod model;
mod tamper;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(folder.path()).unwrap()
}

fn write(place: &Place, expected: u64, body: &[u8]) -> Write {
    Write { place: place.clone(), expected: Epoch(expected), body: Some(body.to_vec()) }
}

fn proposal(tag: &str, writes: Vec<Write>, spend: Option<Spend>) -> Proposal {
    let entry = PendingEntry::new(format!("{tag}@").into_bytes(), vec![]);
    Proposal::for_conformance(vec![], writes, spend, entry)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_does_what_every_store_must() {
    let folder = folder();
    conformance::store::check(Arc::new(open(&folder))).await;
}

#[tokio::test]
async fn it_does_so_again_after_a_restart_and_on_one_thread() {
    let folder = folder();
    let store = open(&folder);
    store.commit(proposal("before", vec![], None)).await.unwrap();
    drop(store);
    let store = open(&folder);
    assert_eq!(store.next_index().await, Ok(1));
    conformance::store::check(Arc::new(store)).await;
}

#[tokio::test]
async fn rows_tickets_entries_and_the_index_outlive_a_restart() {
    let folder = folder();
    let place = Place::new(Kind::Key, "k");
    let spend = Some(Spend { ticket: TicketId::from_bytes([1; 16]), uses: 1, expires: u64::MAX });
    let store = open(&folder);
    let first = proposal("a", vec![write(&place, 0, b"body")], spend);
    assert_eq!(store.commit(first).await, Ok(Verdict::Committed { index: 0 }));
    store.commit(proposal("b", vec![], None)).await.unwrap();
    store.prune_entries(1).await.unwrap();
    drop(store);
    let store = open(&folder);
    let rows = store.read(place.clone()).await.unwrap().rows;
    let row = &rows[0];
    assert_eq!((&row.place, row.epoch, row.body.as_slice()), (&place, Epoch(1), &b"body"[..]));
    let again = store.commit(proposal("c", vec![], spend)).await;
    assert_eq!(again, Ok(Verdict::Spent(TicketId::from_bytes([1; 16]))));
    assert_eq!(store.entries(0, 9).await.unwrap(), [(1, b"b@1".to_vec())]);
    store.prune_entries(2).await.unwrap();
    drop(store);
    assert_eq!(open(&folder).next_index().await, Ok(2));
}

#[test]
fn a_folder_in_use_is_refused_by_name() {
    let folder = folder();
    let store = open(&folder);
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert_eq!(error, OpenError::InUse(folder.path().to_owned()));
    assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
    drop(store);
    open(&folder);
}

#[test]
fn the_folder_and_its_files_are_private() {
    let parent = folder();
    let folder = parent.path().join("a/data");
    let _store = SqliteStore::open(&folder).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{file:?}");
    }
}

#[test]
fn what_is_not_a_store_of_this_version_is_refused() {
    let folder = folder();
    drop(open(&folder));
    let path = folder.path().join("store.db");
    let set = |version: i64| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute("UPDATE meta SET value = ?1 WHERE key = 'version'", [version]).unwrap();
    };
    set(4);
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert_eq!(error, OpenError::Newer { path: path.clone(), found: 4, known: 3 });
    set(2);
    for error in [SqliteStore::open(folder.path()), SqliteStore::inspect(folder.path())] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("schema version 2 is of no release"), "{error}");
    }
    fs::write(&path, "this is no database, but it is longer than its header is".repeat(9)).unwrap();
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Inaccessible { .. }), "{error}");
}

#[tokio::test]
async fn ended_tickets_are_forgotten_and_others_are_not() {
    let folder = folder();
    let spend = |ticket, expires| {
        Some(Spend { ticket: TicketId::from_bytes([ticket; 16]), uses: 1, expires })
    };
    let store = open(&folder);
    store.commit(proposal("a", vec![], spend(1, 1))).await.unwrap();
    store.commit(proposal("b", vec![], spend(2, u64::MAX))).await.unwrap();
    drop(store);
    // Each writer forgets in its first transaction.
    let store = open(&folder);
    store.ping().await.unwrap();
    let ended = store.commit(proposal("c", vec![], spend(1, 1))).await;
    assert!(matches!(ended, Ok(Verdict::Committed { .. })), "{ended:?}");
    let again = store.commit(proposal("d", vec![], spend(2, u64::MAX))).await;
    assert_eq!(again, Ok(Verdict::Spent(TicketId::from_bytes([2; 16]))));
}

#[tokio::test]
async fn replaced_and_removed_key_material_is_in_no_file_any_more() {
    let folder = folder();
    let store = open(&folder);
    let [first, second] =
        [b"first wrapped material ".repeat(9), b"second wrapped one ".repeat(400)];
    let [replaced, removed] = ["k/1", "k/2"].map(|id| Place::new(Kind::KeyVersion, id));
    let writes = vec![write(&replaced, 0, &first), write(&removed, 0, &second)];
    store.commit(proposal("a", writes, None)).await.unwrap();
    assert!(holds(&folder, b"first wrapped") && holds(&folder, b"second wrapped"));
    let gone = Write { place: removed.clone(), expected: Epoch(1), body: None };
    store.commit(proposal("b", vec![write(&replaced, 1, b"new"), gone], None)).await.unwrap();
    // The log is emptied after the answer, and before the next transaction.
    store.ping().await.unwrap();
    assert!(!holds(&folder, b"first wrapped") && !holds(&folder, b"second wrapped"));
}

/// Whether any file in the folder holds these bytes.
fn holds(folder: &TempDir, bytes: &[u8]) -> bool {
    fs::read_dir(folder.path()).unwrap().any(|file| {
        let content = fs::read(file.unwrap().path()).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}
