//! The stream of lease events.

use std::time::Duration;

use base64ct::{Base64, Encoding};
use http::Method;
use keyhaven_shared::{
    ids::KeyId,
    issuer::IssuerPublicKey,
    lease_event::{LeaseEnd, LeaseEvent, SignedLeaseEvent, StreamNonce},
    operation::Operation,
};
use serde_json::json;

use super::{
    samples::Samples,
    world::{NOW, Sample, User, World},
};
use crate::{
    EventFeed, Reply,
    native::{
        BASE,
        routes::{Accepts, table},
    },
};

const STREAM: StreamNonce = StreamNonce::from_random([3; 32]);

async fn feed(world: &World, user: &User, after: &str) -> EventFeed {
    let target = format!("{BASE}/lease-events?stream={STREAM}{after}");
    let sample = Sample { target, body: vec![], headers: vec![] }.signed(&user.device, "GET");
    let Reply::Events(feed) = world.reply(&Method::GET, &sample).await else { panic!("refused") };
    assert_eq!(feed.head().headers()["content-type"], "text/event-stream");
    feed
}

async fn next(feed: &mut EventFeed) -> Option<String> {
    let next = tokio::time::timeout(Duration::from_secs(5), feed.next()).await.unwrap();
    next.map(|chunk| String::from_utf8(chunk.to_vec()).unwrap())
}

/// The event in a chunk, whose signature must hold and whose id must be its serial.
async fn event(world: &World, chunk: &str) -> LeaseEvent {
    let lines: Vec<_> = chunk.lines().collect();
    assert!(chunk.ends_with("\n\n") && lines.len() == 4 && lines[0] == "event: lease", "{chunk}");
    verified(world, &lines).await
}

/// What the stream begins with, after what was missed.
async fn hello(world: &World, feed: &mut EventFeed) -> LeaseEvent {
    let chunk = next(feed).await.unwrap();
    let lines: Vec<_> = chunk.lines().collect();
    assert!(chunk.ends_with("\n\n") && lines.len() == 4 && lines[0] == "event: hello", "{chunk}");
    let hello = verified(world, &lines).await;
    assert_eq!((hello.end, hello.at), (LeaseEnd::Nothing, NOW));
    hello
}

async fn verified(world: &World, lines: &[&str]) -> LeaseEvent {
    let bytes = Base64::decode_vec(lines[2].strip_prefix("data: ").unwrap()).unwrap();
    let services = world.engine.services();
    let issuer = IssuerPublicKey::from_bytes(&services.issuer.public_key().await.unwrap()).unwrap();
    let signed = SignedLeaseEvent::parse(&bytes).unwrap();
    let event = signed.verify(&STREAM, &issuer, services.deployment, NOW).unwrap();
    assert_eq!(lines[1], format!("id: {}", event.serial));
    event
}

async fn hold_a_lease(world: &World, samples: &Samples, user: &User) {
    let routes = table();
    let deliver = routes.iter().find(|route| route.operation == Operation::DeliverDataKey).unwrap();
    assert_eq!(deliver.accepts, Accepts::Ticket);
    let sample = world.sign(deliver, user, samples.of(deliver)).await;
    assert_eq!(world.send(&deliver.method, &sample).await.status(), 200);
}

#[tokio::test]
async fn a_device_hears_of_its_own_leases_until_it_is_revoked() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    hold_a_lease(&world, &samples, &world.admin).await;
    let mut feed = feed(&world, &world.admin, "").await;
    assert_eq!(hello(&world, &mut feed).await.number, 0);
    world.ask("POST", "/keys/to-disable/disable", json!({})).await;
    world.ask("POST", "/keys/photos/disable", json!({})).await;
    let told = event(&world, &next(&mut feed).await.unwrap()).await;
    assert!(matches!(told.end, LeaseEnd::KeyStopped(_)));
    let device = world.admin.device.keys.thumbprint();
    world.ask("POST", &format!("/devices/{device}/revoke"), json!({})).await;
    let last = event(&world, &next(&mut feed).await.unwrap()).await;
    assert_eq!(last.end, LeaseEnd::DeviceRevoked(device));
    assert!(last.serial > told.serial);
    assert_eq!((told.number, last.number), (1, 2), "what concerns others leaves no gap");
    assert_eq!(next(&mut feed).await, None);
    assert_eq!(&EventFeed::ping()[..], b"event: ping\ndata: {}\n\n");
}

