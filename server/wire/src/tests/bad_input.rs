//! Every endpoint with every kind of bad request.

use http::Method;
use serde_json::{Map, Value, json};

use super::{
    samples::Samples,
    world::{Sample, World},
};
use crate::{
    LARGEST_BODY,
    native::{
        BASE,
        routes::{Route, table},
    },
};

async fn refused(world: &World, route: &Route, sample: Sample, expected: (u16, &str), what: &str) {
    let sample = world.sign(route, &world.admin, sample).await;
    let (status, code) = world.refusal(&route.method, &sample).await;
    let what = format!("{} {}: {what}", route.method, route.pattern);
    assert_eq!((status, code.as_str()), expected, "{what}");
}

const INVALID: (u16, &str) = (400, "invalid_request");
const MEDIA_TYPE: (u16, &str) = (415, "unsupported_media_type");

#[tokio::test]
async fn bodies_of_the_wrong_kind_are_refused() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in &table() {
        let good = samples.of(route);
        let huge = Sample { body: vec![b' '; LARGEST_BODY + 1], ..good.clone() };
        refused(&world, route, huge, (413, "body_too_large"), "huge").await;
        if !route.has_body {
            let body = Sample { body: b"{}".to_vec(), ..good };
            refused(&world, route, body, INVALID, "a body").await;
            continue;
        }
        let bare = good.without("content-type");
        refused(&world, route, bare.clone(), MEDIA_TYPE, "no content type").await;
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=a",
            "application/json; charset=latin1",
            "application/json, text/plain",
            "application/jsonp",
            "",
        ] {
            let mut sample = bare.clone();
            sample.header("content-type", kind);
            refused(&world, route, sample, MEDIA_TYPE, kind).await;
        }
        let mut twice = good.clone();
        twice.header("content-type", "application/json");
        refused(&world, route, twice, MEDIA_TYPE, "two content types").await;
        for body in ["", " ", "null", "[]", "1", "\"a\"", "{", "{}{}", "{\"a\":1,}", "\u{feff}{}"] {
            let sample = Sample { body: body.into(), ..good.clone() };
            refused(&world, route, sample, INVALID, body).await;
        }
        let not_utf8 = Sample { body: b"{\"\xff\":1}".to_vec(), ..good.clone() };
        refused(&world, route, not_utf8, INVALID, "not UTF-8").await;
    }
}

#[tokio::test]
async fn fields_of_the_wrong_kind_are_refused() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in table().iter().filter(|route| route.has_body) {
        let good = samples.of(route);
        let body: Value = serde_json::from_slice(&good.body).unwrap();
        for bad in spoiled(body.as_object().unwrap()) {
            let sample = Sample { body: bad.clone().into_bytes(), ..good.clone() };
            refused(&world, route, sample, INVALID, &bad).await;
        }
    }
}

/// A good body with one thing wrong: each field of each other type, twice, or with bad base64.
fn spoiled(body: &Map<String, Value>) -> Vec<String> {
    let with = |name: &str, value: Value| {
        let mut changed = body.clone();
        changed.insert(name.to_owned(), value);
        Value::Object(changed).to_string()
    };
    let mut bad = vec![with("unknown", json!(1))];
    for (name, value) in body {
        let wrong = [json!([[]]), json!({ "a": [] }), json!(-1), json!(1.5)];
        bad.extend(wrong.map(|wrong| with(name, wrong)));
        bad.extend((!value.is_boolean()).then(|| with(name, json!(true))));
        let in_base64 = ["plaintext", "ciphertext", "nonce", "keys", "encrypted_data_key"];
        let wrong = ["A-_=", "AAA", "AAB=", " AAA=", "!"].iter();
        let wrong = wrong.filter(|_| in_base64.contains(&name.as_str()));
        bad.extend(wrong.map(|wrong| with(name, json!(wrong))));
        let whole = Value::Object(body.clone()).to_string();
        bad.push(format!("{{\"{name}\":{value},{}", whole.strip_prefix('{').unwrap()));
    }
    bad
}

#[tokio::test]
async fn context_keys_that_stand_twice_are_refused() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let mut tried = 0;
    for route in table().iter().filter(|route| route.has_body) {
        let good = samples.of(route);
        let body: Value = serde_json::from_slice(&good.body).unwrap();
        for field in ["context", "to_context", "tags"] {
            let Some(map) = body.get(field) else { continue };
            let double = r#"{"same":"1","same":"1"}"#;
            let text = body
                .to_string()
                .replace(&format!("\"{field}\":{map}"), &format!("\"{field}\":{double}"));
            let sample = Sample { body: text.into_bytes(), ..good.clone() };
            refused(&world, route, sample, INVALID, field).await;
            tried += 1;
        }
    }
    assert!(tried >= 8, "{tried}");
}

