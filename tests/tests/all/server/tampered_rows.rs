//! The database of a real server in the hands of somebody else.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, complaint, keyhaven, until};

/// A stopped server's folder with the keys `photos` and `music`, their ids, and `photos` as it was before
/// it was disabled and enabled again.
struct Scene {
    _temporary: TempDir,
    folder: PathBuf,
    photos: String,
    music: String,
}

const SIX: [&str; 6] = ["k0", "k1", "k2", "k3", "k4", "k5"];

impl Scene {
    fn new() -> Self {
        let temporary = TempDir::new().unwrap();
        let folder = temporary.path().join("data");
        let server = Server::start_on(&folder);
        let make =
            |name: &str| server.json(&["key", "create", name])["id"].as_str().unwrap().to_owned();
        let (photos, music) = (make("photos"), make("music"));
        SIX.iter().for_each(|name| drop(make(name)));
        // The older rows, to be put back; they are in the same file under another name.
        assert!(server.terminate().success());
        edit(&folder, "CREATE TABLE older AS SELECT * FROM row");
        let server = Server::start_on(&folder);
        for name in ["photos", "music"].iter().chain(&SIX) {
            server.must(&["key", "disable", name]);
            server.must(&["key", "enable", name]);
        }
        assert!(server.terminate().success());
        Self { _temporary: temporary, folder, photos, music }
    }
}

fn edit(folder: &Path, statements: &str) {
    Connection::open(folder.join("store.db")).unwrap().execute_batch(statements).unwrap();
}

