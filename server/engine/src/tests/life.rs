//! A key's life, from creation to destruction for good.

use keyhaven_shared::{ids::Version, key_state::KeyState};

use super::world::{World, alias_of};
use crate::{
    error::Error,
    op::{
        key::RotateKey,
        key_state::{CancelKeyDestruction, DisableKey, EnableKey, ScheduleKeyDestruction},
    },
    port::store::{Kind, Place, StoredRow},
    start::{destroy_due, start},
};

async fn schedule(world: &World, days: u32) -> Result<(), Error> {
    let schedule =
        ScheduleKeyDestruction { key: alias_of("photos"), waiting_days: days, now: days == 0 };
    world.engine.execute(&world.admin().await, &schedule).await.map(|_| ())
}

#[tokio::test]
async fn old_ciphertexts_open_after_a_rotation_and_new_ones_name_the_new_version() {
    let world = World::new().await;
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let old = world.encrypt(&admin, "photos").await.unwrap();
    let rotated =
        world.engine.execute(&admin, &RotateKey { key: alias_of("photos") }).await.unwrap();
    assert_eq!(rotated.primary, Version::new(2).unwrap());
    let new = world.encrypt(&admin, "photos").await.unwrap();
    assert_eq!((old[24], new[24]), (1, 2), "the version in the ciphertext");
    assert_eq!(world.decrypt(&admin, ("photos", &old)).await.unwrap().as_slice(), b"secret");
    assert_eq!(world.decrypt(&admin, ("photos", &new)).await.unwrap().as_slice(), b"secret");
    assert_eq!(world.last_audit().await["version"], 2);
}

#[tokio::test]
async fn a_stopped_key_refuses_and_an_enabled_one_works_again() {
    let world = World::new().await;
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let ciphertext = world.encrypt(&admin, "photos").await.unwrap();
    world.engine.execute(&admin, &DisableKey { key: alias_of("photos") }).await.unwrap();
    let refused = world.decrypt(&admin, ("photos", &ciphertext)).await.unwrap_err();
    assert_eq!(refused, Error::WrongState(KeyState::Disabled));
    assert_eq!(world.last_audit().await["outcome"], "key_disabled");
    world.engine.execute(&admin, &EnableKey { key: alias_of("photos") }).await.unwrap();
    assert!(world.decrypt(&admin, ("photos", &ciphertext)).await.is_ok());

    schedule(&world, 7).await.unwrap();
    assert!(world.decrypt(&admin, ("photos", &ciphertext)).await.is_err());
    let cancel = CancelKeyDestruction { key: alias_of("photos") };
    let cancelled = world.engine.execute(&admin, &cancel).await.unwrap();
    assert_eq!(cancelled.state, KeyState::Disabled);
}

#[tokio::test]
async fn destruction_waits_for_its_day() {
    let world = World::new().await;
    world.key("photos").await;
    for days in [6, 31] {
        assert!(matches!(schedule(&world, days).await, Err(Error::InvalidRequest(_))), "{days}");
    }
    schedule(&world, 7).await.unwrap();
    assert_eq!(destroy_due(&world.engine).await, Ok(0));
    world.environment.pass(7 * 24 * 3600);
    assert_eq!(destroy_due(&world.engine).await, Ok(1));
    assert_eq!(destroy_due(&world.engine).await, Ok(0));
}

#[tokio::test]
async fn a_destroyed_key_opens_nothing_and_others_go_on() {
    let world = World::new().await;
    let admin = world.admin().await;
    world.key("photos").await;
    world.key("music").await;
    let (gone, kept) = (
        world.encrypt(&admin, "photos").await.unwrap(),
        world.encrypt(&admin, "music").await.unwrap(),
    );
    schedule(&world, 0).await.unwrap();
    assert_eq!(destroy_due(&world.engine).await, Ok(1));
    let refused = world.decrypt(&admin, ("photos", &gone)).await.unwrap_err();
    assert_eq!(refused, Error::WrongState(KeyState::Destroyed));
    assert!(world.decrypt(&admin, ("music", &kept)).await.is_ok());
    let again = start(world.ports(), true).await.unwrap();
    assert!(again.admin_token.is_none());
    let world = World { engine: again.engine.into(), ..world };
    assert!(world.decrypt(&admin, ("music", &kept)).await.is_ok(), "also after a restart");
}

#[tokio::test]
async fn a_copy_of_the_database_from_before_a_destruction_opens_nothing() {
    let world = World::new().await;
    let admin = world.admin().await;
    world.key("photos").await;
    world.encrypt(&admin, "photos").await.unwrap();
    let before = world.store.copy();
    schedule(&world, 0).await.unwrap();
    destroy_due(&world.engine).await.unwrap();
    world.store.put_back(before);
    assert!(start(world.ports(), true).await.is_err(), "the root that sealed it is gone");
}

#[tokio::test]
async fn an_interrupted_destruction_is_finished_at_the_next_start() {
    let world = World::new().await;
    let (admin, _) = (world.admin().await, world.key("photos").await);
    world.key("music").await;
    let kept = world.encrypt(&admin, "music").await.unwrap();
    schedule(&world, 0).await.unwrap();
    // The calls of a destruction: clear a left-over root, make, seal; then, after the commit, destroy.
    world.hsm.pass_next(3);
    world.hsm.fail_next(crate::conformance::memory_hsm::Fault::Lost);
    assert_eq!(destroy_due(&world.engine).await, Err(Error::OutcomeUnknown));
    let deployment = world.engine.services().deployment;
    let hsm = &world.engine.services().ports.hsm;
    let before = hsm.keys(deployment).await.unwrap().len();
    let again = start(world.ports(), true).await.unwrap();
    assert_eq!(hsm.keys(deployment).await.unwrap().len(), before - 1);
    let world = World { engine: again.engine.into(), ..world };
    assert!(world.decrypt(&admin, ("music", &kept)).await.is_ok());
}

#[tokio::test]
async fn a_wrapped_key_moved_to_another_place_does_not_open() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (photos, music) = (world.key("photos").await, world.key("music").await);
    let place = |key| crate::record::version_place("default", key, Version::FIRST);
    let stolen = world.store.row(&place(music.id)).unwrap();
    world.store.tamper(StoredRow { place: place(photos.id), ..stolen });
    assert_eq!(world.encrypt(&admin, "photos").await.unwrap_err(), Error::Quarantined);
    assert!(world.encrypt(&admin, "music").await.is_ok(), "others go on");
}

#[tokio::test]
async fn an_alias_can_be_moved_and_is_unique() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (photos, music) = (world.key("photos").await, world.key("music").await);
    let set = crate::op::key_name::SetAlias { key: alias_of("music"), alias: "photos".into() };
    world.engine.execute(&admin, &set).await.unwrap();
    let describe = crate::op::key::DescribeKey { key: alias_of("photos") };
    assert_eq!(world.engine.execute(&admin, &describe).await.unwrap().id, music.id);
    let row = world.store.row(&Place::new(Kind::Key, photos.id)).unwrap();
    let record: crate::record::KeyRecord = serde_json::from_slice(&row.body).unwrap();
    assert!(record.aliases.is_empty());
}