#[tokio::test]
async fn what_was_missed_is_told_on_coming_back() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    hold_a_lease(&world, &samples, &world.admin).await;
    let mut first = feed(&world, &world.admin, "").await;
    let begun = hello(&world, &mut first).await;
    drop(first);
    world.ask("POST", "/keys/photos/rotate", json!({})).await;
    world.ask("POST", "/keys/photos/disable", json!({})).await;
    let mut again = feed(&world, &world.admin, &format!("&after={}", begun.serial)).await;
    let rotated = event(&world, &next(&mut again).await.unwrap()).await;
    let stopped = event(&world, &next(&mut again).await.unwrap()).await;
    let hello = hello(&world, &mut again).await;
    assert!(
        matches!(rotated.end, LeaseEnd::KeyRotated(_, version) if version.number() == 2),
        "{rotated:?}"
    );
    assert!(matches!(stopped.end, LeaseEnd::KeyStopped(_)));
    assert_eq!([rotated.number, stopped.number, hello.number], [0, 1, 2]);
    assert_eq!(hello.serial, stopped.serial);
}

#[tokio::test]
async fn whoever_comes_back_with_a_number_of_elsewhere_is_told_to_ask_anew() {
    let world = World::new().await;
    for after in ["0", "7", "18446744073709551615"] {
        let mut feed = feed(&world, &world.admin, &format!("&after={after}")).await;
        let told = event(&world, &next(&mut feed).await.unwrap()).await;
        assert_eq!(told.end, LeaseEnd::PolicyChanged);
        hello(&world, &mut feed).await;
    }
}

#[tokio::test]
async fn a_stream_without_a_proper_nonce_is_refused() {
    let world = World::new().await;
    let spoilt = STREAM.to_string().replace('A', "=");
    for query in ["", "?stream=", "?stream=AwMD", &format!("?stream={spoilt}")] {
        let target = format!("{BASE}/lease-events{query}");
        let sample = Sample { target, body: vec![], headers: vec![] };
        let sample = sample.signed(&world.admin.device, "GET");
        assert_eq!(world.send(&Method::GET, &sample).await.status(), 400, "{query}");
    }
}

#[tokio::test]
async fn a_stream_that_fell_far_behind_is_told_to_ask_anew() {
    let world = World::new().await;
    let mut feed = feed(&world, &world.admin, "").await;
    let begun = hello(&world, &mut feed).await;
    let end = LeaseEnd::KeyStopped(KeyId::from_random([9; 16]));
    for _ in 0..3000 {
        world.engine.services().leases.announce(end, NOW);
    }
    let told = event(&world, &next(&mut feed).await.unwrap()).await;
    assert_eq!((told.end, told.serial), (LeaseEnd::PolicyChanged, begun.serial + 3000));
    assert_eq!(told.number, 1);
}

#[tokio::test]
async fn a_device_hears_nothing_of_keys_that_it_holds_no_lease_of() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let other = world.user("other").await;
    hold_a_lease(&world, &samples, &world.admin).await;
    let mut theirs = feed(&world, &other, "").await;
    next(&mut theirs).await;
    world.ask("POST", "/keys/photos/disable", json!({})).await;
    let device = world.admin.device.keys.thumbprint();
    world.ask("POST", &format!("/devices/{device}/revoke"), json!({})).await;
    let text = "permit(principal, action, resource) when { context.export };";
    world.ask("PUT", "/policies/other", json!({ "text": text })).await;
    // The first thing that concerns it is the policy, which concerns everybody.
    let told = event(&world, &next(&mut theirs).await.unwrap()).await;
    assert_eq!(told.end, LeaseEnd::PolicyChanged);
}

#[tokio::test]
async fn events_are_numbered_upwards() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    hold_a_lease(&world, &samples, &world.admin).await;
    let mut feed = feed(&world, &world.admin, "").await;
    let mut last = hello(&world, &mut feed).await;
    for _ in 0..4 {
        world.ask("POST", "/keys/photos/disable", json!({})).await;
        world.ask("POST", "/keys/to-disable/disable", json!({})).await;
        world.ask("POST", "/keys/photos/enable", json!({})).await;
        world.ask("POST", "/keys/to-disable/enable", json!({})).await;
        let told = event(&world, &next(&mut feed).await.unwrap()).await;
        assert_eq!(told.number, last.number + 1);
        assert!(told.serial > last.serial);
        last = told;
    }
}

#[tokio::test]
async fn waiting_for_an_event_can_be_given_up_without_losing_it() {
    let world = World::new().await;
    let mut feed = feed(&world, &world.admin, "").await;
    next(&mut feed).await;
    for _ in 0..3 {
        let waited = tokio::time::timeout(Duration::from_millis(1), feed.next()).await;
        assert!(waited.is_err(), "nothing has happened");
    }
    let text = "permit(principal, action, resource) when { context.export };";
    world.ask("PUT", "/policies/other", json!({ "text": text })).await;
    let told = event(&world, &next(&mut feed).await.unwrap()).await;
    assert_eq!(told.end, LeaseEnd::PolicyChanged);
}
