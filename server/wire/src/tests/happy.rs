//! Every endpoint does what it says.

use http::Method;
use keyhaven_shared::{api::keys::Key, operation::Operation};
use serde_json::{Value, json};

use super::{
    samples::Samples,
    world::{Sample, World, base64},
};
use crate::{
    native::{BASE, routes::table},
    openapi,
};

#[tokio::test]
async fn every_endpoint_answers_as_described() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in &table() {
        let sample = world.sign(route, &world.admin, samples.of(route)).await;
        let response = world.send(&route.method, &sample).await;
        let text = String::from_utf8_lossy(response.body()).into_owned();
        assert_eq!(response.status(), route.status, "{} {}: {text}", route.method, route.pattern);
        if route.status == 204 || route.operation == Operation::WatchLeases {
            assert!(text.is_empty());
            continue;
        }
        assert_eq!(response.headers()["content-type"], "application/json");
        let document: Value = serde_json::from_str(&text).unwrap();
        let place = format!("{BASE}{}", route.pattern).replace('/', "~1");
        let method = route.method.as_str().to_ascii_lowercase();
        let schema = format!(
            "/paths/{place}/{method}/responses/{}/content/application~1json/schema/$ref",
            route.status.as_str()
        );
        let description = openapi();
        let schema = description.pointer(&schema).unwrap().as_str().unwrap();
        let fields = description.pointer(&format!("{}/properties", schema.trim_start_matches('#')));
        for name in document.as_object().unwrap().keys() {
            assert!(fields.unwrap().get(name).is_some(), "{}: {name}", route.pattern);
        }
        let entry = world.last_audit().await;
        assert_eq!((&entry["decision"], &entry["protocol"]), (&json!("allowed"), &json!("native")));
        assert_eq!(entry["action"], format!("{} {BASE}{}", route.method, route.pattern));
        assert_eq!(
            (&entry["request_id"], &entry["source"]),
            (&json!("request-1"), &json!("192.0.2.1"))
        );
    }
}

#[tokio::test]
async fn what_was_encrypted_decrypts_also_after_encrypting_anew() {
    let world = World::new().await;
    Samples::prepare(&world).await;
    let context = json!({ "file": "1" });
    let asked = json!({ "plaintext": "AAEC", "context": context });
    let sealed = world.ask("POST", "/keys/photos/encrypt", asked).await;
    world.ask("POST", "/keys/photos/rotate", json!({})).await;
    let asked = json!({ "ciphertext": sealed["ciphertext"], "context": context });
    let opened = world.ask("POST", "/keys/default:photos/decrypt", asked.clone()).await;
    assert_eq!((&opened["plaintext"], &opened["version"]), (&json!("AAEC"), &json!(1)));
    let anew = world.ask("POST", "/keys/photos/re-encrypt", asked).await;
    assert_eq!(anew["version"], 2);
    let asked = json!({ "ciphertext": anew["ciphertext"], "context": context });
    assert_eq!(world.ask("POST", "/keys/photos/decrypt", asked).await["plaintext"], "AAEC");
}

#[tokio::test]
async fn destroying_now_is_one_request() {
    let world = World::new().await;
    Samples::prepare(&world).await;
    let asked = json!({ "now": true });
    let key = world.ask("POST", "/keys/photos/schedule-destruction", asked).await;
    assert_eq!(key["state"], "destroyed");
    let key: Key = serde_json::from_value(key).unwrap();
    assert_eq!(key.destruction_at, None);
    let mut sample = Sample {
        target: format!("{BASE}/keys/photos/encrypt"),
        body: br#"{"plaintext":""}"#.to_vec(),
        headers: vec![],
    }
    .json();
    sample.header("authorization", format!("Bearer {}", world.admin.token));
    let refusal = world.refusal(&Method::POST, &sample).await;
    assert_eq!(refusal, (409, "key_destroyed".to_owned()));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new().await;
    Samples::prepare(&world).await;
    let mut seen = vec![];
    let mut path = "/principals?limit=1".to_owned();
    loop {
        let page = world.ask("GET", &path, Value::Null).await;
        seen.extend(page["principals"].as_array().unwrap().iter().map(|row| row["name"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/principals?limit=1&after={next}");
    }
    assert_eq!(seen, ["admin", "someone"]);
    let page = world.ask("GET", "/audit?from=3&limit=2", Value::Null).await;
    assert_eq!((&page["entries"][0]["index"], &page["next"]), (&json!(3), &json!(5)));
}

#[tokio::test]
async fn a_nonce_has_32_bytes_and_usage_has_meaning() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in table().iter().filter(|route| {
        route.pattern.ends_with("l-data-key") || route.pattern.ends_with("r-data-key")
    }) {
        for (field, wrong) in [
            ("nonce", json!(base64(&[7; 31]))),
            ("nonce", json!(base64(&[7; 33]))),
            ("usage", json!([])),
            ("usage", json!(["sign"])),
        ] {
            let mut sample = samples.of(route);
            let mut body: Value = serde_json::from_slice(&sample.body).unwrap();
            body[field] = wrong;
            sample.body = body.to_string().into_bytes();
            let sample = world.sign(route, &world.admin, sample).await;
            let refusal = world.refusal(&route.method, &sample).await;
            assert_eq!(refusal, (400, "invalid_request".to_owned()), "{field}");
        }
    }
}

#[tokio::test]
async fn the_description_is_served_to_everybody() {
    let world = World::new().await;
    let sample = Sample { target: format!("{BASE}/openapi.json"), body: vec![], headers: vec![] };
    let response = world.send(&Method::GET, &sample).await;
    assert_eq!(response.status(), 200);
    let served: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(served, openapi());
    assert_eq!(world.refusal(&Method::POST, &sample).await.0, 405);
}
