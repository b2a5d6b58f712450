//! An HSM that fails, at each of its calls: nothing half-done, and the operation can be repeated.

use std::sync::Arc;

use keyhaven_shared::ids::{DeploymentId, KeyringId};

use super::{
    stage::{Stage, create_key, rows, schedule},
    world::{NOW, World, alias_of},
};
use crate::{
    conformance::{
        memory_environment::MemoryEnvironment,
        memory_hsm::{Fault, MemoryHsm},
        memory_store::MemoryStore,
    },
    error::Error,
    op::{
        key::CreateKey,
        keyring::{CreateKeyring, DescribeKeyring},
        shred::DestroyKey,
    },
    permit::Permit,
    port::{
        Ports,
        hsm::{Hsm, HsmKey, HsmRole},
    },
    record::{DeploymentRecord, deployment_place, keyring_id},
    start::{destroy_due, start},
};

const FAULTS: [Fault; 2] = [Fault::Lost, Fault::AppliedButReportedFailed];
const PERMIT: Permit = Permit::for_conformance();

fn deployment(world: &World) -> DeploymentId {
    world.engine.services().deployment
}

async fn system(world: &World) -> KeyringId {
    let row = world.store.row(&deployment_place()).unwrap();
    let record: DeploymentRecord = serde_json::from_slice(&row.body).unwrap();
    record.system.parse().unwrap()
}

async fn keyring(world: &World) -> KeyringId {
    let describe = DescribeKeyring { keyring: "default".into() };
    keyring_id(&world.engine.execute(&world.admin().await, &describe).await.unwrap()).unwrap()
}

async fn restarted(world: World) -> World {
    let engine = start(world.ports(), true).await.unwrap().engine.into();
    World { engine, ..world }
}

