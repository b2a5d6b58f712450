//! The header `Idempotency-Key`, at every endpoint.

use http::Method;
use serde_json::{Value, json};

use super::{
    samples::Samples,
    world::{Sample, World},
};
use crate::native::{BASE, routes::table};

#[tokio::test]
async fn whatever_makes_something_makes_it_once_and_gives_the_same_answer() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let mut tried = 0;
    for route in table().iter().filter(|route| route.once) {
        let mut sample = world.sign(route, &world.admin, samples.of(route)).await;
        let key = format!("one-of-each-{tried}");
        sample.header("idempotency-key", format!("\"{key}\""));
        let first = world.send(&route.method, &sample).await;
        assert_eq!(first.status(), route.status, "{}: {:?}", route.pattern, first.body());
        let before = world.last_audit().await;
        // The quotes do not make another key of it.
        let mut sample = sample.without("idempotency-key");
        sample.header("idempotency-key", &key);
        let again = world.send(&route.method, &sample).await;
        let entry = world.last_audit().await;
        if route.pattern == "/principals/{principal}/tokens" {
            let problem: Value = serde_json::from_slice(again.body()).unwrap();
            let issued: Value = serde_json::from_slice(first.body()).unwrap();
            assert_eq!((again.status().as_u16(), &problem["code"]), (409, &json!("already_done")));
            assert!(problem["detail"].as_str().unwrap().contains(issued["id"].as_str().unwrap()));
        } else {
            assert_eq!((again.status(), again.body()), (first.status(), first.body()));
            assert_eq!(entry["repeats"], before["request_id"], "{}", route.pattern);
        }
        // The same key with a body that says something else, if only to a careful reader.
        let mut other = sample.clone();
        other.body.push(b' ');
        let refused = world.refusal(&route.method, &other).await;
        assert_eq!(refused, (422, "idempotency_key_reused".to_owned()), "{}", route.pattern);
        assert_eq!(world.last_audit().await["outcome"], "idempotency_key_reused");
        tried += 1;
    }
    assert_eq!(tried, 8, "who makes something without this?");
}

#[tokio::test]
async fn a_key_that_would_mean_nothing_is_refused_before_anything_is_done() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in table().iter().filter(|route| !route.once) {
        let mut sample = world.sign(route, &world.admin, samples.of(route)).await;
        sample.header("idempotency-key", "key");
        let refused = world.refusal(&route.method, &sample).await;
        assert_eq!(refused, (400, "invalid_request".to_owned()), "{}", route.pattern);
    }
    let body = json!({ "name": "raced" }).to_string().into_bytes();
    let sample = Sample { target: format!("{BASE}/principals"), body, headers: vec![] }.json();
    let long = "k".repeat(65);
    for keys in [vec![""], vec!["a", "a"], vec!["a b"], vec!["\"\""], vec!["é"], vec![&long]] {
        let mut sample = sample.clone();
        sample.header("authorization", format!("Bearer {}", world.admin.token));
        for key in &keys {
            sample.header("idempotency-key", *key);
        }
        let refused = world.refusal(&Method::POST, &sample).await;
        assert_eq!(refused, (400, "invalid_request".to_owned()), "{keys:?}");
    }
    // None of them made it.
    world.ask("POST", "/principals", json!({ "name": "raced" })).await;
}
