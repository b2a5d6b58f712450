//! Somebody with write access to the store, against a whole engine.

use keyhaven_shared::ids::Version;

use super::world::{World, alias_of};
use crate::{
    conformance::memory_store::MemoryStore,
    error::Error,
    inspect::{Inspected, inspect},
    integrity::{Fault, NodeId},
    op::{
        key::ListKeys,
        key_state::DisableKey,
        policy::{ListPolicies, RemovePolicy},
    },
    port::store::{Kind, Place, StoredRow},
    record::{alias_place, deployment_place, version_place},
    start::{row_seal, start},
};

/// Two keys; then the process ends, and `tamper` has the store until it starts again.
async fn restarted_after(tamper: impl FnOnce(&MemoryStore, Place)) -> World {
    let world = World::new().await;
    let (photos, _) = (world.key("photos").await, world.key("music").await);
    tamper(&world.store, Place::new(Kind::Key, photos.id));
    restarted(world).await.unwrap()
}

async fn restarted(world: World) -> Result<World, Error> {
    let engine = start(world.ports(), true).await?.engine.into();
    Ok(World { engine, ..world })
}

async fn inspected(world: &World) -> Inspected {
    let seal = row_seal(world.store.as_ref(), world.hsm.as_ref()).await.unwrap().unwrap();
    let (mut last, mut all) = (0, 0);
    let mut progress = |done, of| {
        assert!(done >= last && done <= of, "{done} of {of} after {last}");
        (last, all) = (done, of);
    };
    let inspected = inspect(world.store.as_ref(), &seal, &mut progress).await.unwrap();
    assert!(last == all || !inspected.findings.is_empty(), "{last} of {all}");
    inspected
}

/// What an inspection finds, as text.
async fn findings(world: &World) -> Vec<(String, Fault)> {
    inspected(world).await.findings.into_iter().map(|found| (found.what, found.fault)).collect()
}

/// The key `photos` is refused, everywhere and on the record; `music` is not.
async fn assert_quarantined(world: &World) {
    let admin = world.admin().await;
    for _ in 0..2 {
        assert_eq!(world.encrypt(&admin, "photos").await, Err(Error::Quarantined));
        assert!(world.encrypt(&admin, "music").await.is_ok(), "others go on");
    }
    assert_eq!(world.engine.services().alarms.quarantined(), 1);
    let log = world.audit().await;
    let recorded = log.iter().filter(|entry| entry["outcome"] == "quarantined").count();
    assert_eq!(recorded, 2);
}

#[tokio::test]
async fn an_edited_key_is_refused_and_the_others_go_on() {
    let world = restarted_after(|store, photos| {
        let row = store.row(&photos).unwrap();
        let body = String::from_utf8(row.body.clone()).unwrap().replace("60", "61");
        assert_ne!(body.as_bytes(), row.body);
        store.tamper(StoredRow { body: body.into_bytes(), ..row });
    });
    let world = world.await;
    assert_quarantined(&world).await;
    let found = findings(&world).await;
    assert!(found.len() == 1 && found[0].1 == Fault::Changed, "{found:?}");
    let list = ListKeys { keyring: "default".into(), after: String::new(), limit: 9 };
    let told = world.engine.execute(&world.admin().await, &list).await.err();
    assert_eq!(told, Some(Error::Quarantined), "a list that leaves out a key is no list");
}

#[tokio::test]
async fn a_deleted_key_is_refused_and_never_taken_for_one_that_was_not_there() {
    let world = restarted_after(|store, photos| store.delete(&photos)).await;
    assert_quarantined(&world).await;
    let found = findings(&world).await;
    assert!(found.len() == 1 && found[0].1 == Fault::Deleted, "{found:?}");
}

#[tokio::test]
async fn a_disabled_key_is_not_enabled_by_its_older_row() {
    let world = World::new().await;
    let (photos, _) = (world.key("photos").await, world.key("music").await);
    let place = Place::new(Kind::Key, photos.id);
    let enabled = world.store.row(&place).unwrap();
    let disable = DisableKey { key: alias_of("photos") };
    world.engine.execute(&world.admin().await, &disable).await.unwrap();
    world.store.tamper(enabled.clone());
    assert_quarantined(&world).await;
    let world = restarted(world).await.unwrap();
    assert_eq!(findings(&world).await, [(place.to_string(), Fault::Outdated)]);
}

#[tokio::test]
async fn an_older_epoch_in_a_row_does_not_open_the_gate_for_what_was_cached() {
    let world = World::new().await;
    let (admin, photos) = (world.admin().await, world.key("photos").await);
    world.encrypt(&admin, "photos").await.unwrap();
    let place = Place::new(Kind::Key, photos.id);
    let enabled = world.store.row(&place).unwrap();
    // Another process on the same store disables the key; this one still has it in memory, enabled.
    let other = start(world.ports(), true).await.unwrap().engine;
    let disable = DisableKey { key: alias_of("photos") };
    other.execute(&admin, &disable).await.unwrap();
    world.store.tamper(enabled);
    assert_eq!(world.encrypt(&admin, "photos").await, Err(Error::Quarantined));
}

