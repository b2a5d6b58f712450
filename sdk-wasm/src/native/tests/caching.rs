//! How often the server is asked.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};

use super::{Limits, Mood, World, code, context};

#[tokio::test(start_paused = true)]
async fn one_data_key_serves_messages_about_the_same_and_no_others() {
    for world in World::both().await {
        for _ in 0..5 {
            world.encrypt(b"data").await.unwrap();
        }
        assert_eq!(world.asked(), 1);
        world.client.encrypt("app:photos", &context("file", "43"), b"").await.unwrap();
        world.client.encrypt("app:films", &context("file", "42"), b"").await.unwrap();
        assert_eq!(world.asked(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_who_want_the_same_at_once_ask_once() {
    for world in World::both().await {
        let messages = try_join_all((0..100).map(|_| world.encrypt(b"data"))).await.unwrap();
        assert_eq!(world.asked(), 1);
        world.client.forget_keys();
        let opened = try_join_all(messages.iter().map(|message| world.decrypt(message))).await;
        assert!(opened.unwrap().iter().all(|data| data == b"data"));
        assert_eq!(world.asked(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_together_fail_together_and_the_next_asks_anew() {
    for world in World::both().await {
        world.peer.be(Mood::Refusing(503, "unavailable"));
        world.peer.delay_answers(Duration::from_secs(1));
        let all = join_all((0..20).map(|_| world.encrypt(b"data"))).await;
        assert!(all.into_iter().all(|refused| code(refused) == "unavailable"));
        assert_eq!(world.asked(), 1);
        world.peer.be(Mood::Honest);
        world.encrypt(b"data").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_data_key_encrypts_no_more_messages_and_bytes_than_its_limits() {
    let two = Limits { max_messages: 2, ..Limits::default() };
    let ten = Limits { max_bytes: 10, ..Limits::default() };
    let one = Limits { max_messages: 1, ..Limits::default() };
    // Five messages of four bytes.
    for (limits, keys) in [(two, 3), (ten, 3), (one, 5), (Limits::default().hold_nothing(), 5)] {
        let world = World::with_token(limits);
        for _ in 0..5 {
            world.encrypt(b"data").await.unwrap();
        }
        assert_eq!(world.asked(), keys, "{limits:?}");
        try_join_all((0..5).map(|_| world.encrypt(b"data"))).await.unwrap();
        assert!(world.asked() <= 2 * keys, "{limits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_limit_and_a_stream_take_keys_of_their_own() {
    let world = World::with_token(Limits { max_bytes: 10, ..Limits::default() });
    world.encrypt(b"data").await.unwrap();
    world.encrypt(&[0; 11]).await.unwrap();
    drop(world.client.encryption("app:photos", &context("file", "42")).await.unwrap());
    assert_eq!(world.asked(), 3);
    world.encrypt(b"data").await.unwrap();
    assert_eq!(world.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_data_key_grows_too_old() {
    for world in World::both().await {
        let message = world.encrypt(b"data").await.unwrap();
        world.decrypt(&message).await.unwrap();
        world.clock.advance(Duration::from_secs(299));
        world.encrypt(b"data").await.unwrap();
        world.decrypt(&message).await.unwrap();
        assert_eq!(world.asked(), 2);
        world.clock.advance(Duration::from_secs(1));
        world.encrypt(b"data").await.unwrap();
        world.decrypt(&message).await.unwrap();
        assert_eq!(world.asked(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_back_keeps_no_data_key_young() {
    for world in World::both().await {
        world.encrypt(b"data").await.unwrap();
        world.clock.advance(Duration::from_secs(300));
        world.clock.set_wall_back(Duration::from_secs(3600));
        world.encrypt(b"data").await.unwrap();
        assert_eq!(world.asked(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_has_older_data_keys() {
    for world in World::both().await {
        world.encrypt(b"data").await.unwrap();
        world.clock.sleep_machine(Duration::from_secs(8 * 3600));
        world.encrypt(b"data").await.unwrap();
        assert_eq!(world.asked(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_unused_data_key_makes_room() {
    let world = World::with_token(Limits { max_entries: 2, ..Limits::default() });
    for file in ["1", "2", "3", "3", "2", "1"] {
        world.client.encrypt("photos", &context("file", file), b"").await.unwrap();
    }
    assert_eq!(world.asked(), 4);
}

#[test]
fn limits_that_cannot_be_are_refused() {
    let seconds = Duration::from_secs;
    for max_age in [Duration::ZERO, Duration::from_millis(999), seconds(3601)] {
        assert!(Limits { max_age, ..Limits::default() }.check().is_err(), "{max_age:?}");
    }
    for (offline_grace, fits) in [(seconds(604_800), true), (seconds(604_801), false)] {
        let limits = Limits { offline_grace, ..Limits::default() };
        assert_eq!(limits.check().is_ok(), fits, "{offline_grace:?}");
    }
    assert!(Limits { max_messages: 0, ..Limits::default() }.check().is_err());
    assert!(Limits { max_age: seconds(3600), ..Limits::default() }.check().is_ok());
}
