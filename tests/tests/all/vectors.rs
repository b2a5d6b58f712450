//! The runner of published decrypt test vectors, on vectors made here in the published layouts.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use base64ct::{Base64, Encoding};
use keyhaven_shared::message::HeaderParser;
use keyhaven_tests::vectors::{self, Totals, VectorError};
use serde_json::{Value, json};

use crate::esdk::{NAMESPACE, WRAPPING_KEY, sealed, unwrap_key};

const PLAINTEXT: &[u8] = b"what the vectors give";

/// Writes a folder of vectors: their names, messages, and what else the manifest says of each.
fn folder(version: u8, cases: &[(&str, Vec<u8>, Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let key = json!({ "type": "symmetric", "algorithm": "aes", "bits": 256, "encoding": "base64",
        "encrypt": true, "decrypt": true, "material": Base64::encode_string(&WRAPPING_KEY) });
    let remote = json!({ "type": "aws-kms", "key-id": "arn:aws:kms:us-west-2:1:key/2" });
    let keys = json!({ "manifest": { "type": "keys", "version": 3 },
        "keys": { "aes-256-key-0": key, "us-west-2-decryptable": remote } });
    write("keys.json", keys.to_string().as_bytes());
    write("small", PLAINTEXT);
    let mut tests = serde_json::Map::new();
    for (name, message, more) in cases {
        write(name, message);
        let mut case = json!({ "ciphertext": format!("file://{name}"), "master-keys": [{ "type": "raw",
            "key": "aes-256-key-0", "provider-id": NAMESPACE, "encryption-algorithm": "aes" }] });
        case.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tests.insert((*name).to_owned(), case);
    }
    let kind = json!({ "type": "awses-decrypt", "version": version });
    let client = json!({ "name": "keyhaven/tests", "version": "1.0.0" });
    let manifest =
        json!({ "manifest": kind, "client": client, "keys": "file://keys.json", "tests": tests });
    write("manifest.json", manifest.to_string().as_bytes());
    folder
}

fn gives() -> Value {
    json!({ "result": { "output": { "plaintext": "file://small" } } })
}

fn is_refused() -> Value {
    json!({ "result": { "error": { "error-description": "a changed bit" } } })
}

fn with(mut value: Value, key: &str, more: Value) -> Value {
    value[key] = more;
    value
}

fn changed(mut message: Vec<u8>) -> Vec<u8> {
    *message.last_mut().unwrap() ^= 1;
    message
}

#[test]
fn each_vector_does_what_its_manifest_says_or_is_counted_apart() {
    let (plain, signed) = (sealed(false, PLAINTEXT), sealed(true, PLAINTEXT));
    let mut older = plain.clone();
    older[1..3].copy_from_slice(&[0x03, 0x78]);
    let streaming = json!("streaming-unsigned-only");
    let remote = json!([{ "type": "aws-kms", "key": "us-west-2-decryptable" }]);
    let folder = folder(
        2,
        &[
            ("plain", plain.clone(), gives()),
            ("signed", signed.clone(), gives()),
            ("streamed", plain.clone(), with(gives(), "decryption-method", streaming.clone())),
            ("signed-streamed", signed, with(is_refused(), "decryption-method", streaming)),
            ("changed", changed(plain.clone()), is_refused()),
            ("cut", plain[..plain.len() - 1].to_vec(), is_refused()),
            ("older", older, gives()),
            ("remote", plain, with(gives(), "master-keys", remote)),
        ],
    );
    let totals = vectors::run(folder.path()).unwrap();
    let failed = Vec::new();
    assert_eq!(
        totals,
        Totals { decrypted: 3, refused: 3, not_committing: 1, other_keys: 1, failed }
    );
}

#[test]
fn what_does_otherwise_fails_by_its_name() {
    let folder = folder(
        2,
        &[
            ("longer", sealed(false, b"something else"), gives()),
            ("genuine", sealed(false, PLAINTEXT), is_refused()),
            ("changed", changed(sealed(false, PLAINTEXT)), gives()),
        ],
    );
    let totals = vectors::run(folder.path()).unwrap();
    assert_eq!((totals.decrypted, totals.refused), (0, 0));
    let names = totals.failed.iter().map(|failed| failed.split_once(": ").unwrap().0);
    assert_eq!(names.collect::<Vec<_>>(), ["changed", "genuine", "longer"]);
}

#[test]
fn the_first_version_of_manifests_is_read_too_and_no_other_document() {
    let old =
        folder(1, &[("plain", sealed(false, PLAINTEXT), json!({ "plaintext": "file://small" }))]);
    assert_eq!(vectors::run(old.path()).unwrap().decrypted, 1);
    // The oldest archives call it so, and have keys in lines.
    let older = old.path().join("decrypt_message.json");
    fs::rename(old.path().join("manifest.json"), &older).unwrap();
    let keys = old.path().join("keys.json");
    let mut lines: Value = serde_json::from_slice(&fs::read(&keys).unwrap()).unwrap();
    let material = &mut lines["keys"]["aes-256-key-0"]["material"];
    *material = json!([material.take()]);
    fs::write(&keys, lines.to_string()).unwrap();
    assert_eq!(vectors::run(old.path()).unwrap().decrypted, 1);
    fs::remove_file(older).unwrap();
    for (name, text) in
        [("no file", None), ("no JSON", Some("{")), ("another type", Some("keys.json"))]
    {
        let manifest = old.path().join("manifest.json");
        fs::remove_file(&manifest).ok();
        match text {
            Some("keys.json") => drop(fs::copy(old.path().join("keys.json"), manifest).unwrap()),
            Some(text) => fs::write(manifest, text).unwrap(),
            None => {}
        }
        let error = vectors::run(old.path()).unwrap_err();
        assert_eq!(matches!(error, VectorError::File(..)), text.is_none(), "{name}: {error}");
    }
}

#[test]
fn vectors_that_bring_their_data_keys_are_read_from_one_file() {
    let message = sealed(true, PLAINTEXT);
    let (header, _) = HeaderParser::new().push(&message).unwrap().unwrap();
    // EXPOSE: published vectors hold the data key beside the message.
    let key = Base64::encode_string(unwrap_key(&header).unwrap().expose_secret());
    let case = |message: &[u8], status: bool| {
        json!({ "comment": "1. A case", "ciphertext": Base64::encode_string(message), "status": status,
            "decrypted-dek": key, "plaintext-frames": ["what the ", "vectors give"] })
    };
    let cases = json!({ "title": "Message Format V2 Test Vectors",
        "tests": [case(&message, true), case(&changed(message.clone()), false)] });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vectors.json");
    fs::write(&file, cases.to_string()).unwrap();
    let totals = vectors::run(&file).unwrap();
    assert_eq!((totals.decrypted, totals.refused, totals.failed.len()), (1, 1, 0));
}

#[test]
fn the_program_prints_the_totals_and_fails_if_a_vector_does_or_none_was_decrypted() {
    let run = |path: &Path| -> Output {
        Command::new(env!("CARGO_BIN_EXE_decrypt-vectors")).arg(path).output().unwrap()
    };
    let printed = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let good = run(folder(2, &[("plain", sealed(false, PLAINTEXT), gives())]).path());
    assert!(good.status.success());
    assert!(printed(&good).starts_with("1 decrypted, 0 refused"), "{}", printed(&good));
    let bad = run(folder(2, &[("plain", sealed(false, b"other"), gives())]).path());
    assert!(!bad.status.success());
    assert!(printed(&bad).starts_with("FAILED plain"), "{}", printed(&bad));
    assert!(!run(folder(2, &[]).path()).status.success());
    assert!(!run(Path::new("/nowhere")).status.success());
}