#[tokio::test]
async fn key_material_of_another_key_or_an_inserted_alias_is_refused() {
    let world = World::new().await;
    let (photos, music) = (world.key("photos").await, world.key("music").await);
    let place = |key| version_place("default", key, Version::FIRST);
    let stolen = world.store.row(&place(music.id)).unwrap();
    world.store.tamper(StoredRow { place: place(photos.id), ..stolen });
    let alias = world.store.row(&alias_place("default", "music")).unwrap();
    world.store.tamper(StoredRow { place: alias_place("default", "video"), ..alias });
    let admin = world.admin().await;
    assert_eq!(world.encrypt(&admin, "photos").await, Err(Error::Quarantined));
    assert_eq!(world.encrypt(&admin, "video").await, Err(Error::Quarantined));
    assert!(world.encrypt(&admin, "music").await.is_ok());
    let mut found = findings(&world).await;
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(found[0], ("alias default/video".to_owned(), Fault::Inserted));
    assert_eq!((found.len(), found[1].1), (2, Fault::Changed));
}

#[tokio::test]
async fn a_policy_that_was_deleted_edited_or_put_back_denies_everything() {
    let forbid =
        "forbid(principal, action, resource) when { principal == Keyhaven::Principal::\"x\" };";
    for attack in 0..3 {
        let world = World::new().await;
        let place = Place::new(Kind::Policy, "strict");
        world
            .policy("strict", "forbid(principal == Keyhaven::Principal::\"y\", action, resource);")
            .await
            .unwrap();
        let older = world.store.row(&place).unwrap();
        world.policy("strict", forbid).await.unwrap();
        let row = world.store.row(&place).unwrap();
        match attack {
            0 => world.store.delete(&place),
            1 => world.store.tamper(StoredRow { body: older.body, ..row }),
            _ => world.store.tamper(older),
        }
        let admin = world.admin().await;
        // It is in memory as it was; a new process has to read it.
        assert!(world.engine.execute(&admin, &RemovePolicy { name: "none".into() }).await.is_err());
        let again = start(world.ports(), true).await.err();
        assert_eq!(again, Some(Error::Quarantined), "attack {attack}");
        let told = world.engine.execute(&admin, &ListPolicies).await.err();
        assert_eq!(told, Some(Error::Quarantined), "attack {attack}");
    }
}

#[tokio::test]
async fn an_installation_without_its_own_row_is_not_set_up_anew() {
    let world = World::new().await;
    let row = world.store.row(&deployment_place()).unwrap();
    world.store.delete(&deployment_place());
    assert_eq!(start(world.ports(), true).await.err(), Some(Error::Quarantined));
    let body = [b" ", row.body.as_slice()].concat();
    world.store.tamper(StoredRow { body, ..row.clone() });
    assert_eq!(start(world.ports(), true).await.err(), Some(Error::Quarantined), "it still parses");
    world.store.tamper(StoredRow { body: b"{}".to_vec(), ..row.clone() });
    assert_eq!(start(world.ports(), true).await.err(), Some(Error::Quarantined));
    world.store.tamper(row);
    assert!(start(world.ports(), true).await.is_ok());
}

#[tokio::test]
async fn a_store_put_back_while_it_is_served_is_refused_for_everything() {
    let world = World::new().await;
    let (admin, _) = (world.admin().await, world.key("photos").await);
    world.encrypt(&admin, "photos").await.unwrap();
    let older = world.store.copy();
    world.encrypt(&admin, "photos").await.unwrap();
    world.store.put_back(older);
    let length = world.audit().await.len();
    for _ in 0..2 {
        assert_eq!(world.encrypt(&admin, "photos").await, Err(Error::RolledBack));
        assert_eq!(world.encrypt(&admin, "none").await, Err(Error::RolledBack));
    }
    assert!(world.engine.services().alarms.rolled_back());
    assert_eq!(world.audit().await.len(), length, "the log is not gone on with");
}

#[tokio::test]
async fn rows_put_back_with_their_register_are_found_when_one_is_read() {
    let world = World::new().await;
    let (admin, photos) = (world.admin().await, world.key("photos").await);
    let older = world.store.copy();
    let disable = DisableKey { key: alias_of("photos") };
    world.engine.execute(&admin, &disable).await.unwrap();
    world.store.put_back(older);
    let read = world.engine.services().directory.read(Place::new(Kind::Key, photos.id)).await;
    assert_eq!(read.err(), Some(Error::RolledBack));
    assert_eq!(world.encrypt(&admin, "photos").await, Err(Error::RolledBack));
}

#[tokio::test]
async fn a_whole_store_has_no_findings_and_a_broken_register_is_named_where_it_broke() {
    let world = World::new().await;
    for number in 0..30 {
        world.key(&format!("k{number}")).await;
    }
    let whole = inspected(&world).await;
    assert_eq!(whole.findings, []);
    assert!(whole.rows >= 90, "{whole:?}");
    for id in [NodeId::Root, NodeId::Branch(3), NodeId::Leaf(3, 0)] {
        let copy = world.store.copy();
        world.store.tamper_node(id, |node| match node.last_mut() {
            Some(byte) => *byte ^= 1,
            None => node.push(0),
        });
        let found = findings(&world).await;
        let name = match id {
            NodeId::Root => "the register's root",
            NodeId::Branch(_) => "branch 3 of the register",
            NodeId::Leaf(..) => "leaf 3/0 of the register",
        };
        assert_eq!(found, [(name.to_owned(), Fault::Register)]);
        world.store.put_back(copy);
    }
}
