//! The database file in the hands of somebody else.

use keyhaven_engine::{
    integrity::{Fault, NodeId, Register, RowSeal},
    port::store::Row,
};
use rusqlite::Connection;

use super::*;

/// A store with ten keys, of which each was changed once, and its database's path.
async fn filled() -> (TempDir, SqliteStore) {
    let folder = folder();
    let store = open(&folder);
    for epoch in 0..2 {
        let writes = (0..10).map(|number| write(&key(number), epoch, b"body")).collect();
        store.commit(proposal("a", writes, None)).await.unwrap();
    }
    (folder, store)
}

fn key(number: usize) -> Place {
    Place::new(Kind::Key, format_args!("k{number}"))
}

/// What somebody does to the file.
fn edit(folder: &TempDir, statements: &str) {
    let connection = Connection::open(folder.path().join(DATABASE)).unwrap();
    connection.execute_batch(statements).unwrap();
}

async fn read(store: &SqliteStore, place: &Place) -> Result<Row, Fault> {
    let Extract { rows, nodes } = store.read(place.clone()).await.unwrap();
    let seal = RowSeal::for_conformance();
    let mut register = Register::open(&seal, nodes.get(NodeId::Root), seal.newest());
    register.check(place, rows.into_iter().next(), &nodes)
}

#[tokio::test]
async fn values_of_any_type_are_told_as_changed_rows() {
    for change in [
        "epoch = -1",
        "epoch = 9223372036854775807",
        "serial = -5",
        "mac = x'00'",
        "mac = zeroblob(100)",
        "body = x''",
        "body = x'ff'",
    ] {
        let (folder, store) = filled().await;
        edit(&folder, &format!("UPDATE row SET {change} WHERE id = 'k3'"));
        assert_eq!(read(&store, &key(3)).await, Err(Fault::Changed), "{change}");
        assert!(read(&store, &key(4)).await.is_ok(), "{change}");
    }
    // An id that is no text.
    let (folder, store) = filled().await;
    edit(&folder, "UPDATE row SET id = CAST(x'6bff' AS TEXT) WHERE id = 'k3'");
    assert_eq!(read(&store, &key(3)).await, Err(Fault::Deleted));
    let listed = store.list(Kind::Key, String::new(), String::new(), 99).await.unwrap();
    assert_eq!(listed.rows.len(), 10);
}

#[tokio::test]
async fn an_edited_epoch_opens_no_gate() {
    let (folder, store) = filled().await;
    edit(&folder, "UPDATE row SET epoch = 1 WHERE id = 'k3'");
    let old = proposal("b", vec![write(&key(3), 1, b"x")], None);
    assert_eq!(store.commit(old).await, Ok(Verdict::Stale(key(3))));
    // Who knows what was there last writes it anew.
    let new = proposal("c", vec![write(&key(3), 2, b"x")], None);
    assert_eq!(store.commit(new).await, Ok(Verdict::Committed { index: 2 }));
    assert_eq!(read(&store, &key(3)).await.unwrap().epoch, Epoch(3));
}

#[tokio::test]
async fn a_register_that_was_edited_lets_nothing_through() {
    let (folder, store) = filled().await;
    edit(&folder, "UPDATE node SET body = zeroblob(40) WHERE number = 0");
    let verdict = store.commit(proposal("b", vec![write(&key(3), 2, b"x")], None)).await;
    assert_eq!(verdict, Ok(Verdict::Tampered(key(3), Fault::Register)));
    assert_eq!(read(&store, &key(3)).await, Err(Fault::Register));
}

#[tokio::test]
async fn a_database_put_back_under_the_running_store_is_found_by_the_next_commit() {
    let (folder, store) = filled().await;
    let copy = folder.path().join("copy.db");
    edit(&folder, &format!("VACUUM INTO '{}'", copy.display()));
    let seal = RowSeal::for_conformance();
    let of = |writes| Proposal::for_conformance_under(&seal, proposal("b", writes, None));
    store.commit(of(vec![write(&key(3), 2, b"x")])).await.unwrap();
    put_back(&folder, &copy);
    assert_eq!(store.commit(of(vec![])).await, Ok(Verdict::RolledBack));
    assert_eq!(store.next_index().await, Ok(2), "nothing was recorded");
}

fn put_back(folder: &TempDir, copy: &Path) {
    let tables = ["row", "node", "meta", "log_entry", "ticket_use"];
    let each = tables.map(|table| {
        format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM old.{table};")
    });
    let (copy, each) = (copy.display(), each.concat());
    edit(folder, &format!("ATTACH '{copy}' AS old; BEGIN; {each} COMMIT;"));
}

#[tokio::test]
async fn triggers_that_somebody_left_in_the_file_do_not_run() {
    let (folder, store) = filled().await;
    edit(&folder, "CREATE TRIGGER t AFTER INSERT ON log_entry BEGIN DELETE FROM log_entry; END;");
    store.commit(proposal("b", vec![], None)).await.unwrap();
    assert_eq!(store.entries(0, 99).await.unwrap().len(), 3);
    drop(store);
    let store = open(&folder);
    store.commit(proposal("c", vec![], None)).await.unwrap();
    assert_eq!(store.entries(0, 99).await.unwrap().len(), 4);
}

#[tokio::test]
async fn what_belongs_to_no_place_is_named() {
    let (folder, store) = filled().await;
    assert_eq!(store.strays().await.unwrap(), [""; 0]);
    edit(&folder, "INSERT INTO row SELECT 'ghost', id, epoch, serial, mac, body FROM row LIMIT 1");
    edit(&folder, "INSERT INTO node VALUES (-1, x'00'), (65793, x'00')");
    assert_eq!(store.strays().await.unwrap(), ["ghost k0", "node -1", "node 65793"]);
}

#[tokio::test]
async fn who_inspects_a_store_at_work_sees_it_and_changes_nothing() {
    let (folder, store) = filled().await;
    let inspected = SqliteStore::inspect(folder.path()).unwrap();
    assert!(read(&inspected, &key(3)).await.is_ok());
    let refused = inspected.commit(proposal("b", vec![], None)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    store.commit(proposal("c", vec![write(&key(3), 2, b"x")], None)).await.unwrap();
    assert_eq!(read(&inspected, &key(3)).await.unwrap().epoch, Epoch(3));
    let nowhere = self::folder();
    assert!(SqliteStore::inspect(nowhere.path()).is_err());
    assert_eq!(fs::read_dir(nowhere.path()).unwrap().count(), 0, "nothing was made");
}
