//! Paths, queries and content types: each has one spelling, and a table of the others.

use http::Method;
use serde_json::{Value, json};

use super::world::{Sample, World};
use crate::native::BASE;

async fn got(world: &World, target: &str) -> (u16, String) {
    let mut sample = Sample { target: target.to_owned(), body: vec![], headers: vec![] };
    sample.header("authorization", format!("Bearer {}", world.admin.token));
    let response = world.send(&Method::GET, &sample).await;
    let document: Value = serde_json::from_slice(response.body()).unwrap();
    let code = document["code"].as_str().unwrap_or_default().to_owned();
    (response.status().as_u16(), code)
}

async fn with_photos() -> World {
    let world = World::new().await;
    let wanted = json!({ "alias": "photos", "spec": "aes-256-gcm" });
    world.ask("POST", "/keys", wanted).await;
    world
}

#[tokio::test]
async fn a_key_is_found_by_its_three_names_and_by_no_other_spelling() {
    let world = with_photos().await;
    let key = world.ask("GET", "/keys/photos", Value::Null).await;
    let id = key["id"].as_str().unwrap();
    for good in ["photos", "default:photos", id] {
        let found = world.ask("GET", &format!("/keys/{good}"), Value::Null).await;
        assert_eq!(found["id"], *id, "{good}");
    }
    let long = "p".repeat(60_000);
    let table = [
        // Anything encoded, even what would decode to the right name.
        ("%70hotos", 400),
        ("photos%00", 400),
        ("photos%20", 400),
        ("photos%2f", 400),
        ("photos%2Frotate", 400),
        ("%2e%2e", 400),
        ("%2E", 400),
        ("%252e", 400),
        ("default%3aphotos", 400),
        ("photos%", 400),
        // No names.
        ("Photos", 400),
        ("PHOTOS", 400),
        ("photos;v=1", 400),
        ("photos,photos", 400),
        ("photos*", 400),
        ("-photos", 400),
        (".photos", 400),
        ("Default:photos", 400),
        ("default:", 400),
        (":photos", 400),
        ("default:photos:1", 400),
        (long.as_str(), 400),
        // Other paths.
        ("", 404),
        (".", 404),
        ("..", 404),
        ("photos/", 404),
        ("/photos", 404),
        ("./photos", 404),
        ("../keys/photos", 404),
        ("photos/.", 404),
        ("photos/..", 404),
        ("photos//", 404),
        // Names of nothing.
        ("photo", 404),
        ("photoss", 404),
        ("other:photos", 404),
        ("00000000-0000-4000-8000-000000000000", 404),
    ];
    for (name, status) in table {
        let (found, code) = got(&world, &format!("{BASE}/keys/{name}")).await;
        let code_of_it = if status == 400 { "invalid_request" } else { "not_found" };
        let shown: String = name.chars().take(40).collect();
        assert_eq!((found, code.as_str()), (status, code_of_it), "{shown}");
    }
}

#[tokio::test]
async fn an_id_has_one_spelling_too() {
    let world = with_photos().await;
    let key = world.ask("GET", "/keys/photos", Value::Null).await;
    let id = key["id"].as_str().unwrap();
    let wrong = [
        id.to_uppercase(),
        id.replace('-', ""),
        format!("{{{id}}}"),
        format!("urn:uuid:{id}"),
        format!("{id}0"),
        id.chars().take(35).collect(),
    ];
    for wrong in wrong.iter().filter(|wrong| *wrong != id) {
        let path = format!("{BASE}/keys/{}", wrong.replace(['{', '}'], "("));
        let (status, _) = got(&world, &path).await;
        assert!(matches!(status, 400 | 404), "{wrong}: {status}");
    }
}

#[tokio::test]
async fn absolute_targets_and_fragments_change_nothing() {
    let world = with_photos().await;
    for target in ["https://other.example/api/v1/keys/photos", "/api/v1/keys/photos#fragment"] {
        assert_eq!(got(&world, target).await.0, 200, "{target}");
    }
    for target in ["/api/v1x/keys/photos", "/API/v1/keys/photos", "/api/v1keys/photos", "*"] {
        assert_eq!(got(&world, target).await, (404, "not_found".to_owned()), "{target}");
    }
}

