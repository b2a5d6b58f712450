//! The end of leases: at once when the server says so, at their time without it.

use std::time::Duration;

use keyhaven_shared::{ids::KeyId, lease_event::LeaseEnd};

use super::{Limits, Mood, Peer, World, code, context};
use crate::native::testing::until;

const STOPPED: LeaseEnd = LeaseEnd::KeyStopped(Peer::KEY);

#[tokio::test(start_paused = true)]
async fn a_stopped_keys_data_keys_are_dropped_at_once_and_work_with_them_fails() {
    let world = World::with_device(Limits::default()).await;
    let message = world.encrypt(b"data").await.unwrap();
    let mut writing = world.client.encryption("photos", &context("file", "42")).await.unwrap();
    writing.push(&[0; 100_000]).unwrap();
    assert_eq!(world.client.leases(), 2);
    world.peer.end(STOPPED);
    until(|| world.client.leases() == 0).await;
    assert_eq!(code(writing.push(b"more")), "key_stopped");
    assert_eq!(code(writing.finish()), "key_stopped");
    let asked = world.asked();
    world.peer.be(Mood::Refusing(409, "key_disabled"));
    assert_eq!(code(world.encrypt(b"data").await), "key_disabled");
    assert_eq!(code(world.decrypt(&message).await), "key_disabled");
    assert_eq!(world.asked(), asked + 2, "nothing was held");
}

#[tokio::test(start_paused = true)]
async fn each_end_ends_what_it_says() {
    let world = World::with_device(Limits::default()).await;
    let other = LeaseEnd::KeyStopped(KeyId::from_bytes([8; 16]));
    let foreign = LeaseEnd::DeviceRevoked(super::device(&world.peer).await.id());
    let own = LeaseEnd::DeviceRevoked(world.device.unwrap());
    for (end, expected) in [
        (other, "none"),
        (foreign, "none"),
        (own, "device_revoked"),
        (STOPPED, "key_stopped"),
        (LeaseEnd::PolicyChanged, "policy_changed"),
    ] {
        let mut writing = world.client.encryption("photos", &context("file", "42")).await.unwrap();
        world.peer.end(end);
        // This one ends whatever was left, so that it is known to have been heard.
        let written = loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let written = writing.push(b"more");
            if written.is_err() || expected == "none" {
                break written;
            }
        };
        assert_eq!(code(written), expected, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_given_after_the_event_goes_on() {
    let world = World::with_device(Limits::default()).await;
    world.encrypt(b"data").await.unwrap();
    world.peer.end(STOPPED);
    until(|| world.client.leases() == 0).await;
    // The key was enabled again, within the same second.
    world.encrypt(b"data").await.unwrap();
    world.encrypt(b"data").await.unwrap();
    assert_eq!((world.asked(), world.client.leases()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_overtakes_the_answer_ends_its_lease() {
    let world = World::with_device(Limits::default()).await;
    world.encrypt(b"data").await.unwrap();
    // The answer stays on its way while the event arrives.
    world.peer.delay_answers(Duration::from_secs(5));
    let (context, client) = (context("file", "43"), world.client.clone());
    let asking = tokio::spawn(async move { client.encrypt("photos", &context, b"data").await });
    until(|| world.asked() == 2).await;
    world.peer.end(STOPPED);
    assert_eq!(code(asking.await.unwrap()), "key_stopped");
    assert_eq!(world.client.leases(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_an_event_a_lease_ends_by_its_own_time() {
    let world = World::with_device(Limits::default()).await;
    let mut writing = world.client.encryption("photos", &context("file", "42")).await.unwrap();
    world.clock.advance(Duration::from_secs(299));
    writing.push(b"in time").unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(code(writing.push(b"late")), "lease_expired");
    assert_eq!(code(writing.finish()), "lease_expired");
}

#[tokio::test(start_paused = true)]
async fn a_backends_stream_goes_on_after_its_data_key_grew_old() {
    let world = World::with_token(Limits::default());
    let mut writing = world.client.encryption("photos", &context("file", "42")).await.unwrap();
    let mut message = writing.push(b"in time, ").unwrap();
    world.clock.advance(Duration::from_secs(3600));
    message.extend(writing.push(b"and later").unwrap());
    message.extend(writing.finish().unwrap());
    assert_eq!(world.decrypt(&message).await.unwrap(), b"in time, and later");
}

#[tokio::test(start_paused = true)]
async fn a_closed_client_holds_nothing_and_gives_nothing() {
    for world in World::both().await {
        let message = world.encrypt(b"data").await.unwrap();
        let writing = world.client.encryption("photos", &context("file", "42")).await.unwrap();
        let leased = world.client.leases() > 0;
        world.client.close();
        world.client.close();
        assert_eq!(world.client.leases(), 0);
        assert_eq!(code(world.encrypt(b"data").await), "closed");
        assert_eq!(code(world.decrypt(&message).await), "closed");
        assert_eq!(code(writing.finish()), if leased { "closed" } else { "none" });
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_closed_while_it_asks_keeps_no_answer() {
    for world in World::both().await {
        world.peer.delay_answers(Duration::from_secs(5));
        let client = world.client.clone();
        let asking =
            tokio::spawn(
                async move { client.encrypt("photos", &context("file", "42"), b"data").await },
            );
        until(|| world.asked() == 1).await;
        world.client.close();
        assert_eq!(code(asking.await.unwrap()), "closed");
        assert_eq!(world.client.leases(), 0);
    }
}
