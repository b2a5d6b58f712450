//! A read that is answered after a change of what it read: nothing old is remembered for long.

use std::{future::Future, sync::Arc};

use keyhaven_shared::key_state::KeyState;
use tokio::task::JoinHandle;

use super::{
    stage::Stage,
    world::{World, alias_of},
};
use crate::{
    authenticate::Presented,
    error::Error,
    op::{
        key_state::{DisableKey, EnableKey},
        principal::{DisablePrincipal, EnablePrincipal},
    },
    port::store::{Kind, Place},
    start::destroy_due,
};

/// Begins something whose answer from the store is then held, `pass` answers of the kind later.
async fn begin<T: Send + 'static>(
    world: &World,
    (kind, pass): (Kind, usize),
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    world.store.hold_answer(kind, pass);
    let begun = tokio::spawn(work);
    // One thread: it runs until it has to wait, which nothing but the held answer makes it.
    tokio::task::yield_now().await;
    assert!(!begun.is_finished(), "it waits");
    begun
}

#[tokio::test]
async fn a_key_that_was_enabled_during_a_look_at_it_is_used_again() {
    let world = Arc::new(World::new().await);
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let key = || alias_of("photos");
    world.engine.execute(&admin, &DisableKey { key: key() }).await.unwrap();
    let (shared, caller) = (Arc::clone(&world), admin.clone());
    let look = async move { shared.encrypt(&caller, "photos").await };
    let look = begin(&world, (Kind::Key, 0), look).await;
    world.engine.execute(&admin, &EnableKey { key: key() }).await.unwrap();
    world.store.release();
    let refused = look.await.unwrap().unwrap_err();
    assert_eq!(refused, Error::WrongState(KeyState::Disabled), "as it was when it began");
    assert!(world.encrypt(&admin, "photos").await.is_ok());
}

#[tokio::test]
async fn a_principal_that_was_enabled_while_it_asked_is_let_in_again() {
    let world = Arc::new(World::new().await);
    let admin = world.admin().await;
    let token = world.user_token("writer").await;
    let name = || "writer".to_owned();
    world.engine.execute(&admin, &DisablePrincipal { name: name() }).await.unwrap();
    let (shared, shown) = (Arc::clone(&world), token.clone());
    let ask = async move { shared.caller(Presented::Token(&shown)).await.map(drop) };
    let ask = begin(&world, (Kind::Principal, 0), ask).await;
    world.engine.execute(&admin, &EnablePrincipal { name: name() }).await.unwrap();
    world.store.release();
    assert_eq!(ask.await.unwrap(), Err(Error::Denied), "as it was when it began");
    assert!(world.caller(Presented::Token(&token)).await.is_ok());
}

#[tokio::test]
async fn a_policy_that_was_loosened_while_policies_were_read_permits() {
    let world = Arc::new(World::new().await);
    world.key("photos").await;
    let user = world.user("writer").await;
    // So that the policies are read anew.
    world
        .policy("other", "permit(principal == Keyhaven::Principal::\"nobody\", action, resource);")
        .await
        .unwrap();
    let (shared, caller) = (Arc::clone(&world), user.clone());
    let look = async move { shared.encrypt(&caller, "photos").await };
    // The row that counts their changes is read first, then they are listed.
    let look = begin(&world, (Kind::Policy, 1), look).await;
    let permit = "permit(principal == Keyhaven::Principal::\"writer\", action, resource);";
    world.policy("users", permit).await.unwrap();
    world.store.release();
    assert_eq!(look.await.unwrap().unwrap_err(), Error::Denied, "as it was when it began");
    assert!(world.encrypt(&user, "photos").await.is_ok());
}

#[tokio::test]
async fn a_version_that_was_wrapped_anew_meanwhile_is_opened_all_the_same() {
    let stage = Stage::new().await;
    let (world, admin) = (Arc::new(stage.world), stage.admin);
    world.key("second").await;
    let ciphertext = world.encrypt(&admin, "second").await.unwrap();
    // Neither the keyring nor the material is in memory.
    let (engine, key) = (&world.engine, || alias_of("second"));
    engine.execute(&admin, &DisableKey { key: key() }).await.unwrap();
    engine.execute(&admin, &EnableKey { key: key() }).await.unwrap();
    engine.services().directory.forget(&Place::new(Kind::Keyring, "default"));
    let (shared, caller) = (Arc::clone(&world), admin.clone());
    let look = async move { shared.decrypt(&caller, ("second", &ciphertext)).await };
    let look = begin(&world, (Kind::Keyring, 0), look).await;
    // This replaces the keyring's root, and its domain key.
    assert_eq!(destroy_due(engine).await, Ok(1));
    world.store.release();
    assert!(look.await.unwrap().is_ok());
}
