//! Credentials in odd spellings, and almost right ones.

use http::Method;
use serde_json::Value;

use super::{
    samples::Samples,
    world::{Sample, World},
};
use crate::native::{
    BASE,
    routes::{Accepts, table},
};

fn asking(authorization: &[&str]) -> Sample {
    let target = format!("{BASE}/keyrings");
    let mut sample = Sample { target, body: vec![], headers: vec![] };
    for value in authorization {
        sample.header("authorization", *value);
    }
    sample
}

async fn answered(world: &World, authorization: &[&str]) -> (u16, String) {
    let response = world.send(&Method::GET, &asking(authorization)).await;
    let document: Value = serde_json::from_slice(response.body()).unwrap();
    let code = document["code"].as_str().unwrap_or_default().to_owned();
    (response.status().as_u16(), code)
}

#[tokio::test]
async fn the_scheme_is_written_in_any_case_and_the_rest_in_one_way() {
    let world = World::new().await;
    let token = world.admin.token.as_str();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let value = format!("{scheme} {token}");
        assert_eq!(answered(&world, &[&value]).await, (200, String::new()), "{scheme}");
    }
    let refused = (401, "unauthenticated".to_owned());
    for value in [
        token.to_owned(),
        format!("Bearer  {token}"),
        format!("Bearer\t{token}"),
        format!("Bearer {token} "),
        format!("Bearer {token}\t"),
        format!("Bearer \"{token}\""),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer token={token}"),
        format!("Bearer: {token}"),
        format!("Token {token}"),
        format!("Basic {token}"),
        format!("Keyhaven-Ticket {token}"),
        format!("Keyhaven-Enrolment {token}"),
        format!("Bearer {}", token.to_uppercase()),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        " ".to_owned(),
        String::new(),
        "Bearer \u{e9}".to_owned(),
    ] {
        assert_eq!(answered(&world, &[&value]).await, refused, "{value:?}");
    }
}

#[tokio::test]
async fn two_authorization_headers_are_refused_even_if_they_are_the_same() {
    let world = World::new().await;
    let good = format!("Bearer {}", world.admin.token);
    for second in [good.as_str(), "", "Bearer x"] {
        for pair in [[good.as_str(), second], [second, good.as_str()]] {
            let refusal = answered(&world, &pair).await;
            assert_eq!(refusal, (400, "invalid_request".to_owned()), "{second}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_one_character_off_is_none() {
    let world = World::new().await;
    let token = world.admin.token.as_bytes();
    for at in 0..token.len() {
        let mut changed = token.to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let value = format!("Bearer {}", String::from_utf8(changed).unwrap());
        assert_eq!(answered(&world, &[&value]).await.0, 401, "character {at}");
        let cut = format!("Bearer {}", str::from_utf8(&token[..at]).unwrap());
        assert_eq!(answered(&world, &[&cut]).await.0, 401, "cut at {at}");
    }
    for longer in ["A", ".", "=", ".A"] {
        let value = format!("Bearer {}{longer}", world.admin.token);
        assert_eq!(answered(&world, &[&value]).await.0, 401, "{longer}");
    }
}

#[tokio::test]
async fn one_tokens_id_with_anothers_secret_is_no_token() {
    let world = World::new().await;
    let other = world.user("other").await.token;
    let parts = |token: &str| token.split('.').map(ToOwned::to_owned).collect::<Vec<_>>();
    let (ours, theirs) = (parts(&world.admin.token), parts(&other));
    assert_eq!((ours.len(), theirs.len()), (3, 3));
    for mixed in [[&ours[0], &ours[1], &theirs[2]], [&ours[0], &theirs[1], &ours[2]]] {
        let value = format!("Bearer {}", mixed.map(String::as_str).join("."));
        assert_eq!(answered(&world, &[&value]).await.0, 401);
        assert_eq!(world.last_audit().await["principal"], "unknown");
    }
}

#[tokio::test]
async fn long_credentials_are_refused_and_not_recorded() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let long = "A".repeat(60_000);
    for route in table().iter().filter(|route| route.accepts != Accepts::Device) {
        let good = world.sign(route, &world.admin, samples.of(route)).await;
        let (_, scheme) = good.headers.iter().find(|(name, _)| *name == "authorization").unwrap();
        let scheme = scheme.split(' ').next().unwrap().to_owned();
        let mut bad = good.without("authorization");
        bad.header("authorization", format!("{scheme} kh1.{long}.{long}"));
        let (status, code) = world.refusal(&route.method, &bad).await;
        assert!(matches!(status, 401 | 403), "{}: {status} {code}", route.pattern);
        let entry = world.last_audit().await.to_string();
        assert!(entry.len() < 2000 && !entry.contains("AAAAAAAAAA"), "{}", route.pattern);
    }
}

#[tokio::test]
async fn credentials_in_other_places_count_for_nothing() {
    let world = World::new().await;
    let token = world.admin.token.as_str();
    for header in ["cookie", "x-api-key", "proxy-authorization", "x-authorization", "x-token"] {
        let mut sample = asking(&[]);
        sample.header(header, format!("Bearer {token}"));
        let refusal = world.refusal(&Method::GET, &sample).await;
        assert_eq!(refusal, (401, "unauthenticated".to_owned()), "{header}");
    }
    for parameter in ["access_token", "token", "authorization"] {
        let mut sample = asking(&[]);
        sample.target.push_str(&format!("?{parameter}={token}"));
        assert_eq!(world.refusal(&Method::GET, &sample).await.0, 401, "{parameter}");
    }
}

#[tokio::test]
async fn who_is_refused_for_want_of_a_credential_is_told_the_schemes() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in &table() {
        let response = world.send(&route.method, &samples.of(route)).await;
        assert_eq!(response.status(), 401);
        let schemes = response.headers()["www-authenticate"].to_str().unwrap();
        assert_eq!(schemes, "Bearer, Keyhaven-Ticket, Keyhaven-Enrolment", "{}", route.pattern);
    }
    let response = world.send(&Method::GET, &asking(&["Bearer x"])).await;
    assert!(response.headers().contains_key("www-authenticate"));
    let value = format!("Bearer {}", world.admin.token);
    let response = world.send(&Method::GET, &asking(&[&value])).await;
    assert!(!response.headers().contains_key("www-authenticate"));
}
