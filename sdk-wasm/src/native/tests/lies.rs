//! A server that lies, stalls, breaks off and replays: a typed error, and no data key.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Client, HandClock, Limits, Mood, Peer, World, code, context, device};

fn changing(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Mood {
    Mood::Changing(Arc::new(change))
}

/// Each mood, and the code that both kinds of clients give it, for encryption and decryption alike.
fn moods() -> Vec<(Mood, &'static str)> {
    let long = vec![b' '; 300 * 1024];
    vec![
        (Mood::Away, "network_failed"),
        (Mood::Stalling, "network_failed"),
        (Mood::StallingAmid, "network_failed"),
        (Mood::Breaking, "network_failed"),
        (Mood::Refusing(403, "access_denied"), "access_denied"),
        (Mood::Refusing(409, "key_disabled"), "key_disabled"),
        (Mood::Saying(502, b"<html>".to_vec()), "http_error"),
        (Mood::Saying(302, Vec::new()), "http_error"),
        (Mood::Saying(500, vec![0; 300 * 1024]), "http_error"),
        (Mood::Saying(200, long), "answer_malformed"),
        (Mood::Saying(200, Vec::new()), "answer_malformed"),
        (Mood::Saying(200, b"null".to_vec()), "answer_malformed"),
        (Mood::Saying(200, b"{}".to_vec()), "answer_malformed"),
        (Mood::Saying(200, b"\xff\xfe".to_vec()), "answer_malformed"),
        (Mood::Saying(200, "[".repeat(100_000).into_bytes()), "answer_malformed"),
        (changing(|answer| answer["key"] = json!("photos")), "answer_malformed"),
        (changing(|answer| answer["version"] = json!(0)), "answer_malformed"),
        (changing(|answer| answer["version"] = json!(-1)), "answer_malformed"),
        (changing(|answer| answer["version"] = json!(2)), "delivery_refused"),
        (
            changing(|answer| answer["key"] = json!("00000000-0000-4000-8000-000000000000")),
            "delivery_refused",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_the_server_does_the_client_gives_a_typed_error_and_recovers() {
    for world in World::both().await {
        let message = world.encrypt(b"data").await.unwrap();
        for (mood, expected) in moods() {
            world.client.forget_keys();
            world.peer.be(mood);
            assert_eq!(code(world.encrypt(b"data").await), expected);
            assert_eq!(code(world.decrypt(&message).await), expected);
            world.peer.be(Mood::Honest);
            assert_eq!(world.decrypt(&message).await.unwrap(), b"data");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_what_the_server_said() {
    let world = World::with_token(Limits::default());
    world.peer.be(Mood::Refusing(403, "access_denied"));
    let error = world.encrypt(b"data").await.unwrap_err();
    assert_eq!(error.to_string(), "the server refused: because (access_denied), request r-1");
    world.peer.be(Mood::Saying(502, b"<html>".to_vec()));
    let error = world.encrypt(b"data").await.unwrap_err();
    assert_eq!(error.to_string(), "the server refused: the answer has status 502 (http_error)");
}

#[tokio::test(start_paused = true)]
async fn a_device_believes_no_delivery_but_its_own() {
    let world = World::with_device(Limits::default()).await;
    let message = world.encrypt(b"data").await.unwrap();
    // An answer to an earlier request of the same device.
    world.client.forget_keys();
    world.peer.be(Mood::Replaying);
    assert_eq!(code(world.encrypt(b"data").await), "delivery_refused");
    assert_eq!(code(world.decrypt(&message).await), "delivery_refused");
    world.peer.be(changing(|answer| {
        answer["keyring"] = json!("00000000-0000-4000-8000-000000000000");
    }));
    assert_eq!(code(world.decrypt(&message).await), "delivery_refused");
}

#[tokio::test(start_paused = true)]
async fn a_device_refuses_a_delivery_with_a_byte_changed() {
    use keyhaven_shared::api::bytes::Base64Bytes;

    let world = World::with_device(Limits::default()).await;
    let message = world.encrypt(b"data").await.unwrap();
    // The shared crate's own tests change each; here a sample of all fields does.
    for at in (0..1_600).step_by(7) {
        world.peer.be(changing(move |answer| {
            let mut bytes: Base64Bytes = serde_json::from_value(answer["delivery"].take()).unwrap();
            let at = at % bytes.0.len();
            bytes.0[at] ^= 1;
            answer["delivery"] = serde_json::to_value(bytes).unwrap();
        }));
        assert_eq!(code(world.decrypt(&message).await), "delivery_refused", "byte {at}");
    }
    assert_eq!(world.client.leases(), 1, "that of the key it encrypted with");
}

#[tokio::test(start_paused = true)]
async fn an_encrypted_data_key_that_nobody_could_open_is_not_taken() {
    for (world, field) in World::both().await.into_iter().zip(["ciphertext", "encrypted_data_key"])
    {
        for text in ["", "AAAA", "S0hDMQ=="] {
            world.peer.be(changing(move |answer| answer[field] = json!(text)));
            assert_eq!(code(world.encrypt(b"data").await), "delivery_refused", "{text}");
        }
        world.peer.be(changing(move |answer| answer[field] = json!("not base64")));
        assert_eq!(code(world.encrypt(b"data").await), "answer_malformed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_data_key_of_another_length_or_value_opens_nothing() {
    let world = World::with_token(Limits::default());
    let message = world.encrypt(b"data").await.unwrap();
    world.peer.be(changing(|answer| answer["plaintext"] = json!("AAAA")));
    assert_eq!(code(world.decrypt(&message).await), "answer_malformed");
    let other = "A".repeat(43) + "=";
    world.peer.be(changing(move |answer| answer["plaintext"] = json!(other)));
    assert_eq!(code(world.decrypt(&message).await), "message_refused");
}

#[tokio::test(start_paused = true)]
async fn a_key_asked_for_by_its_id_is_answered_by_that_key() {
    for world in World::both().await {
        let other = "00000000-0000-4000-8000-000000000000";
        let context = context("file", "42");
        let refused = world.client.encrypt(other, &context, b"data").await;
        assert_eq!(code(refused), "delivery_refused");
        let own = Peer::KEY.to_string();
        assert!(world.client.encrypt(&own, &context, b"data").await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn no_error_holds_a_token_or_a_ticket() {
    for world in World::both().await {
        for (mood, _) in moods() {
            world.peer.be(mood);
            let error = world.encrypt(b"data").await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains(Peer::TOKEN) && !text.contains("ticket-"), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_dated_too_early_for_the_server_is_signed_again_once() {
    let clock = HandClock::ticking();
    let peer = Peer::new(&clock);
    // As a server is that begins anew, for a device whose clock is a little behind.
    peer.refuse_proofs_before(10);
    let device = device(&peer).await;
    assert_eq!(peer.requests().len(), 2);
    let client = Client::with_device(&peer.endpoint(), device, peer.tickets(), Limits::default());
    let client = client.unwrap();
    client.encrypt("photos", &context("file", "42"), b"data").await.unwrap();
    assert_eq!((peer.requests().len(), peer.listeners()), (4, 1));
    peer.refuse_proofs_before(1_000);
    let refused = client.encrypt("letters", &context("file", "42"), b"data").await;
    assert_eq!(code(refused), "device_proof_too_old");
    assert_eq!(peer.requests().len(), 6);
}
