//! Ending in order and out of it. The audit log must verify after both.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Server, complaint, keyhaven, until};

#[test]
fn sigterm_flushes_the_log_and_exits_with_0() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("data");
    let server = Server::start_on(&folder);
    for name in ["a", "b", "c"] {
        server.must(&["key", "create", name]);
    }
    assert!(server.terminate().success());
    assert!(!folder.join("address").exists(), "nobody is sent to a server that has ended");
    let verified = verify(&folder);
    assert_eq!(verified["beyond_checkpoint"], 0);
    assert!(verified["entries"].as_u64().unwrap() >= 4, "{verified}");
}

#[test]
fn after_kill_9_in_mid_work_nothing_that_was_answered_is_lost() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("data");
    let server = Server::start_on(&folder);
    server.must(&["key", "create", "photos"]);
    let (answered, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let body = json!({ "plaintext": "aGVsbG8=" });
                while !ended.load(Ordering::SeqCst) {
                    let (status, _) =
                        server.call("POST", "/api/v1/keys/photos/encrypt", Some(&body));
                    answered.fetch_add(usize::from(status == 200), Ordering::SeqCst);
                }
            });
        }
        until(|| answered.load(Ordering::SeqCst) > 200);
        server.signal("-KILL");
        ended.store(true, Ordering::SeqCst);
    });
    drop(server);

    let server = Server::start_on(&folder);
    let entries = server.json(&["audit", "show", "--operation", "Encrypt"]);
    let recorded = entries["entries"].as_array().unwrap().len();
    let answered = answered.load(Ordering::SeqCst);
    assert!(recorded >= answered, "{answered} were answered, {recorded} are recorded");
    assert!(server.terminate().success());
    verify(&folder);
}

#[test]
fn a_changed_or_cut_log_is_found_and_the_server_does_not_go_on_with_it() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("data");
    let server = Server::start_on(&folder);
    server.must(&["key", "create", "photos"]);
    assert!(server.terminate().success());
    let log = folder.join("audit/entries.jsonl");
    let whole = std::fs::read(&log).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [flipped, whole[..whole.len() - 40].to_vec()] {
        std::fs::write(&log, damaged).unwrap();
        let output = keyhaven(&["audit", "verify", "--data-dir", folder.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let start =
            keyhaven(&["dev", "--data-dir", folder.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
        assert_eq!(start.status.code(), Some(1));
        assert!(complaint(&start).contains("audit log"), "{}", complaint(&start));
    }
    std::fs::write(&log, whole).unwrap();
    Server::start_on(&folder).must(&["status"]);
}

fn verify(folder: &std::path::Path) -> serde_json::Value {
    let output = keyhaven(&["audit", "verify", "--json", "--data-dir", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{}", complaint(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}
