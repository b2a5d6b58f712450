//! The stream of the server's word.

use std::time::Duration;

use keyhaven_shared::lease_event::LeaseEnd;

use super::{Limits, Mood, Peer, World, code, context};
use crate::native::testing::until;

const STOPPED: LeaseEnd = LeaseEnd::KeyStopped(Peer::KEY);

#[tokio::test(start_paused = true)]
async fn a_client_listens_before_its_first_data_key_comes_and_no_longer_than_it_lives() {
    let world = World::with_device(Limits::default()).await;
    assert_eq!(world.peer.listeners(), 0);
    world.encrypt(b"data").await.unwrap();
    assert_eq!(world.peer.listeners(), 1);
    let World { client, peer, .. } = world;
    let clone = client.clone();
    drop(client);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(peer.listeners(), 1);
    drop(clone);
    until(|| peer.listeners() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_forged_ends_nothing() {
    let world = World::with_device(Limits::default()).await;
    world.encrypt(b"data").await.unwrap();
    world.peer.forge(STOPPED);
    world.peer.tell("event: lease\ndata: bm9uZQ==\n\nevent: lease\ndata: !\n\n");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.client.leases(), 1);
    // It listens on, or again.
    world.peer.end(STOPPED);
    until(|| world.client.leases() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_heard_twice_counts_once() {
    let world = World::with_device(Limits::default()).await;
    world.encrypt(b"data").await.unwrap();
    let signed = world.peer.end(STOPPED);
    until(|| world.client.leases() == 0).await;
    // The same second: only its number tells that the event is old.
    world.encrypt(b"data").await.unwrap();
    world.peer.tell(&signed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.client.leases(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cut_or_silent_connection_is_made_again_and_says_what_was_heard_last() {
    let world = World::with_device(Limits::default()).await;
    world.encrypt(b"data").await.unwrap();
    world.peer.end(LeaseEnd::PolicyChanged);
    until(|| world.client.leases() == 0).await;
    world.peer.cut();
    until(|| world.peer.listeners() == 1).await;
    assert!(world.peer.queries().last().unwrap().ends_with("&after=1"));
    let before = world.peer.queries().len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.peer.queries().len() > before, "silence is not believed");
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_the_stream_may_have_ended_any_lease() {
    let world = World::with_device(Limits::default()).await;
    world.encrypt(b"data").await.unwrap();
    world.peer.lose_one();
    world.peer.end(LeaseEnd::KeyStopped(keyhaven_shared::ids::KeyId::from_bytes([8; 16])));
    until(|| world.client.leases() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_missed_event_is_heard_after_the_connection_came_back() {
    let world = World::with_device(Limits::default()).await;
    let mut writing = world.client.encryption("photos", &context("file", "42")).await.unwrap();
    world.peer.cut();
    world.peer.end(STOPPED);
    until(|| world.client.leases() == 0).await;
    assert_eq!(code(writing.push(b"more")), "key_stopped");
}

#[tokio::test(start_paused = true)]
async fn without_a_stream_the_client_works_under_its_leases() {
    let world = World::with_device(Limits::default()).await;
    world.peer.refuse_listeners(true);
    world.encrypt(b"data").await.unwrap();
    let tried = world.peer.queries().len();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let more = world.peer.queries().len() - tried;
    assert!((60..=130).contains(&more), "{more} attempts in an hour: at most a minute apart");
    world.peer.refuse_listeners(false);
    until(|| world.peer.listeners() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_greets_holds_work_up_for_a_second_only() {
    let world = World::with_device(Limits::default()).await;
    world.peer.be_mute();
    let began = tokio::time::Instant::now();
    world.encrypt(b"data").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_client_with_a_token_listens_to_nothing() {
    let world = World::with_token(Limits::default());
    world.encrypt(b"data").await.unwrap();
    assert!(world.peer.queries().is_empty());
    world.peer.be(Mood::Away);
    world.encrypt(b"data").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_events_stays_bounded_and_the_last_counts() {
    let world = World::with_device(Limits::default()).await;
    world.encrypt(b"data").await.unwrap();
    for _ in 0..2_000 {
        world.peer.end(LeaseEnd::KeyStopped(keyhaven_shared::ids::KeyId::from_bytes([8; 16])));
    }
    world.peer.end(STOPPED);
    until(|| world.client.leases() == 0).await;
    world.encrypt(b"data").await.unwrap();
}