#[tokio::test]
async fn paths_methods_and_queries_have_one_spelling() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let routes = table();
    for route in &routes {
        let good = world.sign(route, &world.admin, samples.of(route)).await;
        let at = |target: String| Sample { target, ..good.clone() };
        // A query stays as it is: what is spelt otherwise is the path.
        let (path, query) =
            good.target.split_at(good.target.find('?').unwrap_or(good.target.len()));
        for other in [
            format!("{path}/"),
            path.replacen("/api", "//api", 1),
            path.to_uppercase(),
            path.replace("/v1/", "/v1//"),
            path.replace("/v1/", "/v1/./"),
            path.replace("/v1/", "/v2/"),
        ] {
            let refusal = world.refusal(&route.method, &at(format!("{other}{query}"))).await;
            assert_eq!(refusal, (404, "not_found".to_owned()), "{other}");
        }
        let encoded = path.replacen("/v1/", "/v1/%2e/", 1);
        assert_eq!(
            world.refusal(&route.method, &at(format!("{encoded}{query}"))).await.0,
            400,
            "{path}"
        );
        for method in [Method::PATCH, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            let response = world.send(&method, &good).await;
            assert_eq!(response.status(), 405, "{method} {path}");
            assert!(response.headers()["allow"].to_str().unwrap().contains(route.method.as_str()));
        }
        let mut sample = samples.of(route);
        sample.target.push_str("?unknown=1");
        refused(&world, route, sample, INVALID, "an unknown parameter").await;
        for parameter in route.query {
            let mut sample = samples.of(route);
            sample.target.push_str(&format!("?{0}=1&{0}=1", parameter.name));
            refused(&world, route, sample, INVALID, "a parameter twice").await;
        }
    }
    for unknown in ["/", "/api", "/api/v1", "/api/v1/", "/api/v1/nothing", "/healthz"] {
        let sample = Sample { target: unknown.to_owned(), body: vec![], headers: vec![] };
        assert_eq!(world.refusal(&Method::GET, &sample).await.0, 404, "{unknown}");
    }
}

#[tokio::test]
async fn names_and_ids_that_are_none_are_refused() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let with_names = |route: &&Route| route.pattern.contains('{');
    for route in table().iter().filter(with_names) {
        let good = samples.of(route);
        for target in renamed(route, good.target.trim_start_matches(BASE)) {
            let sample = Sample { target: format!("{BASE}{target}"), ..good.clone() };
            let sample = world.sign(route, &world.admin, sample).await;
            let (status, code) = world.refusal(&route.method, &sample).await;
            // A ticket for `photos` is for no other key.
            let fits = matches!(status, 400 | 404) || code == "ticket_wrong_key";
            assert!(fits, "{target}: {status} {code}");
        }
    }
}

/// The path with each of its names replaced by what is none, or names nothing.
fn renamed(route: &Route, target: &str) -> Vec<String> {
    let (malformed, unknown) = (["NOT-A-NAME", "..a", "a:b:c", "~"], ["no-such-thing"]);
    let mut renamed = Vec::new();
    for (position, part) in route.pattern.split('/').enumerate() {
        let makes = part == "{alias}" || part == "{name}";
        let unknown = unknown.iter().filter(|_| !makes);
        let wrong = malformed.iter().chain(unknown).filter(|_| part.starts_with('{'));
        renamed.extend(wrong.map(|wrong| {
            let mut parts: Vec<_> = target.split('/').collect();
            parts[position] = wrong;
            parts.join("/")
        }));
    }
    renamed
}

#[tokio::test]
async fn names_with_a_meaning_in_the_audit_log_are_not_free() {
    let world = World::new().await;
    for name in ["system", "unknown"] {
        let body = json!({ "name": name }).to_string().into_bytes();
        let target = format!("{BASE}/principals");
        let mut sample = Sample { target, body, headers: vec![] }.json();
        sample.header("authorization", format!("Bearer {}", world.admin.token));
        let refusal = world.refusal(&Method::POST, &sample).await;
        assert_eq!(refusal, (400, "invalid_request".to_owned()), "{name}");
    }
}
