//! The first start, and what a failure leaves behind.

use std::sync::{Arc, Mutex};

use keyhaven_shared::lease_event::LeaseEnd;

use super::{
    stage::{create_key, schedule},
    world::{NOW, World, alias_of},
};
use crate::{
    authenticate::Presented,
    conformance::{
        memory_environment::MemoryEnvironment,
        memory_hsm::{self, MemoryHsm},
        memory_store::{Fault, MemoryStore},
    },
    error::Error,
    op::{
        device::RevokeDevice, key_state::DisableKey, keyring::CreateKeyring, policy::PutPolicy,
        shred::DestroyKey,
    },
    port::{Ports, hsm::Hsm, store::Store},
    start::{renew_first_token, start, start_keeping},
};

fn nothing() -> (Arc<MemoryStore>, Ports) {
    let store = Arc::new(MemoryStore::new());
    let environment = Arc::new(MemoryEnvironment::at(NOW));
    let hsm = Arc::new(MemoryHsm::new(1));
    (Arc::clone(&store), Ports { store, hsm, environment })
}

async fn roots(world: &World) -> usize {
    world.hsm.keys(world.engine.services().deployment).await.unwrap().len()
}

#[tokio::test]
async fn a_new_installation_is_one_commit() {
    let (store, ports) = nothing();
    start(ports.clone(), true).await.unwrap();
    assert_eq!(store.next_index().await, Ok(1));
    let engine = start(ports, true).await.unwrap().engine;
    assert_eq!(engine.services().ports.store.next_index().await, Ok(1));
}

#[tokio::test]
async fn the_admins_token_is_kept_before_there_is_an_installation() {
    let kept = Mutex::new(String::new());
    let (store, ports) = nothing();
    let refuse = |_: &str| Err(Error::Unavailable);
    let refused = start_keeping(ports.clone(), true, &refuse).await.err();
    assert_eq!((refused, store.next_index().await), (Some(Error::Unavailable), Ok(0)));

    // The process dies after the commit, before anybody is told.
    store.fail_next_commit(Fault::Unknown);
    let keep = |token: &str| {
        token.clone_into(&mut kept.lock().unwrap());
        Ok(())
    };
    let told = start_keeping(ports.clone(), true, &keep).await.err();
    assert_eq!(told, Some(Error::OutcomeUnknown));
    let started = start_keeping(ports, true, &refuse).await.unwrap();
    assert!(started.admin_token.is_none(), "it is there already");
    let token = kept.lock().unwrap().clone();
    let request = super::world::request();
    let services = started.engine.services();
    let caller = crate::authenticate::authenticate(services, Presented::Token(&token), request);
    assert_eq!(caller.await.unwrap().name(), "admin");
}

#[tokio::test]
async fn a_first_token_minted_anew_ends_the_one_before_it() {
    let world = World::new().await;
    let token = renew_first_token(&world.engine).await.unwrap();
    assert_eq!(world.last_audit().await["via"], "system");
    let old = world.caller(Presented::Token(&world.admin_token)).await.err();
    assert_eq!(old, Some(Error::Unauthenticated));
    assert_eq!(world.caller(Presented::Token(&token)).await.unwrap().name(), "admin");
}

#[tokio::test]
async fn a_keyring_that_is_not_made_leaves_no_root_in_the_hsm() {
    let world = World::new().await;
    let admin = world.admin().await;
    let before = roots(&world).await;
    let create = |name: &str| CreateKeyring { name: name.into() };
    let told = world.engine.execute(&admin, &create("default")).await.err();
    assert_eq!(told, Some(Error::Conflict("a keyring of that name exists")));
    assert_eq!(roots(&world).await, before);
    world.store.fail_next_commit(Fault::Lost);
    let told = world.engine.execute(&admin, &create("app")).await.err();
    assert_eq!((told, roots(&world).await), (Some(Error::Unavailable), before));
    // The calls: list, make, seal.
    for (at, fault) in [
        (1, memory_hsm::Fault::Lost),
        (1, memory_hsm::Fault::AppliedButReportedFailed),
        (2, memory_hsm::Fault::Lost),
        (2, memory_hsm::Fault::AppliedButReportedFailed),
    ] {
        world.hsm.pass_next(at);
        world.hsm.fail_next(fault);
        let told = world.engine.execute(&admin, &create("app")).await.err();
        assert_eq!((told, roots(&world).await), (Some(Error::Unavailable), before), "{fault:?}");
    }
    world.engine.execute(&admin, &create("app")).await.unwrap();
    assert_eq!(roots(&world).await, before + 1);
}

#[tokio::test]
async fn a_destruction_that_is_not_committed_leaves_the_old_root_alone() {
    let world = World::new().await;
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let create = create_key("music");
    world.engine.execute(&admin, &create).await.unwrap();
    let kept = world.encrypt(&admin, "music").await.unwrap();
    world.engine.execute(&admin, &schedule("photos")).await.unwrap();
    let before = roots(&world).await;
    world.store.fail_next_commit(Fault::Lost);
    let destroy = DestroyKey { key: alias_of("photos") };
    let told = world.engine.execute(&admin, &destroy).await.err();
    assert_eq!((told, roots(&world).await), (Some(Error::Unavailable), before));
    assert!(world.decrypt(&admin, ("music", &kept)).await.is_ok());
    world.engine.execute(&admin, &destroy).await.unwrap();
    assert_eq!(roots(&world).await, before);
    assert!(world.decrypt(&admin, ("music", &kept)).await.is_ok());
}

#[tokio::test]
async fn leases_end_when_what_ends_them_may_have_happened() {
    let world = World::new().await;
    world.user("writer").await;
    let key = world.key("photos").await.id;
    let device = world.device(1, "writer").await.keys.thumbprint();
    let admin = world.admin().await;
    let mut events = world.engine.services().leases.watch(None, 0).receiver;
    let mut last = 0;
    let mut heard = || {
        let event = events.try_recv().unwrap();
        assert!(event.serial > last, "{} after {last}", event.serial);
        last = event.serial;
        event.end
    };
    let unknown = || world.store.fail_next_commit(Fault::Unknown);
    let engine = &world.engine;

    unknown();
    let told = engine.execute(&admin, &DisableKey { key: alias_of("photos") }).await.err();
    assert_eq!((told, heard()), (Some(Error::OutcomeUnknown), LeaseEnd::KeyStopped(key)));
    unknown();
    let told = engine.execute(&admin, &RevokeDevice { device }).await.err();
    assert_eq!((told, heard()), (Some(Error::OutcomeUnknown), LeaseEnd::DeviceRevoked(device)));
    unknown();
    let text = "permit(principal, action, resource) when { context.export };".to_owned();
    let told = engine.execute(&admin, &PutPolicy { name: "other".into(), text }).await.err();
    assert_eq!((told, heard()), (Some(Error::OutcomeUnknown), LeaseEnd::PolicyChanged));
    engine.execute(&admin, &schedule("photos")).await.unwrap();
    assert_eq!(heard(), LeaseEnd::KeyStopped(key));
    unknown();
    let told = engine.execute(&admin, &DestroyKey { key: alias_of("photos") }).await.err();
    assert_eq!((told, heard()), (Some(Error::OutcomeUnknown), LeaseEnd::KeyStopped(key)));
    // A commit that is known to be lost ends nothing.
    world.store.fail_next_commit(Fault::Lost);
    let text = "permit(principal, action, resource) when { context.export };".to_owned();
    engine.execute(&admin, &PutPolicy { name: "third".into(), text }).await.unwrap_err();
    assert!(events.try_recv().is_err());
}
