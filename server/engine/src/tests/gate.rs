//! No result without its durable record; nothing that a change forbids is released after it returned.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::world::{World, alias_of};
use crate::{
    conformance::memory_store::Fault,
    error::Error,
    op::key_state::{DisableKey, EnableKey},
};

#[tokio::test]
async fn without_a_record_there_is_no_answer() {
    let world = World::new().await;
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let before = world.audit().await.len();
    // The operation's commit fails, and then the refusal's.
    world.store.fail_next_commit(Fault::Lost);
    world.store.fail_next_commit(Fault::Lost);
    assert_eq!(world.encrypt(&admin, "photos").await.unwrap_err(), Error::Unavailable);
    assert_eq!(world.audit().await.len(), before, "nothing was recorded");
    assert!(world.encrypt(&admin, "photos").await.is_ok(), "and it still serves");
}

#[tokio::test]
async fn an_unknown_outcome_is_withheld_and_can_be_looked_up() {
    let world = World::new().await;
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let before = world.audit().await.len();
    world.store.fail_next_commit(Fault::Unknown);
    assert_eq!(world.encrypt(&admin, "photos").await.unwrap_err(), Error::OutcomeUnknown);
    let entries = world.audit().await.split_off(before);
    let outcomes: Vec<&str> =
        entries.iter().filter_map(|entry| entry["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["ok", "outcome_unknown"], "recorded, withheld, and that is recorded too");
    assert!(entries.iter().all(|entry| entry["request_id"] == "request"));
}

#[tokio::test]
async fn a_change_while_an_operation_waits_at_the_gate_stops_it() {
    let world = Arc::new(World::new().await);
    let (admin, _) = (world.admin().await, world.key("photos").await);
    world.encrypt(&admin, "photos").await.unwrap();
    world.store.stall();
    let disable = DisableKey { key: alias_of("photos") };
    let (disabled, encrypted, ()) = tokio::join!(
        world.engine.execute(&admin, &disable),
        world.encrypt(&admin, "photos"),
        async { world.store.resume() },
    );
    disabled.unwrap();
    let log = world.audit().await;
    let position = |operation: &str| {
        log.iter()
            .rposition(|entry| entry["operation"] == operation && entry["decision"] == "allowed")
    };
    let stale = position("Encrypt") > position("DisableKey");
    assert!(!stale, "no use is recorded as allowed after the change");
    assert_eq!(
        encrypted.is_ok(),
        log.iter().filter(|e| e["operation"] == "Encrypt" && e["decision"] == "allowed").count()
            == 2
    );
}

/// Many clients use a key while an operator disables and enables it. The log tells the true order: no
/// use may stand in it as allowed between a disabling and the next enabling.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_key_is_never_used_whatever_races() {
    let world = Arc::new(World::new().await);
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (world, done, admin) = (Arc::clone(&world), Arc::clone(&done), admin.clone());
            tokio::spawn(async move {
                let mut released = 0_usize;
                while !done.load(Ordering::SeqCst) {
                    released += usize::from(world.encrypt(&admin, "photos").await.is_ok());
                    tokio::task::yield_now().await;
                }
                released
            })
        })
        .collect();
    for _ in 0..50 {
        world.engine.execute(&admin, &DisableKey { key: alias_of("photos") }).await.unwrap();
        assert!(world.encrypt(&admin, "photos").await.is_err(), "refused at once");
        world.engine.execute(&admin, &EnableKey { key: alias_of("photos") }).await.unwrap();
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    let mut released = 0;
    for client in clients {
        released += client.await.unwrap();
    }
    let (mut enabled, mut stale, mut recorded) = (true, 0, 0);
    for entry in world.audit().await.iter().filter(|entry| entry["decision"] == "allowed") {
        match entry["operation"].as_str().unwrap() {
            "DisableKey" => enabled = false,
            "EnableKey" => enabled = true,
            "Encrypt" => {
                recorded += 1;
                stale += usize::from(!enabled);
            }
            _ => {}
        }
    }
    assert_eq!((stale, recorded), (0, released), "stale uses; recorded against released");
}

#[tokio::test]
async fn a_policy_that_tightens_stops_what_was_decided_before() {
    let world = World::new().await;
    let user = world.user("writer").await;
    world.key("photos").await;
    let permit =
        "permit(principal, action, resource) when { resource in Keyhaven::Keyring::\"default\" };";
    let permit = permit.replace("action,", "action == Keyhaven::Action::\"Encrypt\",");
    world.policy("users", &permit).await.unwrap();
    assert!(world.encrypt(&user, "photos").await.is_ok());
    let forbid = "forbid(principal == Keyhaven::Principal::\"writer\", action, resource);";
    let (tightened, _) =
        tokio::join!(world.policy("no-writer", forbid), world.encrypt(&user, "photos"));
    tightened.unwrap();
    assert_eq!(world.encrypt(&user, "photos").await.unwrap_err(), Error::Denied);
}