#[tokio::test]
async fn a_keyring_is_made_whole_or_not_at_all() {
    let world = World::new().await;
    let admin = world.admin().await;
    // The calls: list, make, seal.
    for (number, (at, fault)) in (0..3).flat_map(|at| FAULTS.map(|f| (at, f))).enumerate() {
        let name = format!("keyring-{number}");
        let before = rows(&world).await;
        world.hsm.pass_next(at);
        world.hsm.fail_next(fault);
        let create = CreateKeyring { name: name.clone() };
        let told = world.engine.execute(&admin, &create).await.err();
        assert_eq!(told, Some(Error::Unavailable), "{fault:?} at call {at}");
        assert_eq!(world.last_audit().await["outcome"], "unavailable");
        assert_eq!(rows(&world).await, before, "{fault:?} at call {at}");
        world.engine.execute(&admin, &create).await.unwrap();
        let create = CreateKey { keyring: name.clone(), ..create_key("photos") };
        world.engine.execute(&admin, &create).await.unwrap();
        assert!(world.encrypt(&admin, &format!("{name}:photos")).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_destruction_that_fails_before_its_commit_changed_nothing() {
    let stage = Stage::new().await;
    let (world, admin) = (&stage.world, &stage.admin);
    let destroy = DestroyKey { key: alias_of("leaving") };
    let roots = world.hsm.keys(deployment(world)).await.unwrap().len();
    for (at, fault) in (0..3).flat_map(|at| FAULTS.map(|fault| (at, fault))) {
        let before = rows(world).await;
        world.hsm.pass_next(at);
        world.hsm.fail_next(fault);
        let told = world.engine.execute(admin, &destroy).await.err();
        assert_eq!(told, Some(Error::Unavailable), "{fault:?} at call {at}");
        assert_eq!(rows(world).await, before, "{fault:?} at call {at}");
        let opened = world.decrypt(admin, ("photos", &stage.ciphertext)).await;
        assert_eq!(opened.unwrap().as_slice(), b"secret", "the others go on");
    }
    world.engine.execute(admin, &destroy).await.unwrap();
    assert_eq!(world.hsm.keys(deployment(world)).await.unwrap().len(), roots, "none left behind");
    assert!(world.decrypt(admin, ("photos", &stage.ciphertext)).await.is_ok());
}

#[tokio::test]
async fn a_key_that_cannot_be_destroyed_holds_up_no_other() {
    let stage = Stage::new().await;
    let (world, admin) = (&stage.world, &stage.admin);
    world.key("second").await;
    world.engine.execute(admin, &schedule("second")).await.unwrap();
    // The first call of the first destruction fails, whichever key's it is.
    world.hsm.fail_next(Fault::Lost);
    assert_eq!(destroy_due(&world.engine).await, Err(Error::Unavailable));
    let destroyed = |log: Vec<serde_json::Value>| {
        let done = log.into_iter().filter(|entry| entry["operation"] == "DestroyKey");
        done.map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(destroyed(world.audit().await), ["unavailable", "ok"]);
    assert_eq!(destroy_due(&world.engine).await, Ok(1), "the next round tries again");
    assert_eq!(destroyed(world.audit().await), ["unavailable", "ok", "ok"]);
}

#[tokio::test]
async fn a_destruction_whose_last_step_fails_is_not_reported_as_done() {
    for fault in FAULTS {
        let stage = Stage::new().await;
        let (admin, ciphertext) = (stage.admin, stage.ciphertext);
        let old = HsmRole::Root { keyring: keyring(&stage.world).await, epoch: 1 };
        let old = HsmKey { deployment: deployment(&stage.world), role: old };
        stage.world.hsm.pass_next(3);
        stage.world.hsm.fail_next(fault);
        let destroy = DestroyKey { key: alias_of("leaving") };
        let told = stage.world.engine.execute(&admin, &destroy).await.err();
        assert_eq!(told, Some(Error::OutcomeUnknown), "{fault:?}");
        assert_eq!(stage.world.hsm.check_key(old).await.is_ok(), fault == Fault::Lost);
        let world = restarted(stage.world).await;
        assert!(world.hsm.check_key(old).await.is_err(), "the start finishes it");
        assert!(world.decrypt(&admin, ("photos", &ciphertext)).await.is_ok());
        assert!(world.encrypt(&admin, "leaving").await.is_err());
    }
}

#[tokio::test]
async fn a_start_fails_at_any_hsm_call_and_succeeds_when_it_answers_again() {
    let world = World::new().await;
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let ciphertext = world.encrypt(&admin, "photos").await.unwrap();
    let (calls, before) = (world.hsm.calls(), rows(&world).await);
    let world = restarted(world).await;
    let needed = usize::try_from(world.hsm.calls() - calls).unwrap();
    assert!(needed >= 5, "root, issuer, log, the sealed key, and each keyring's root");
    for at in 0..needed {
        world.hsm.pass_next(at);
        world.hsm.fail_next(Fault::Lost);
        let refused = start(world.ports(), true).await.err();
        assert_eq!(refused, Some(Error::Unavailable), "at call {at}");
    }
    let world = restarted(world).await;
    assert_eq!(rows(&world).await, before, "a start changes nothing");
    assert!(world.decrypt(&admin, ("photos", &ciphertext)).await.is_ok());
}

#[tokio::test]
async fn a_first_start_that_the_hsm_interrupts_leaves_no_installation() {
    // The calls before the first commit: make issuer and log, tell both; list, make and seal for the
    // system's root, and for the first keyring's.
    for (at, fault) in (0..10).flat_map(|at| FAULTS.map(|fault| (at, fault))) {
        let (store, hsm) = (Arc::new(MemoryStore::new()), Arc::new(MemoryHsm::new(1)));
        let environment = Arc::new(MemoryEnvironment::at(NOW));
        let ports = Ports { store, hsm: Arc::clone(&hsm) as _, environment };
        hsm.pass_next(at);
        hsm.fail_next(fault);
        let refused = start(ports.clone(), true).await.err();
        assert_eq!(refused, Some(Error::Unavailable), "{fault:?} at call {at}");
        assert_eq!(ports.store.next_index().await, Ok(0), "nothing was committed");
        assert_eq!(hsm.held(), 0, "{fault:?} at call {at}: nothing is left in the token");
        let started = start(ports, true).await.unwrap();
        assert!(started.admin_token.is_some(), "{fault:?} at call {at}: set up anew");
    }
}

#[tokio::test]
async fn a_start_refuses_while_a_key_it_needs_is_missing() {
    for missing in ["system", "keyring", "issuer", "log"] {
        let world = World::new().await;
        let role = match missing {
            "system" => HsmRole::Root { keyring: system(&world).await, epoch: 1 },
            "keyring" => HsmRole::Root { keyring: keyring(&world).await, epoch: 1 },
            "issuer" => HsmRole::Issuer,
            _ => HsmRole::Log,
        };
        let key = HsmKey { deployment: deployment(&world), role };
        assert!(world.hsm.check_key(key).await.is_ok(), "{missing}");
        world.hsm.remove(key);
        let refused = start(world.ports(), true).await.err();
        assert_eq!(refused, Some(Error::Internal), "{missing}");
    }
}

#[tokio::test]
async fn a_start_refuses_another_token_and_a_root_made_anew() {
    let world = World::new().await;
    let foreign = Ports { hsm: Arc::new(MemoryHsm::new(2)), ..world.ports() };
    assert_eq!(start(foreign, true).await.err(), Some(Error::Internal), "another token");

    let role = HsmRole::Root { keyring: system(&world).await, epoch: 1 };
    let root = HsmKey { deployment: deployment(&world), role };
    world.hsm.remove(root);
    world.hsm.make_key(&PERMIT, root).await.unwrap();
    let refused = start(world.ports(), true).await.err();
    assert_eq!(refused, Some(Error::Internal), "the right label on another key");
}

#[tokio::test]
async fn a_keyring_whose_root_was_made_anew_under_its_label_stops_the_start() {
    let world = World::new().await;
    let admin = world.admin().await;
    world.engine.execute(&admin, &CreateKeyring { name: "app".into() }).await.unwrap();
    let role = HsmRole::Root { keyring: keyring(&world).await, epoch: 1 };
    let root = HsmKey { deployment: deployment(&world), role };
    world.hsm.remove(root);
    world.hsm.make_key(&PERMIT, root).await.unwrap();
    assert!(world.hsm.check_key(root).await.is_ok(), "its attributes are right");
    assert_eq!(start(world.ports(), true).await.err(), Some(Error::Internal));
}

#[tokio::test]
async fn a_signing_key_made_anew_under_its_label_stops_the_start() {
    for role in [HsmRole::Issuer, HsmRole::Log] {
        let world = World::new().await;
        let key = HsmKey { deployment: deployment(&world), role };
        world.hsm.remove(key);
        world.hsm.make_key(&PERMIT, key).await.unwrap();
        assert_eq!(start(world.ports(), true).await.err(), Some(Error::Internal), "{role:?}");
    }
}

#[tokio::test]
async fn a_root_that_is_there_already_is_neither_replaced_nor_in_the_way() {
    let stage = Stage::new().await;
    let (world, admin) = (&stage.world, &stage.admin);
    let of_epoch = |keyring, epoch| {
        let role = HsmRole::Root { keyring, epoch };
        HsmKey { deployment: deployment(world), role }
    };
    let keyring = keyring(world).await;
    let stranger = of_epoch(keyring, 2);
    world.hsm.make_key(&PERMIT, stranger).await.unwrap();
    let aad = b"a newer database's".to_vec();
    let secret = keyhaven_shared::secret::DomainKey::fill_with(|bytes| bytes.fill(3));
    let sealed = world.hsm.seal(&PERMIT, stranger, aad.clone(), &secret).await.unwrap();
    let destroy = DestroyKey { key: alias_of("leaving") };
    world.engine.execute(admin, &destroy).await.unwrap();
    assert!(world.hsm.open(stranger, aad, sealed).await.is_ok(), "it is the very same key");
    assert_eq!(world.hsm.check_key(of_epoch(keyring, 3)).await, Ok(()));
    assert!(world.decrypt(admin, ("photos", &stage.ciphertext)).await.is_ok());
}

#[tokio::test]
async fn while_the_hsm_is_away_only_what_is_open_works() {
    let world = World::new().await;
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let ciphertext = world.encrypt(&admin, "photos").await.unwrap();
    let world = restarted(world).await;
    world.hsm.set_offline(true);
    assert!(world.encrypt(&admin, "photos").await.is_ok(), "the start opened it");
    assert!(world.decrypt(&admin, ("photos", &ciphertext)).await.is_ok(), "open in memory");
    let create = CreateKeyring { name: "app".into() };
    assert_eq!(world.engine.execute(&admin, &create).await.err(), Some(Error::Unavailable));
    world.engine.execute(&admin, &schedule("photos")).await.unwrap();
    let destroy = DestroyKey { key: alias_of("photos") };
    assert_eq!(world.engine.execute(&admin, &destroy).await.err(), Some(Error::Unavailable));
    world.hsm.set_offline(false);
    assert!(world.engine.execute(&admin, &destroy).await.is_ok());
}