#[tokio::test]
async fn queries_are_read_strictly() {
    let world = with_photos().await;
    let table = [
        ("/keys", 200),
        ("/keys?limit=1", 200),
        ("/keys?limit=1000", 200),
        ("/keys?limit=0001", 200),
        ("/keys?limit=%31", 200),
        ("/keys?keyring=default&limit=1&after=", 200),
        ("/keys?keyring=defa%75lt", 200),
        ("/keys?", 400),
        ("/keys?&", 400),
        ("/keys?limit", 400),
        ("/keys?limit=", 400),
        ("/keys?limit=0", 400),
        ("/keys?limit=1001", 400),
        ("/keys?limit=-1", 400),
        ("/keys?limit=+1", 400),
        ("/keys?limit=1.0", 400),
        ("/keys?limit=1e2", 400),
        ("/keys?limit=0x10", 400),
        ("/keys?limit=18446744073709551616", 400),
        ("/keys?limit=1&limit=1", 400),
        ("/keys?limit=1&%6cimit=1", 400),
        ("/keys?Limit=1", 400),
        ("/keys?limit[]=1", 400),
        ("/keys?limit=1;after=a", 400),
        ("/keys?limit=1&", 400),
        ("/keys?after=%ff", 400),
        ("/keys?after=%c0%af", 400),
        ("/keyrings?keyring=default", 400),
        ("/policies?limit=1", 400),
        ("/audit?after=1", 400),
        ("/audit?from=0&limit=1", 200),
        ("/audit?from=18446744073709551615", 200),
        ("/audit?from=18446744073709551616", 400),
        ("/keys/photos?limit=1", 400),
    ];
    for (target, expected) in table {
        let (status, code) = got(&world, &format!("{BASE}{target}")).await;
        assert_eq!(status, expected, "{target}: {code}");
    }
}

#[tokio::test]
async fn a_body_is_json_by_these_names_and_no_others() {
    let world = with_photos().await;
    let table = [
        ("application/json", 200),
        ("Application/JSON", 200),
        ("application/json;charset=utf-8", 200),
        ("application/json; charset=UTF-8", 200),
        ("application/json ; charset=\"utf-8\"", 200),
        ("application/json; charset=utf-8; charset=utf-8", 200),
        ("application/json;", 415),
        ("application/json; charset=utf8", 415),
        ("application/json; charset=utf-16", 415),
        ("application/json; boundary=x", 415),
        ("application/json; charset=utf-8; boundary=x", 415),
        ("application/problem+json", 415),
        ("application/vnd.api+json", 415),
        ("application/json5", 415),
        ("application/ json", 415),
        ("text/json", 415),
        ("json", 415),
        ("*/*", 415),
        ("application/*", 415),
        ("application/json\u{a0}", 415),
    ];
    for (kind, expected) in table {
        let target = format!("{BASE}/keys/photos/encrypt");
        let body = br#"{"plaintext":"AAEC"}"#.to_vec();
        let mut sample = Sample { target, body, headers: vec![] };
        sample.header("content-type", kind);
        sample.header("authorization", format!("Bearer {}", world.admin.token));
        assert_eq!(world.send(&Method::POST, &sample).await.status(), expected, "{kind:?}");
    }
}

#[tokio::test]
async fn other_headers_change_nothing() {
    let world = with_photos().await;
    let overrides = [
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/api/v1/policies"),
        ("x-forwarded-for", "203.0.113.9"),
        ("forwarded", "for=203.0.113.9"),
        ("x-request-id", "chosen-by-the-client"),
        ("accept", "text/html"),
        ("host", "other.example"),
        ("content-encoding", "gzip"),
        ("if-none-match", "*"),
        ("range", "bytes=0-1"),
    ];
    let mut sample =
        Sample { target: format!("{BASE}/keys/photos"), body: vec![], headers: vec![] };
    sample.header("authorization", format!("Bearer {}", world.admin.token));
    for (name, value) in overrides {
        sample.header(name, value);
    }
    let response = world.send(&Method::GET, &sample).await;
    assert_eq!(response.status(), 200);
    let entry = world.last_audit().await;
    assert_eq!(entry["source"], "192.0.2.1");
    assert_eq!(entry["request_id"], "request-1");
    assert_eq!(entry["operation"], "DescribeKey");
}
