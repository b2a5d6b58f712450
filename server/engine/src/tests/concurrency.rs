//! Many at once: nothing is lost, doubled or half-done.

use std::{collections::BTreeSet, sync::Arc};

use keyhaven_shared::ids::Version;

use super::{
    stage::{USERS, create_key, rows, schedule},
    world::{Device, World, alias_of},
};
use crate::{
    error::{Error, TicketFault},
    op::{
        key::{DescribeKey, RotateKey},
        key_name::SetAlias,
        principal::CreatePrincipal,
        shred::DestroyKey,
    },
    port::store::Kind,
    record::KeyRecord,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_at_once_leave_no_gap_and_every_ciphertext_opens() {
    let world = Arc::new(World::new().await);
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (world, admin) = (Arc::clone(&world), admin.clone());
            tokio::spawn(async move {
                let (mut versions, mut ciphertexts) = (vec![], vec![]);
                for _ in 0..4 {
                    let rotate = RotateKey { key: alias_of("photos") };
                    let rotated = world.engine.execute(&admin, &rotate).await.unwrap();
                    versions.push(rotated.primary.number());
                    ciphertexts.push(world.encrypt(&admin, "photos").await.unwrap());
                }
                (versions, ciphertexts)
            })
        })
        .collect();
    let (mut versions, mut ciphertexts) = (vec![], vec![]);
    for task in tasks {
        let (made, used) = task.await.unwrap();
        versions.extend(made);
        ciphertexts.extend(used);
    }
    versions.sort_unstable();
    assert_eq!(versions, (2..=17).collect::<Vec<u32>>());
    for ciphertext in &ciphertexts {
        let opened = world.decrypt(&admin, ("photos", ciphertext)).await.unwrap();
        assert_eq!(opened.as_slice(), b"secret");
    }
    let describe = DescribeKey { key: alias_of("photos") };
    let key = world.engine.execute(&admin, &describe).await.unwrap();
    assert_eq!(key.primary, Version::new(17).unwrap());
}

