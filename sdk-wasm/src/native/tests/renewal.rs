//! Leases in use are renewed; others end.

use std::{io::Read, time::Duration};

use keyhaven_shared::lease_event::LeaseEnd;
use tokio::time::sleep;

use super::{Limits, Mood, Peer, World, code, context};
use crate::native::{decryption::MessageInfo, encryption::Encryption, testing::until};

/// A client with leases of 100 seconds.
async fn world() -> World {
    World::with_device(Limits { max_age: seconds(100), ..Limits::default() }).await
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn writing(world: &World) -> Encryption {
    world.client.encryption("app:photos", &context("file", "42")).await.unwrap()
}

fn version(message: &[u8]) -> u32 {
    MessageInfo::read(message).unwrap().unwrap().version.number()
}

#[tokio::test(start_paused = true)]
async fn a_stream_longer_than_its_lease_goes_on_while_the_server_renews_it() {
    let world = world().await;
    let mut writing = writing(&world).await;
    let mut message = writing.push(&[7; 300_000]).unwrap();
    sleep(seconds(49)).await;
    assert_eq!(world.asked(), 1);
    sleep(seconds(22)).await;
    assert_eq!(world.asked(), 2);
    sleep(seconds(180)).await;
    assert!((4..=6).contains(&world.asked()), "{} requests in 251 s", world.asked());
    message.extend(writing.push(&[7; 700_000]).unwrap());
    message.extend(writing.finish().unwrap());

    world.client.forget_keys();
    let before = world.asked();
    let about = context("file", "42");
    let mut reader = world.client.decrypting_reader(message.as_slice(), &about).await.unwrap();
    let mut first = [0];
    reader.read_exact(&mut first).unwrap();
    sleep(seconds(250)).await;
    assert!((4..=6).contains(&(world.asked() - before)), "each by a ticket that is good once");
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest == vec![7; 999_999]);
}

#[tokio::test(start_paused = true)]
async fn when_the_server_refuses_a_stream_stops_at_its_leases_end_and_not_before() {
    let world = world().await;
    let mut writing = writing(&world).await;
    world.peer.be(Mood::Refusing(403, "access_denied"));
    sleep(seconds(98)).await;
    assert_eq!(world.asked(), 2, "a refusal is an answer");
    writing.push(b"in time").unwrap();
    sleep(seconds(4)).await;
    assert_eq!(world.client.leases(), 0);
    assert_eq!(code(writing.push(b"late")), "lease_expired");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_asked_again_ever_more_often_towards_the_end() {
    let world = world().await;
    let mut writing = writing(&world).await;
    for mood in [Mood::Saying(502, b"a proxy's page".to_vec()), Mood::Refusing(503, "unavailable")]
    {
        let before = world.asked();
        world.peer.be(mood);
        sleep(seconds(90)).await;
        let tried = world.asked() - before;
        assert!((2..=12).contains(&tried), "{tried} attempts");
        writing.push(b"more").unwrap();
        world.peer.be(Mood::Honest);
        // At most half of what is left goes by until the next attempt.
        sleep(seconds(6)).await;
    }
    sleep(seconds(60)).await;
    writing.finish().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_is_not_renewed_but_ends() {
    let world = world().await;
    let message = world.encrypt(b"data").await.unwrap();
    world.decrypt(&message).await.unwrap();
    sleep(seconds(72)).await;
    // Both were used since they were given.
    assert_eq!(world.asked(), 4);
    sleep(seconds(140)).await;
    assert_eq!((world.asked(), world.client.leases()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn keys_in_use_are_renewed_before_they_end_so_that_no_message_waits() {
    let world = world().await;
    let message = world.encrypt(b"data").await.unwrap();
    world.decrypt(&message).await.unwrap();
    for round in 0..40 {
        let before = world.asked();
        world.decrypt(&message).await.unwrap();
        world.encrypt(b"data").await.unwrap();
        assert_eq!(world.asked(), before, "round {round}");
        sleep(seconds(10)).await;
    }
    // Both keys, at 50 to 70 s and a little more each time.
    assert!((12..=20).contains(&world.asked()), "{} requests", world.asked());
}

#[tokio::test(start_paused = true)]
async fn a_rotation_does_not_break_a_stream_and_the_next_message_names_the_new_version() {
    let world = world().await;
    let old = world.encrypt(b"old").await.unwrap();
    let mut writing = writing(&world).await;
    let mut message = writing.push(&[7; 300_000]).unwrap();
    world.peer.rotate();
    sleep(seconds(1)).await;
    let new = world.encrypt(b"new").await.unwrap();
    assert_eq!((version(&old), version(&new)), (1, 2));
    sleep(seconds(250)).await;
    message.extend(writing.finish().unwrap());
    assert_eq!(version(&message), 1);
    assert_eq!(world.decrypt(&message).await.unwrap(), vec![7; 300_000]);
    assert_eq!(world.decrypt(&old).await.unwrap(), b"old");
}

#[tokio::test(start_paused = true)]
async fn a_data_key_that_a_rotation_overtook_serves_who_waited_and_nobody_after() {
    let world = world().await;
    world.encrypt(b"data").await.unwrap();
    // The server tells of a version that its next answer does not know yet.
    world.peer.end(LeaseEnd::KeyRotated(Peer::KEY, keyhaven_shared::ids::Version::new(2).unwrap()));
    sleep(seconds(1)).await;
    for _ in 0..3 {
        assert_eq!(version(&world.encrypt(b"data").await.unwrap()), 1);
    }
    assert_eq!(world.asked(), 4);
    world.peer.rotate();
    assert_eq!(version(&world.encrypt(b"data").await.unwrap()), 2);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_means_another_key_by_now_does_not_keep_a_stream_alive() {
    let world = world().await;
    let mut writing = writing(&world).await;
    world.peer.rename();
    sleep(seconds(99)).await;
    writing.push(b"in time").unwrap();
    sleep(seconds(3)).await;
    assert_eq!(code(writing.push(b"late")), "lease_expired");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_overtakes_a_renewal_ends_the_lease() {
    let world = world().await;
    let mut writing = writing(&world).await;
    world.peer.delay_answers(seconds(5));
    until(|| world.asked() == 2).await;
    world.peer.end(LeaseEnd::KeyStopped(Peer::KEY));
    sleep(seconds(10)).await;
    assert_eq!(code(writing.push(b"more")), "key_stopped");
    assert_eq!(world.client.leases(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_renews_nothing_and_what_it_began_ends_in_time() {
    let world = world().await;
    let mut writing = writing(&world).await;
    let World { client, peer, .. } = world;
    drop(client);
    sleep(seconds(99)).await;
    writing.push(b"in time").unwrap();
    sleep(seconds(2)).await;
    assert_eq!(code(writing.push(b"late")), "lease_expired");
    let asked = peer.requests().iter().filter(|path| path.ends_with("deliver-data-key")).count();
    assert_eq!(asked, 1);
}
