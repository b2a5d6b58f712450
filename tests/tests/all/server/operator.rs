//! The operator's part of the story, typed.

use std::fs;

use crate::harness::Server;

#[test]
fn an_operator_sets_up_keys_users_and_policies() {
    let server = Server::start();
    server.must(&["keyring", "create", "app"]);
    let key = server.json(&[
        "key",
        "create",
        "photos",
        "--keyring",
        "app",
        "--spec",
        "aes-256-gcm",
        "--distribution",
        "data-keys",
        "--tag",
        "team=web",
    ]);
    assert_eq!(key["state"], "enabled");
    for (name, group) in
        [("writer", "photo-users"), ("reader", "photo-users"), ("outsider", "others")]
    {
        server.must(&["principal", "create", name, "--group", group]);
    }
    let policy = server.folder().with_extension("cedar");
    let permit = "permit (\n  principal in Keyhaven::Group::\"photo-users\",\n  action == Keyhaven::Action::\"Encrypt\",\n  resource in Keyhaven::Keyring::\"app\"\n);\n";
    fs::write(&policy, permit).unwrap();
    server.must(&["policy", "put", "photo-users", policy.to_str().unwrap()]);
    let token =
        |name| server.json(&["principal", "token", name])["token"].as_str().unwrap().to_owned();
    let body = serde_json::json!({ "plaintext": "aGVsbG8=" });
    let encrypt = ("POST", "/api/v1/keys/app:photos/encrypt");
    assert_eq!(server.call_as(&token("writer"), encrypt, Some(&body)).0, 200);
    let (status, problem) = server.call_as(&token("outsider"), encrypt, Some(&body));
    assert_eq!((status, &problem["code"]), (403, &"access_denied".into()));

    let shown = server.must(&["audit", "show", "--decision", "refused"]);
    assert!(shown.contains("outsider") && shown.contains("access_denied"), "{shown}");
}

#[test]
fn a_policy_that_does_not_fit_is_refused_with_the_place_of_the_fault() {
    let server = Server::start();
    let policy = server.folder().with_extension("cedar");
    let file = policy.to_str().unwrap();
    let wrong_action = "permit (\n  principal,\n  action == Keyhaven::Action::\"OpenEverything\",\n  resource\n);\n";
    let wrong_syntax = "permit (\n  principal,\n  action\n  resource\n);\n";
    for (text, line) in [(wrong_action, "line 3"), (wrong_syntax, "line 4")] {
        fs::write(&policy, text).unwrap();
        for said in [
            server.refused(&["policy", "put", "bad", file]),
            server.refused(&["policy", "check", file]),
        ] {
            assert!(
                said.contains(line) && said.contains("   3 | ") && said.contains('^'),
                "{said}"
            );
        }
    }
    let list = server.json(&["policy", "list"]);
    assert!(list["policies"].as_array().unwrap().iter().all(|policy| policy["name"] != "bad"));
}

#[test]
fn a_key_lives_and_dies_as_it_is_told() {
    let server = Server::start();
    server.must(&["key", "create", "photos"]);
    let old = server.run_with_input(&["encrypt", "photos"], b"before").stdout;
    assert_eq!(server.json(&["key", "rotate", "photos"])["primary_version"], 2);
    assert_eq!(server.run_with_input(&["decrypt", "photos"], &old).stdout, b"before");
    server.must(&["key", "disable", "photos"]);
    let refused = server.run_with_input(&["decrypt", "photos"], &old);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("key_disabled"));
    server.must(&["key", "enable", "photos"]);
    let pending = server.json(&["key", "schedule-destruction", "photos", "--days", "7"]);
    assert_eq!(pending["state"], "pending-destruction");
    assert_eq!(server.json(&["key", "cancel-destruction", "photos"])["state"], "disabled");
    assert_eq!(server.json(&["key", "destroy", "photos", "--now", "--yes"])["state"], "destroyed");
    assert!(server.refused(&["key", "enable", "photos"]).contains("key_destroyed"));
}

#[test]
fn completions_and_vocabulary_need_no_server() {
    for shell in ["bash", "zsh", "fish"] {
        let script = crate::harness::keyhaven(&["completions", shell]);
        assert!(script.status.success() && script.stdout.len() > 1000, "{shell}");
    }
    for arguments in [&["operations"][..], &["openapi"], &["policy", "schema"], &["--help"]] {
        assert!(crate::harness::keyhaven(arguments).status.success(), "{arguments:?}");
    }
}
