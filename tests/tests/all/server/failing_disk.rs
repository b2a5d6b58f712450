//! A disk whose `fsync` fails, under the real server: the kernel's answer is exchanged by `strace`.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Server, keyhaven, until};

/// While this lives, no thread of a process can make anything durable: each sync answers `EIO`.
struct FailingSync(Child);

impl FailingSync {
    fn of(process: u32) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["--follow-forks", "--quiet=all", "--attach", &process.to_string()]);
        strace.args(["--trace=fsync,fdatasync", "--inject=fsync,fdatasync:error=EIO"]);
        let strace = strace.args(["--output=/dev/null"]).stdin(Stdio::null()).spawn();
        let failing = Self(strace.expect("no strace: `cargo xtask setup` installs it"));
        until(|| threads(process).iter().all(|thread| is_traced(thread)));
        failing
    }
}

impl Drop for FailingSync {
    fn drop(&mut self) {
        // By SIGTERM strace lets go of the server; by SIGKILL it would leave threads stopped.
        let id = self.0.id().to_string();
        drop(Command::new("kill").args(["-TERM", &id]).status());
        drop(self.0.wait());
    }
}

/// What the kernel says of each thread.
fn threads(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(Path::new("/proc").join(process.to_string()).join("task")).unwrap();
    // One that has ended meanwhile has no status any more.
    tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok()).collect()
}

fn is_traced(status: &str) -> bool {
    status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
}

#[test]
fn while_nothing_can_be_made_durable_nothing_is_answered_and_readiness_says_why() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("data");
    let server = Server::start_on(&folder);
    server.must(&["key", "create", "before"]);
    let encrypt = |key: &str| {
        let body = json!({ "plaintext": "aGVsbG8=" });
        server.call("POST", &format!("/api/v1/keys/{key}/encrypt"), Some(&body))
    };
    assert_eq!(encrypt("before").0, 200);

    let failing = FailingSync::of(server.id());
    let (status, first) = server.call(
        "POST",
        "/api/v1/keys",
        Some(&json!({ "alias": "lost", "spec": "aes-256-gcm" })),
    );
    assert_eq!(status, 503, "{first}");
    assert!(["outcome_unknown", "unavailable"].contains(&first["code"].as_str().unwrap()));
    let (status, used) = encrypt("before");
    assert_eq!(status, 503, "{used}");
    assert!(used.get("ciphertext").is_none(), "{used}");
    let waits = json!(["store", "audit log"]);
    until(|| {
        let (status, told) = server.call("GET", "/readyz", None);
        (status, &told["waiting_for"]) == (503, &waits)
    });
    drop(failing);

    until(|| server.call("GET", "/readyz", None).0 == 200);
    assert_eq!(encrypt("before").0, 200);
    // The log and the store agree on what was not known.
    let created = |document: &serde_json::Value, list: &str| {
        document[list].as_array().unwrap().iter().any(|one| one.to_string().contains("lost"))
    };
    let keys = server.json(&["key", "list"]);
    let log = server.json(&["audit", "show", "--operation", "CreateKey"]);
    assert_eq!(created(&keys, "keys"), created(&log, "entries"), "{keys} {log}");
    assert!(server.terminate().success());
    let verified = keyhaven(&["audit", "verify", "--data-dir", folder.to_str().unwrap()]);
    assert!(verified.status.success(), "{verified:?}");
}
