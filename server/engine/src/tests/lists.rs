//! Lists: page by page, everything once, whatever the size of a page.

use std::collections::BTreeSet;

use super::{
    stage::create_key,
    world::{Device, World},
};
use crate::{
    op::{
        device::ListDevices,
        key::{CreateKey, ListKeys},
        keyring::{CreateKeyring, ListKeyrings},
        principal::ListPrincipals,
    },
    port::store::{Place, StoredRow},
};

const LIMITS: [usize; 5] = [1, 2, 3, 7, 100];

/// Goes on from page to page until one is empty.
async fn all(limit: usize, page: impl AsyncFn(String) -> Vec<String>) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let page = page(after.clone()).await;
        assert!(page.len() <= limit, "{page:?}");
        let Some(last) = page.last() else { return names };
        after.clone_from(last);
        names.extend(page);
    }
}

#[tokio::test]
async fn keyrings_come_in_order_and_once() {
    let world = World::new().await;
    let admin = world.admin().await;
    for name in ["b", "a", "z.9", "app", "app-2"] {
        world.engine.execute(&admin, &CreateKeyring { name: name.into() }).await.unwrap();
    }
    for limit in LIMITS {
        let page = async |after| {
            let list = ListKeyrings { after, limit };
            let keyrings = world.engine.execute(&admin, &list).await.unwrap();
            keyrings.into_iter().map(|keyring| keyring.name).collect()
        };
        let names = all(limit, page).await;
        assert_eq!(names, ["a", "app", "app-2", "b", "default", "z.9"], "by {limit}");
    }
}

#[tokio::test]
async fn principals_come_in_order_and_once() {
    let world = World::new().await;
    let admin = world.admin().await;
    for name in ["writer", "ann@example.org", "ann"] {
        world.user(name).await;
    }
    for limit in LIMITS {
        let page = async |after| {
            let list = ListPrincipals { after, limit };
            let principals = world.engine.execute(&admin, &list).await.unwrap();
            principals.into_iter().map(|principal| principal.name).collect()
        };
        let names = all(limit, page).await;
        assert_eq!(names, ["admin", "ann", "ann@example.org", "writer"], "by {limit}");
    }
}

#[tokio::test]
async fn devices_come_in_order_and_once() {
    let world = World::new().await;
    let admin = world.admin().await;
    world.user("writer").await;
    let mut enrolled = BTreeSet::new();
    for byte in 1..=5 {
        enrolled.insert(world.device(byte, "writer").await.keys.thumbprint().to_string());
    }
    let enrolled: Vec<String> = enrolled.into_iter().collect();
    for limit in LIMITS {
        let page = async |after| {
            let list = ListDevices { after, limit };
            let devices = world.engine.execute(&admin, &list).await.unwrap();
            assert!(devices.iter().all(|(_, device)| device.owner == "writer"));
            devices.into_iter().map(|(id, _)| id).collect()
        };
        assert_eq!(all(limit, page).await, enrolled, "by {limit}");
    }
    assert!(!enrolled.contains(&Device::new(9).keys.thumbprint().to_string()));
}

#[tokio::test]
async fn keys_of_one_keyring_come_once_and_of_no_other() {
    let world = World::new().await;
    let admin = world.admin().await;
    world.engine.execute(&admin, &CreateKeyring { name: "app".into() }).await.unwrap();
    let (mut in_default, mut in_app) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..6 {
        let alias = format!("key-{number}");
        in_default.insert(world.key(&alias).await.id.to_string());
        let create = CreateKey { keyring: "app".into(), ..create_key(&alias) };
        in_app.insert(world.engine.execute(&admin, &create).await.unwrap().id.to_string());
    }
    for (keyring, expected) in [("default", in_default), ("app", in_app)] {
        for limit in LIMITS {
            let (mut seen, mut after) = (Vec::new(), Some(String::new()));
            while let Some(from) = after {
                let list = ListKeys { keyring: keyring.into(), after: from, limit };
                let page = world.engine.execute(&admin, &list).await.unwrap();
                assert!(page.keys.len() <= limit);
                seen.extend(page.keys.iter().map(|key| key.id.to_string()));
                after = page.next;
            }
            let once: BTreeSet<String> = seen.iter().cloned().collect();
            assert_eq!(seen.len(), once.len(), "{keyring} by {limit}");
            assert_eq!(once, expected, "{keyring} by {limit}");
        }
    }
}

/// A list with a row that cannot be read is no list: leaving it out would hide a key.
#[tokio::test]
async fn a_list_with_a_row_that_cannot_be_read_says_so() {
    let world = World::new().await;
    let (admin, photos) = (world.admin().await, world.key("photos").await);
    let place = Place::new(crate::port::store::Kind::Key, photos.id);
    let row = world.store.row(&place).unwrap();
    let body = String::from_utf8(row.body.clone()).unwrap();
    let broken = [
        "{}".to_owned(),
        String::new(),
        body.replace("\"enabled\"", "\"resting\""),
        body.replace("\"state\"", "\"surprise\":1,\"state\""),
    ];
    for body in broken {
        world.store.tamper(StoredRow { body: body.clone().into_bytes(), ..row.clone() });
        let list = ListKeys { keyring: "default".into(), after: String::new(), limit: 10 };
        let told = world.engine.execute(&admin, &list).await.err();
        assert_eq!(told, Some(crate::error::Error::Quarantined), "{body}");
    }
}
