//! Pages of the audit log: filtered, and from either end.

use http::Method;
use serde_json::{Value, json};

use super::world::{Sample, World};
use crate::native::BASE;

async fn page(world: &World, query: &str) -> Value {
    let response = world.send(&Method::GET, &asking(world, query)).await;
    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert_eq!(response.status(), 200, "{query}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn asking(world: &World, query: &str) -> Sample {
    let target = format!("{BASE}/audit?{query}");
    let mut sample = Sample { target, body: vec![], headers: vec![] };
    sample.header("authorization", format!("Bearer {}", world.admin.token));
    sample
}

fn indexes(page: &Value) -> Vec<u64> {
    let entries = page["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["index"].as_u64().unwrap()).collect()
}

/// A world whose log has entries of two keys, and the log's size. Asking is recorded, too.
async fn world() -> (World, u64) {
    let world = World::new().await;
    for alias in ["photos", "music"] {
        world.ask("POST", "/keys", json!({ "alias": alias, "spec": "aes-256-gcm" })).await;
        for act in ["disable", "enable", "disable"] {
            world.ask("POST", &format!("/keys/{alias}/{act}"), json!({})).await;
        }
    }
    let size = world.audit_size().await as u64;
    (world, size)
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let (world, _) = world().await;
    for (query, count) in [
        ("operation=DisableKey", 4),
        ("operation=DisableKey&key=default:photos", 2),
        ("operation=DisableKey&key=default:photos&outcome=ok&decision=allowed", 2),
        ("operation=DisableKey&outcome=access_denied", 0),
        ("operation=DisableKey&principal=admin", 4),
        ("operation=DisableKey&principal=adm%69n", 4),
        ("operation=DisableKey&principal=ann", 0),
        ("operation=DisableKey&since_ms=0&until_ms=18446744073709551615", 4),
        ("operation=DisableKey&until_ms=1", 0),
        ("operation=DisableKey&limit=3", 3),
        ("operation=DisableKey&last=3", 3),
    ] {
        let page = page(&world, query).await;
        assert_eq!(indexes(&page).len(), count, "{query}");
        let right = |entry: &Value| entry["operation"] == "DisableKey";
        assert!(page["entries"].as_array().unwrap().iter().all(right), "{query}");
    }
}

#[tokio::test]
async fn pages_from_either_end_tell_each_entry_once() {
    let (world, size) = world().await;
    for filter in ["", "&operation=DisableKey", "&operation=EnableKey"] {
        let all = page(&world, &format!("limit=1000{filter}")).await;
        let all: Vec<_> = indexes(&all).into_iter().filter(|index| *index < size).collect();
        assert!(!all.is_empty());
        for count in [1, 2, 7] {
            let (mut forward, mut at) = (vec![], Some(0));
            while let Some(from) = at {
                let page = page(&world, &format!("from={from}&limit={count}{filter}")).await;
                forward.extend(indexes(&page));
                // Each question makes an entry.
                at = page["next"].as_u64().filter(|next| *next < size);
            }
            forward.retain(|index| *index < size);
            assert_eq!(forward, all, "{count}{filter}");
            let (mut backward, mut at) = (vec![], Some(size));
            while let Some(before) = at {
                let page = page(&world, &format!("last={count}&before={before}{filter}")).await;
                backward = [indexes(&page), backward].concat();
                at = page["previous"].as_u64();
            }
            assert_eq!(backward, all, "{count}{filter}");
        }
    }
}

#[tokio::test]
async fn the_newest_are_told_without_saying_where_they_are() {
    let (world, size) = world().await;
    // The asking's own entry is the newest of all.
    assert_eq!(indexes(&page(&world, "last=2").await), [size - 1, size]);
    let page = page(&world, "last=1&before=18446744073709551615&operation=DisableKey").await;
    assert_eq!(indexes(&page), [size - 1]);
}

#[tokio::test]
async fn who_follows_the_log_always_hears_where_to_go_on() {
    let (world, size) = world().await;
    for filter in ["", "&operation=DisableKey", "&principal=nobody"] {
        let before = world.audit_size().await as u64;
        let followed = page(&world, &format!("from=0&limit=1000&wait=1{filter}")).await;
        assert_eq!(followed["next"], before + 1, "{filter}: behind the asking's own entry");
        let page = page(&world, &format!("from={size}&limit=1&wait=0{filter}")).await;
        assert!(page["next"].as_u64().unwrap() > size, "{filter}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let (world, _) = world().await;
    for query in [
        "operation=Disable",
        "operation=disablekey",
        "decision=maybe",
        "since_ms=2h",
        "until_ms=-1",
        "last=0",
        "last=1001",
        "last=x",
        "before=3",
        "last=3&from=0",
        "last=3&limit=3",
        "last=3&wait=1",
        "wait=31",
        "wait=-1",
        "outcome=ok&outcome=ok",
    ] {
        let refusal = world.refusal(&Method::GET, &asking(&world, query)).await;
        assert_eq!(refusal, (400, "invalid_request".to_owned()), "{query}");
    }
}
