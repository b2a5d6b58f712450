//! Starting in dev mode, and not starting.

use std::fs;

use tempfile::TempDir;

use crate::harness::{Server, complaint, keyhaven};

#[test]
fn a_restart_on_the_same_folder_serves_the_same_keys_and_authority() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("it's a folder");
    let server = Server::start_on(&folder);
    let made = server.json(&["key", "create", "photos"]);
    let sealed = server.run_with_input(&["encrypt", "photos"], b"the tide is at nine").stdout;
    let (ca, token) = (
        server.variable("KEYHAVEN_CACERT").to_owned(),
        server.variable("KEYHAVEN_TOKEN").to_owned(),
    );
    let authority = fs::read(&ca).unwrap();
    assert!(server.terminate().success());

    let server = Server::start_on(&folder);
    assert_eq!(server.json(&["key", "describe", "photos"])["id"], made["id"]);
    let opened = server.run_with_input(&["decrypt", "photos"], &sealed).stdout;
    assert_eq!(opened, b"the tide is at nine");
    assert_eq!(fs::read(&ca).unwrap(), authority);
    assert_eq!(server.variable("KEYHAVEN_TOKEN"), token);
    assert!(!server.log().contains(&token), "the token is shown once, at the first start");
}

#[test]
fn a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let server = Server::start();
    let folder = server.folder().to_str().unwrap();
    let second = keyhaven(&["dev", "--data-dir", folder, "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        complaint(&second).contains("in use by another keyhaven server"),
        "{}",
        complaint(&second)
    );
    server.must(&["status"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = TempDir::new().unwrap();
    let output =
        keyhaven(&["dev", "--data-dir", folder.path().to_str().unwrap(), "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains(&address), "{}", complaint(&output));
}

#[test]
fn dev_mode_is_refused_beyond_this_machine() {
    let output = keyhaven(&["dev", "--data-dir", "/nonexistent/keyhaven", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("refusing to listen beyond this machine"));
}

#[test]
fn a_store_without_its_token_is_refused_and_nothing_is_made_anew() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("data");
    let server = Server::start_on(&folder);
    let key = server.json(&["key", "create", "photos"]);
    assert!(server.terminate().success());
    fs::rename(folder.join("token"), folder.join("token-gone")).unwrap();
    let names = || {
        let names = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();

    let output =
        keyhaven(&["dev", "--data-dir", folder.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = complaint(&output);
    assert!(said.contains("token is gone") && !said.contains("panicked"), "{said}");
    assert_eq!(names(), before);

    // The folder is there, and empty.
    fs::create_dir(folder.join("token")).unwrap();
    let output =
        keyhaven(&["dev", "--data-dir", folder.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert!(complaint(&output).contains("there is no token"), "{}", complaint(&output));
    assert_eq!(fs::read_dir(folder.join("token/tokens")).unwrap().count(), 0);

    fs::remove_dir_all(folder.join("token")).unwrap();
    fs::rename(folder.join("token-gone"), folder.join("token")).unwrap();
    assert_eq!(Server::start_on(&folder).json(&["key", "show", "photos"])["id"], key["id"]);
}

#[test]
fn a_dev_token_with_another_pin_is_refused_and_the_pin_is_told_nowhere() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("data");
    assert!(Server::start_on(&folder).terminate().success());
    fs::write(folder.join("token/pin"), "canary-pin-4711").unwrap();
    let output =
        keyhaven(&["dev", "--data-dir", folder.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = complaint(&output) + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("refused the PIN") && !said.contains("4711"), "{said}");
}

#[test]
fn without_a_server_every_command_says_what_to_do() {
    for arguments in [&["key", "list"][..], &["status"], &["audit", "show"], &["policy", "list"]] {
        let output = keyhaven(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(complaint(&output).contains("keyhaven env"), "{}", complaint(&output));
    }
    let output = keyhaven(&["env", "--data-dir", "/nonexistent"]);
    assert!(complaint(&output).contains("keyhaven dev --data-dir"), "{}", complaint(&output));
    assert_eq!(keyhaven(&["no-such-command"]).status.code(), Some(2));
}
