//! A log that anyone can verify: two verifiers, ours and one in Python written from docs/formats.md alone,
//! agree on what is whole, and both find whatever was changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, complaint, keyhaven};

/// How many changes are made, each to a fresh copy.
const TAMPERINGS: usize = 30;

/// Both verifiers on a log, by the key that was kept from before.
fn verify(folder: &Path, vkey: &str) -> [Output; 2] {
    let ours =
        keyhaven(&["audit", "verify", "--log", folder.to_str().unwrap(), "--key", vkey, "--json"]);
    let python = std::env::var("KEYHAVEN_TEST_PYTHON")
        .expect("KEYHAVEN_TEST_PYTHON is not set: run the tests with `cargo xtask test`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/verify_log.py");
    let second = Command::new(python).arg(script).arg(folder).arg(vkey).output().unwrap();
    [ours, second]
}

/// Whether a verifier says that all is there, and nothing else.
fn is_whole(output: &Output) -> bool {
    output.status.success()
        && serde_json::from_slice::<Value>(&output.stdout).unwrap()["beyond_checkpoint"] == 0
}

/// A number below `bound`; tests need no better.
fn random(bound: usize) -> usize {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    usize::try_from(u64::from_le_bytes(bytes) % bound as u64).unwrap()
}

fn lines(folder: &Path) -> (PathBuf, Vec<String>) {
    let path = folder.join("entries.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    (path, text.lines().map(str::to_owned).collect())
}

fn flip(path: &Path) -> String {
    let mut bytes = fs::read(path).unwrap();
    let (at, bit) = (random(bytes.len()), random(8));
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
    format!("bit {bit} of byte {at} of {}", path.display())
}

/// Changes something at random; says what.
fn tamper(folder: &Path) -> String {
    let (path, mut all) = lines(folder);
    let at = random(all.len());
    let what = match random(8) {
        0 => return flip(&path),
        1 => return flip(&folder.join("checkpoint")),
        2 => {
            all.remove(at);
            format!("entry {at} removed")
        }
        3 => {
            let entry = all[at].clone();
            all.insert(at, entry);
            format!("entry {at} doubled")
        }
        4 => {
            let other = (at + 1) % all.len();
            all.swap(at, other);
            format!("entries {at} and {other} exchanged")
        }
        5 => {
            all.truncate(at);
            format!("cut at entry {at}")
        }
        6 => {
            let mut entry: Value = serde_json::from_str(&all[at]).unwrap();
            entry["principal"] = json!("somebody else");
            all[at] = entry.to_string();
            format!("entry {at} blamed on somebody else")
        }
        _ => {
            let mut entry: Value = serde_json::from_str(&all[at]).unwrap();
            entry["index"] = json!(all.len());
            all.push(entry.to_string());
            format!("entry {at} appended")
        }
    };
    fs::write(path, all.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    what
}

#[test]
fn two_verifiers_agree_and_both_find_thirty_tamperings_at_random() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data);
    server.must(&["key", "create", "photos"]);
    // Text of other writings and controls, to see that both read it alike.
    for name in ["søren", "日本", "a\tb", "\u{1b}[31m", "\"quoted\"", "\u{7f}\u{80}"] {
        let body = json!({ "alias": name, "spec": "aes-256-gcm", "tags": { "t": name } });
        server.call("POST", "/api/v1/keys", Some(&body));
        server.call("GET", "/api/v1/keys/photos", None);
    }
    assert!(server.terminate().success());

    let log = data.join("audit");
    let vkey = fs::read_to_string(log.join("log.vkey")).unwrap().trim().to_owned();
    let [ours, second] = verify(&log, &vkey);
    let found = [&ours, &second].map(|output| {
        assert!(output.status.success(), "{}", complaint(output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    });
    assert_eq!(found[0], found[1]);
    assert!(found[0]["entries"].as_u64().unwrap() > 10 && is_whole(&ours) && is_whole(&second));

    for number in 0..TAMPERINGS {
        let copy = folder.path().join(format!("copy-{number}"));
        fs::create_dir(&copy).unwrap();
        for name in ["entries.jsonl", "checkpoint", "log.vkey"] {
            fs::copy(log.join(name), copy.join(name)).unwrap();
        }
        let what = tamper(&copy);
        let [ours, second] = verify(&copy, &vkey).map(|output| is_whole(&output));
        assert!(!ours && !second, "{what}: found by us: {}, by the other: {}", !ours, !second);
    }
}
