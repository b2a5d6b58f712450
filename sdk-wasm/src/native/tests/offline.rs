//! Without the server: within a lease and its grace, and no longer.

use std::time::Duration;

use tokio::time::sleep;

use super::{Limits, Mood, World, code, context};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A client with leases of 100 seconds, which go on for so long.
async fn world(offline_grace: Duration) -> World {
    World::with_device(Limits { max_age: seconds(100), offline_grace, ..Limits::default() }).await
}

const HOUR: Duration = seconds(3_600);

impl World {
    fn go_offline(&self) {
        self.peer.be(Mood::Away);
        self.peer.cut();
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_lease_in_hand_both_ways_work_without_a_network_until_the_grace_is_over() {
    let world = world(HOUR).await;
    let message = world.encrypt(b"data").await.unwrap();
    world.decrypt(&message).await.unwrap();
    world.go_offline();
    for wait in [50, 60, 600, 2_900] {
        sleep(seconds(wait)).await;
        assert_eq!(world.decrypt(&message).await.unwrap(), b"data", "{wait}");
        world.encrypt(b"data").await.unwrap();
        // A stream shares the held key, since it cannot have its own.
        let stream = world.client.encryption("app:photos", &context("file", "42")).await.unwrap();
        stream.finish().unwrap();
    }
    sleep(seconds(120)).await;
    assert_eq!(code(world.decrypt(&message).await), "network_failed");
    assert_eq!(code(world.encrypt(b"data").await), "network_failed");
    assert_eq!(world.client.leases(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_grace_a_lease_ends_at_its_end() {
    let world = world(Duration::ZERO).await;
    let message = world.encrypt(b"data").await.unwrap();
    world.decrypt(&message).await.unwrap();
    world.go_offline();
    sleep(seconds(99)).await;
    world.decrypt(&message).await.unwrap();
    sleep(seconds(2)).await;
    assert_eq!(code(world.decrypt(&message).await), "network_failed");
    assert_eq!(world.client.leases(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_back_extends_no_grace() {
    let world = world(HOUR).await;
    let message = world.encrypt(b"data").await.unwrap();
    world.decrypt(&message).await.unwrap();
    world.go_offline();
    world.clock.advance(seconds(3_701));
    world.clock.set_wall_back(seconds(7_200));
    assert_eq!(code(world.decrypt(&message).await), "network_failed");
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_in_the_grace_and_is_renewed_when_the_server_is_back() {
    let world = world(HOUR).await;
    let mut writing = world.client.encryption("app:photos", &context("file", "42")).await.unwrap();
    let mut message = writing.push(&[7; 300_000]).unwrap();
    world.go_offline();
    sleep(seconds(1_000)).await;
    message.extend(writing.push(b"offline").unwrap());
    world.peer.be(Mood::Honest);
    // Another request finds the server before the stream's renewal does.
    world.client.encrypt("app:photos", &context("file", "43"), b"").await.unwrap();
    message.extend(writing.push(b"back").unwrap());
    sleep(seconds(400)).await;
    message.extend(writing.finish().unwrap());
    assert_eq!(world.decrypt(&message).await.unwrap().len(), 300_011);
}

#[tokio::test(start_paused = true)]
async fn when_the_server_is_back_and_refuses_the_grace_is_over() {
    let world = world(HOUR).await;
    let message = world.encrypt(b"data").await.unwrap();
    let mut writing = world.client.encryption("app:photos", &context("file", "42")).await.unwrap();
    world.go_offline();
    sleep(seconds(300)).await;
    writing.push(b"offline").unwrap();
    world.peer.be(Mood::Refusing(403, "access_denied"));
    sleep(seconds(90)).await;
    assert_eq!(code(writing.push(b"late")), "lease_expired");
    world.go_offline();
    assert_eq!(code(world.decrypt(&message).await), "network_failed");
    assert_eq!(code(world.encrypt(b"data").await), "network_failed");
}

#[tokio::test(start_paused = true)]
async fn online_a_lease_beyond_its_end_is_not_used_but_asked_for_anew() {
    let world = world(HOUR).await;
    let message = world.encrypt(b"data").await.unwrap();
    world.decrypt(&message).await.unwrap();
    sleep(seconds(230)).await;
    assert_eq!(world.client.leases(), 0);
    let before = world.asked();
    world.decrypt(&message).await.unwrap();
    assert_eq!(world.asked(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_backends_data_key_has_no_grace() {
    let world = World::with_token(Limits { offline_grace: HOUR, ..Limits::default() });
    world.encrypt(b"data").await.unwrap();
    world.go_offline();
    sleep(seconds(299)).await;
    world.encrypt(b"data").await.unwrap();
    sleep(seconds(2)).await;
    assert_eq!(code(world.encrypt(b"data").await), "network_failed");
}