/// Those that have the alias, by their own rows.
async fn owners(world: &World, alias: &str) -> Vec<String> {
    let rows = rows(world).await.into_iter().filter(|row| row.place.kind == Kind::Key);
    let records = rows.map(|row| serde_json::from_slice::<KeyRecord>(&row.body.unwrap()).unwrap());
    let owners = records.filter(|record| record.aliases.iter().any(|known| known == alias));
    owners.map(|record| record.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_that_many_move_at_once_has_one_owner() {
    let world = Arc::new(World::new().await);
    let admin = world.admin().await;
    for number in 0..4 {
        world.key(&format!("key-{number}")).await;
    }
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let (world, admin) = (Arc::clone(&world), admin.clone());
            tokio::spawn(async move {
                let mut moved = 0_usize;
                for _ in 0..8 {
                    let key = alias_of(&format!("key-{number}"));
                    let set = SetAlias { key, alias: "current".into() };
                    match world.engine.execute(&admin, &set).await {
                        Ok(_) => moved += 1,
                        Err(error) => assert!(matches!(error, Error::Conflict(_)), "{error:?}"),
                    }
                }
                moved
            })
        })
        .collect();
    let mut moved = 0;
    for task in tasks {
        moved += task.await.unwrap();
    }
    assert!(moved > 0);
    let describe = DescribeKey { key: alias_of("current") };
    let key = world.engine.execute(&admin, &describe).await.unwrap();
    assert_eq!(owners(&world, "current").await, [key.id.to_string()]);
    let log = world.audit().await;
    let last = log.iter().rfind(|entry| entry["operation"] == "SetAlias").unwrap();
    let recorded =
        log.iter().filter(|e| e["operation"] == "SetAlias" && e["decision"] == "allowed");
    assert_eq!(recorded.count(), moved);
    if last["decision"] == "allowed" {
        assert_eq!(last["key"], key.id.to_string(), "the log's last move is the one that holds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_made_while_others_are_destroyed_are_kept() {
    let world = Arc::new(World::new().await);
    let (admin, _) = (world.admin().await, world.key("photos").await);
    let old = world.encrypt(&admin, "photos").await.unwrap();
    for alias in ["first", "second"] {
        world.key(alias).await;
        world.engine.execute(&admin, &schedule(alias)).await.unwrap();
    }
    let destroyers = ["first", "second"].map(|alias| {
        let (world, admin) = (Arc::clone(&world), admin.clone());
        tokio::spawn(async move {
            let destroy = DestroyKey { key: alias_of(alias) };
            world.engine.execute(&admin, &destroy).await.map(drop)
        })
    });
    let makers: Vec<_> = (0..6)
        .map(|number| {
            let (world, admin) = (Arc::clone(&world), admin.clone());
            tokio::spawn(async move {
                let alias = format!("new-{number}");
                world.engine.execute(&admin, &create_key(&alias)).await.unwrap();
                let ciphertext = world.encrypt(&admin, &alias).await.unwrap();
                (alias, ciphertext)
            })
        })
        .collect();
    for destroyer in destroyers {
        destroyer.await.unwrap().unwrap();
    }
    for maker in makers {
        let (alias, ciphertext) = maker.await.unwrap();
        let opened = world.decrypt(&admin, (&alias, &ciphertext)).await.unwrap();
        assert_eq!(opened.as_slice(), b"secret", "{alias}");
    }
    assert!(world.decrypt(&admin, ("photos", &old)).await.is_ok());
    for alias in ["first", "second"] {
        assert!(world.encrypt(&admin, alias).await.is_err());
    }
    // Once more without anything in memory: what stands in the store is all of one generation.
    let engine = crate::start::start(world.ports(), true).await.unwrap().engine;
    for number in 0..6 {
        let describe = crate::op::key_state::DisableKey { key: alias_of(&format!("new-{number}")) };
        assert!(engine.execute(&admin, &describe).await.is_ok());
    }
    let rotate = RotateKey { key: alias_of("photos") };
    assert!(engine.execute(&admin, &rotate).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_of_n_uses_is_good_for_exactly_n_at_once() {
    const USES: u32 = 5;
    let world = Arc::new(World::new().await);
    world.user("writer").await;
    world.key("photos").await;
    world.policy("users", USERS).await.unwrap();
    world.device(1, "writer").await;
    let ticket = Arc::new(world.ticket("writer", |mint| mint.uses = USES).await);
    let tasks: Vec<_> = (0..4 * USES)
        .map(|_| {
            let (world, ticket) = (Arc::clone(&world), Arc::clone(&ticket));
            tokio::spawn(async move {
                let device = Device::new(1);
                world.deliver(&device, &ticket, |_| {}).await.map(|sealed| sealed.delivery)
            })
        })
        .collect();
    let mut deliveries = BTreeSet::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(delivery) => assert!(deliveries.insert(delivery), "each has a key of its own"),
            Err(error) => assert_eq!(error, Error::Ticket(TicketFault::Spent)),
        }
    }
    assert_eq!(deliveries.len(), USES as usize);
    let log = world.audit().await;
    let count = |outcome: &str| {
        let deliveries = log.iter().filter(|entry| entry["operation"] == "DeliverDataKey");
        deliveries.filter(|entry| entry["outcome"] == outcome).count()
    };
    assert_eq!((count("ok"), count("ticket_spent")), (5, 15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_make_the_same_name_at_once_one_does() {
    let world = Arc::new(World::new().await);
    let admin = world.admin().await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (world, admin) = (Arc::clone(&world), admin.clone());
            tokio::spawn(async move {
                let create = CreatePrincipal { name: "ann".into(), groups: vec![] };
                let principal = world.engine.execute(&admin, &create).await.map(drop);
                let key = world.engine.execute(&admin, &create_key("photos")).await.map(drop);
                (principal, key)
            })
        })
        .collect();
    let (mut principals, mut keys) = (0, 0);
    for task in tasks {
        let (principal, key) = task.await.unwrap();
        for told in [&principal, &key] {
            assert!(matches!(told, Ok(()) | Err(Error::Conflict(_))), "{told:?}");
        }
        principals += usize::from(principal.is_ok());
        keys += usize::from(key.is_ok());
    }
    assert_eq!((principals, keys), (1, 1));
    assert_eq!(owners(&world, "photos").await.len(), 1, "no key without its name is left");
}
