//! A backend with an API token.

use keyhaven_sdk::{Client, Credential, Endpoint, Error, Limits, MessageInfo, context};
use serde_json::json;

use super::{Deployment, KEY, code, decrypt, encrypt};

/// The story that the crate's documentation tells.
#[expect(unreachable_pub, reason = "the documentation shows it as a program would have it")]
mod told {
    include!("../../../../sdk-wasm/doc/story.rs");
}

#[tokio::test]
async fn the_story_of_the_crates_documentation_is_true() {
    let deployment = Deployment::start();
    told::story(&deployment.endpoint, deployment.token("billing")).await.unwrap();
    let audit = deployment.server.must(&["audit", "show", "--operation", "GenerateDataKey"]);
    assert!(audit.contains("billing"), "{audit}");
}

#[tokio::test]
async fn a_backend_opens_what_another_wrote_and_nothing_that_is_not_what_it_says() {
    let deployment = Deployment::start();
    let (writer, reader) = (deployment.client("billing"), deployment.client("billing"));
    let data = vec![7; 300_000];
    let message = encrypt(&writer, &data).await.unwrap();
    assert_eq!(decrypt(&reader, &message).await.unwrap(), data);

    let other = context([("customer", "43")]).unwrap();
    assert_eq!(code(reader.decrypt(&message, &other).await), "context_mismatch");
    // The context in the message's own words: its data key does not open for another one.
    let at = message.windows(2).position(|two| two == b"42").unwrap();
    let mut moved = message.clone();
    moved[at + 1] = b'3';
    let fresh = deployment.client("billing");
    let refused = fresh.decrypt(&moved, &other).await;
    assert_eq!(code(refused), "ciphertext_invalid");
    let mut changed = message.clone();
    changed[message.len() - 9] ^= 1;
    assert_eq!(code(decrypt(&reader, &changed).await), "message_refused");
    let cut = &message[..message.len() / 2];
    assert_eq!(code(decrypt(&reader, cut).await), "message_truncated");
}

#[tokio::test]
async fn who_is_not_permitted_or_not_known_gets_nothing_and_is_told_what_to_do() {
    let deployment = Deployment::start();
    let message = encrypt(&deployment.client("billing"), b"27 pounds").await.unwrap();
    let stranger = deployment.client("stranger");
    assert_eq!(code(encrypt(&stranger, b"data").await), "access_denied");
    let Err(Error::Refused(refusal)) = decrypt(&stranger, &message).await else { panic!() };
    assert_eq!((refusal.status, refusal.code.as_str()), (403, "access_denied"));
    let audit = deployment.server.must(&["audit", "show", "--decision", "refused", "--json"]);
    assert!(audit.contains(&refusal.request_id), "{audit}");

    let unknown = Credential::new("kh1.unknown").unwrap();
    let unknown = Client::with_token(&deployment.endpoint, unknown, Limits::default()).unwrap();
    assert_eq!(code(decrypt(&unknown, &message).await), "unauthenticated");
}

#[tokio::test]
async fn a_disabled_key_and_a_revoked_token_open_nothing_that_is_not_held() {
    let deployment = Deployment::start();
    let server = &deployment.server;
    let client = deployment.client("billing");
    let message = encrypt(&client, b"27 pounds").await.unwrap();
    decrypt(&client, &message).await.unwrap();
    server.must(&["key", "disable", KEY]);
    // Nothing tells a client with a token: what it holds, it goes on with, for its limit's time.
    decrypt(&client, &message).await.unwrap();
    client.forget_keys();
    assert_eq!(code(decrypt(&client, &message).await), "key_disabled");
    assert_eq!(code(encrypt(&client, b"data").await), "key_disabled");
    server.must(&["key", "enable", KEY]);
    decrypt(&client, &message).await.unwrap();

    let asking = Limits::default().hold_nothing();
    let minted = server.json(&["principal", "token", "billing"]);
    let token = Credential::new(minted["token"].as_str().unwrap()).unwrap();
    let client = Client::with_token(&deployment.endpoint, token, asking).unwrap();
    decrypt(&client, &message).await.unwrap();
    server.must(&["token", "revoke", minted["id"].as_str().unwrap()]);
    assert_eq!(code(decrypt(&client, &message).await), "unauthenticated");
}

#[tokio::test]
async fn after_a_rotation_a_new_data_key_names_the_new_version_and_old_messages_open() {
    let deployment = Deployment::start();
    let client = deployment.client("billing");
    let version = |message: &[u8]| MessageInfo::read(message).unwrap().unwrap().version.number();
    let old = encrypt(&client, b"old").await.unwrap();
    deployment.server.must(&["key", "rotate", KEY]);
    client.forget_keys();
    let new = encrypt(&client, b"new").await.unwrap();
    assert_eq!((version(&old), version(&new)), (1, 2));
    assert_eq!(decrypt(&client, &old).await.unwrap(), b"old");
    assert_eq!(decrypt(&client, &new).await.unwrap(), b"new");
}

#[tokio::test]
async fn one_request_serves_a_hundred_records_about_the_same() {
    let deployment = Deployment::start();
    let client = deployment.client("billing");
    for _ in 0..100 {
        encrypt(&client, b"a record").await.unwrap();
    }
    let shown = deployment.server.json(&["audit", "show", "--operation", "GenerateDataKey"]);
    assert_eq!(shown["entries"].as_array().map(Vec::len), Some(1), "{shown}");
}

#[tokio::test]
async fn a_server_that_is_gone_or_shows_a_strange_certificate_is_a_failed_network() {
    let deployment = Deployment::start();
    let client = deployment.client("billing");
    let message = encrypt(&client, b"27 pounds").await.unwrap();

    // Its authority is none that this machine trusts.
    let distrusting = Endpoint::https(deployment.server.variable("KEYHAVEN_ADDR")).unwrap();
    let client_of = |endpoint| {
        Client::with_token(endpoint, deployment.token("billing"), Limits::default()).unwrap()
    };
    let refused = encrypt(&client_of(&distrusting), b"data").await.unwrap_err();
    assert_eq!(refused.code(), "network_failed");
    assert!(refused.to_string().contains("certificate"), "{refused}");

    let later = client_of(&deployment.endpoint);
    let Deployment { server, .. } = deployment;
    assert!(server.terminate().success());
    let refused = decrypt(&later, &message).await.unwrap_err();
    assert_eq!(refused.code(), "network_failed");
    assert!(refused.to_string().contains("try again"), "{refused}");
    // What is held works on.
    encrypt(&client, b"data").await.unwrap();
}

#[tokio::test]
async fn what_the_server_itself_encrypts_is_no_message() {
    let deployment = Deployment::start();
    let body = json!({ "plaintext": "aGVsbG8=", "context": {} });
    let (_, answer) =
        deployment.server.call("POST", "/api/v1/keys/app:invoices/encrypt", Some(&body));
    let ciphertext = answer["ciphertext"].as_str().unwrap();
    let refused = decrypt(&deployment.client("billing"), ciphertext.as_bytes()).await;
    assert!(matches!(refused, Err(Error::Integrity(_) | Error::Unsupported(_))), "{refused:?}");
}
