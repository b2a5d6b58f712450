//! The stream of lease events.

use std::time::Duration;

use base64ct::{Base64, Encoding};
use http::Method;
use keyhaven_shared::{
    ids::KeyId,
    issuer::IssuerPublicKey,
    lease_event::{LeaseEnd, LeaseEvent, SignedLeaseEvent},
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

async fn feed(world: &World, user: &User, query: &str) -> EventFeed {
    let target = format!("{BASE}/lease-events{query}");
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
    let bytes = Base64::decode_vec(lines[2].strip_prefix("data: ").unwrap()).unwrap();
    let services = world.engine.services();
    let issuer = IssuerPublicKey::from_bytes(&services.issuer.public_key().await.unwrap()).unwrap();
    let signed = SignedLeaseEvent::parse(&bytes).unwrap();
    let event = signed.verify(&issuer, services.deployment, NOW).unwrap();
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
    assert!(next(&mut feed).await.unwrap().starts_with("event: hello\ndata: {"));
    world.ask("POST", "/keys/to-disable/disable", json!({})).await;
    world.ask("POST", "/keys/photos/disable", json!({})).await;
    let told = event(&world, &next(&mut feed).await.unwrap()).await;
    assert!(matches!(told.end, LeaseEnd::KeyStopped(_)));
    let device = world.admin.device.keys.thumbprint();
    world.ask("POST", &format!("/devices/{device}/revoke"), json!({})).await;
    let last = event(&world, &next(&mut feed).await.unwrap()).await;
    assert_eq!(last.end, LeaseEnd::DeviceRevoked(device));
    assert!(last.serial > told.serial);
    assert_eq!(next(&mut feed).await, None);
    assert_eq!(&EventFeed::ping()[..], b"event: ping\ndata: {}\n\n");
}

#[tokio::test]
async fn what_was_missed_is_told_on_coming_back() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    hold_a_lease(&world, &samples, &world.admin).await;
    let text = "permit(principal, action, resource) when { context.export };";
    world.ask("PUT", "/policies/other", json!({ "text": text })).await;
    let mut first = feed(&world, &world.admin, "?after=0").await;
    next(&mut first).await;
    let told = event(&world, &next(&mut first).await.unwrap()).await;
    assert_eq!(told.end, LeaseEnd::PolicyChanged);
    drop(first);
    world.ask("POST", "/keys/photos/disable", json!({})).await;
    let mut again = feed(&world, &world.admin, &format!("?after={}", told.serial)).await;
    next(&mut again).await;
    let missed = event(&world, &next(&mut again).await.unwrap()).await;
    assert!(matches!(missed.end, LeaseEnd::KeyStopped(_)));
}

#[tokio::test]
async fn a_stream_that_fell_far_behind_is_told_to_ask_anew() {
    let world = World::new().await;
    let mut feed = feed(&world, &world.admin, "?after=0").await;
    next(&mut feed).await;
    let end = LeaseEnd::KeyStopped(KeyId::from_random([9; 16]));
    for serial in 1000..4000 {
        world.engine.services().leases.announce(LeaseEvent { serial, end, at: NOW });
    }
    let chunk = loop {
        let told = event(&world, &next(&mut feed).await.unwrap()).await;
        if told.serial >= 1000 {
            break told;
        }
    };
    assert_eq!((chunk.end, chunk.serial), (LeaseEnd::PolicyChanged, 3999));
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
async fn events_are_numbered_upwards_as_the_audit_log_is() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    hold_a_lease(&world, &samples, &world.admin).await;
    let mut feed = feed(&world, &world.admin, "").await;
    let hello = next(&mut feed).await.unwrap();
    assert_eq!(hello, format!("event: hello\ndata: {{\"server_time\":{NOW}}}\n\n"));
    let mut last = None;
    for round in 0..4 {
        let act = if round % 2 == 0 { "disable" } else { "enable" };
        world.ask("POST", &format!("/keys/photos/{act}"), json!({})).await;
        if act == "enable" {
            continue;
        }
        let recorded = world.last_audit().await["index"].as_u64();
        let told = event(&world, &next(&mut feed).await.unwrap()).await;
        assert_eq!(Some(told.serial), recorded);
        assert!(last < Some(told.serial), "{last:?} before {}", told.serial);
        last = Some(told.serial);
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