fn fsck(folder: &Path) -> (i32, Vec<Value>) {
    let output = keyhaven(&["fsck", "--json", "--data-dir", folder.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", complaint(&output)));
    (output.status.code().unwrap(), report["findings"].as_array().unwrap().clone())
}

#[test]
fn a_tampered_key_is_refused_the_others_go_on_and_fsck_tells() {
    let scene = Scene::new();
    let (folder, photos, music) = (&scene.folder, &scene.photos, &scene.music);
    assert_eq!(fsck(folder), (0, vec![]));
    edit(folder, "CREATE TABLE whole AS SELECT * FROM row");
    for (tampering, fault) in [
        (
            format!(
                "UPDATE row SET body = CAST(replace(CAST(body AS TEXT), 'enabled', 'ENABLED') AS BLOB) WHERE id = '{photos}'"
            ),
            "changed",
        ),
        (
            format!(
                "UPDATE row SET body = (SELECT body FROM whole WHERE id = '{music}') WHERE id = '{photos}'"
            ),
            "changed",
        ),
        (format!("DELETE FROM row WHERE id = '{photos}'"), "deleted"),
        (format!("REPLACE INTO row SELECT * FROM older WHERE id = '{photos}'"), "outdated"),
    ] {
        edit(folder, &tampering);
        let server = Server::start_on(folder);
        let body = json!({ "plaintext": "aGVsbG8=" });
        let (status, told) =
            server.call("POST", &format!("/api/v1/keys/{photos}/encrypt"), Some(&body));
        assert_eq!((status, &told["code"]), (500, &json!("quarantined")), "{tampering}: {told}");
        assert!(told["detail"].as_str().unwrap().contains("keyhaven fsck"), "{told}");
        let (status, _) =
            server.call("POST", &format!("/api/v1/keys/{music}/encrypt"), Some(&body));
        assert_eq!(status, 200, "{tampering}");
        until(|| server.call("GET", "/readyz", None).1["quarantined"] == json!(1));
        assert_eq!(server.call("GET", "/readyz", None).1["ready"], json!(true));
        assert!(server.log().contains("ALARM"), "{tampering}");
        // The server is at work meanwhile.
        let (code, findings) = fsck(folder);
        assert_eq!((code, findings.len()), (1, 1), "{tampering}: {findings:?}");
        assert_eq!(findings[0]["what"], format!("key {photos}"));
        assert_eq!(findings[0]["fault"], fault, "{tampering}");
        assert!(server.terminate().success());
        edit(folder, "DELETE FROM row; INSERT INTO row SELECT * FROM whole");
        assert_eq!(fsck(folder).0, 0);
    }
}

#[test]
fn a_database_put_back_under_the_running_server_is_refused() {
    let server = Server::start();
    let photos = server.json(&["key", "create", "photos"])["id"].as_str().unwrap().to_owned();
    let copy = server.folder().with_extension("copy");
    edit(server.folder(), &format!("VACUUM INTO '{}'", copy.display()));
    server.must(&["key", "disable", "photos"]);
    let tables = ["row", "node", "meta", "log_entry", "ticket_use"];
    let each = tables.map(|table| {
        format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM old.{table};")
    });
    edit(
        server.folder(),
        &format!("ATTACH '{}' AS old; BEGIN; {} COMMIT;", copy.display(), each.concat()),
    );
    let path = format!("/api/v1/keys/{photos}/encrypt");
    for _ in 0..2 {
        let (status, told) = server.call("POST", &path, Some(&json!({ "plaintext": "aGVsbG8=" })));
        assert_eq!((status, &told["code"]), (503, &json!("rolled_back")), "{told}");
    }
    assert_eq!(server.call("GET", "/api/v1/keyrings", None).0, 503);
    until(|| {
        let (status, told) = server.call("GET", "/readyz", None);
        (status, &told["rolled_back"]) == (503, &json!(true))
    });
    assert!(server.log().contains("put back to an older state"));
}

/// One thing that somebody does, and what of the database it is done to.
fn tampering(kind: usize, number: usize) -> String {
    let one =
        format!("(SELECT id FROM row WHERE kind = 'key' ORDER BY id LIMIT 1 OFFSET {number})");
    let at = format!("kind = 'key' AND id = {one}");
    match kind {
        0 => format!("UPDATE row SET body = CAST(body || ' ' AS BLOB) WHERE {at}"),
        1 => format!("UPDATE row SET epoch = epoch + 1 WHERE {at}"),
        2 => format!("UPDATE row SET serial = serial - 1 WHERE {at}"),
        3 => format!("UPDATE row SET mac = zeroblob(32) WHERE {at}"),
        4 => format!("DELETE FROM row WHERE {at}"),
        5 => format!("REPLACE INTO row SELECT * FROM older WHERE {at}"),
        6 => format!(
            "INSERT INTO row SELECT kind, id || 'x', epoch, serial, mac, body FROM row WHERE {at}"
        ),
        7 => format!(
            "INSERT INTO row SELECT 'alias', id, epoch, serial, mac, body FROM row WHERE {at}"
        ),
        8 => format!(
            "UPDATE row SET mac = (SELECT mac FROM row WHERE kind = 'key-version' LIMIT 1) WHERE {at}"
        ),
        _ => format!(
            "UPDATE node SET body = CAST(body || x'01' AS BLOB) WHERE number =
             (SELECT number FROM node ORDER BY number LIMIT 1 OFFSET {number})"
        ),
    }
}

#[test]
fn fsck_finds_each_of_thirty_tamperings() {
    let scene = Scene::new();
    let folder = &scene.folder;
    edit(
        folder,
        "CREATE TABLE whole AS SELECT * FROM row; CREATE TABLE nodes AS SELECT * FROM node",
    );
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).unwrap();
    let mut random = u64::from_be_bytes(seed);
    for round in 0..30 {
        // Knuth's generator: the failing case can be played again from what is told.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let number = usize::try_from(random >> 33).unwrap() % 8;
        let statement = tampering(round % 10, number);
        edit(folder, &statement);
        let (code, findings) = fsck(folder);
        assert!(code == 1 && !findings.is_empty(), "{statement}: {findings:?}");
        edit(
            folder,
            "DELETE FROM row; INSERT INTO row SELECT * FROM whole;
             DELETE FROM node; INSERT INTO node SELECT * FROM nodes",
        );
    }
    assert_eq!(fsck(folder), (0, vec![]));
}
