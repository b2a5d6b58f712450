//! Parts that fail below every endpoint: the client hears that, and nothing of what is inside.

use std::{sync::Arc, time::Duration};

use http::Method;
use keyhaven_engine::{
    conformance::memory_store::Fault,
    port::{
        Ports,
        environment::Environment,
        hsm::Hsm,
        store::{Kind, Store, StoredRow},
    },
    start::start,
};
use keyhaven_shared::operation::Operation;
use serde_json::{Value, json};

use super::{
    samples::Samples,
    world::{Sample, World},
};
use crate::{
    AuditFuture, AuditReader, AuditUnavailable, Settings, Wire,
    native::{
        BASE,
        routes::{Accepts, Route, table},
    },
};

/// What only the log of the server may say: the fakes' own words, and what a test wrote into the store.
const INSIDE: [&str; 6] = ["lost", "on purpose", "applied", "CANARY", "panicked", "src/"];

async fn refused_without_a_word(world: &World, route: &Route, sample: &Sample) -> (u16, String) {
    let what = format!("{} {}", route.method, route.pattern);
    let response = world.send(&route.method, sample).await;
    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert!(!response.status().is_success(), "{what} was done: {text}");
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{what}");
    let problem: Value = serde_json::from_str(&text).unwrap();
    let mut members: Vec<_> = problem.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["code", "detail", "request_id", "status", "title", "type"], "{what}");
    assert_eq!(problem["request_id"], "request-1", "{what}");
    for inside in INSIDE {
        assert!(!text.contains(inside), "{what}: {text}");
    }
    (response.status().as_u16(), problem["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_commit_that_is_lost_does_nothing_and_can_be_sent_again() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in &table() {
        let what = format!("{} {}", route.method, route.pattern);
        let sample = world.sign(route, &world.admin, samples.of(route)).await;
        let before = world.audit_size().await;
        world.store.fail_next_commit(Fault::Lost);
        let refusal = refused_without_a_word(&world, route, &sample).await;
        assert_eq!(refusal, (503, "unavailable".to_owned()), "{what}");
        assert_eq!(world.audit_size().await, before + 1, "{what}");
        let entry = world.last_audit().await;
        let told = (&entry["decision"], &entry["outcome"]);
        assert_eq!(told, (&json!("refused"), &json!("unavailable")), "{what}");
        // No ticket was spent and no name taken: the same request is now done.
        let again = world.again(route, &world.admin, &sample);
        let again = world.send(&route.method, &again).await;
        let text = String::from_utf8_lossy(again.body()).into_owned();
        assert_eq!(again.status(), route.status, "{what}: {text}");
    }
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_told_as_such_and_its_result_withheld() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in &table() {
        let what = format!("{} {}", route.method, route.pattern);
        let sample = world.sign(route, &world.admin, samples.of(route)).await;
        let before = world.audit_size().await;
        world.store.fail_next_commit(Fault::Unknown);
        if route.accepts == Accepts::Enrolment {
            // The token is its own idempotency key, so the answer is found in the store.
            assert_eq!(world.send(&route.method, &sample).await.status(), route.status, "{what}");
            continue;
        }
        let refusal = refused_without_a_word(&world, route, &sample).await;
        assert_eq!(refusal, (503, "outcome_unknown".to_owned()), "{what}");
        // It was recorded as done, and then as told: the request id leads to both.
        assert_eq!(world.audit_size().await, before + 2, "{what}");
        let entry = world.last_audit().await;
        assert_eq!(
            (&entry["outcome"], &entry["request_id"]),
            (&json!("outcome_unknown"), &json!("request-1"))
        );
    }
}

#[tokio::test]
async fn while_the_hsm_is_gone_nothing_that_needs_it_is_done() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let mut refused = vec![];
    for route in &table() {
        let sample = world.sign(route, &world.admin, samples.of(route)).await;
        world.hsm.set_offline(true);
        if !world.send(&route.method, &sample).await.status().is_success() {
            let again = world.again(route, &world.admin, &sample);
            let refusal = refused_without_a_word(&world, route, &again).await;
            assert_eq!(refusal, (503, "unavailable".to_owned()), "{}", route.pattern);
            refused.push(route.operation);
        }
        world.hsm.set_offline(false);
    }
    assert!(refused.contains(&Operation::CreateKeyring), "{refused:?}");
    world.ask("POST", "/keyrings", json!({ "name": "ring" })).await;
}

#[tokio::test]
async fn without_randomness_no_key_is_made_and_nothing_encrypted() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let needs = [
        Operation::CreateKey,
        Operation::RotateKey,
        Operation::Encrypt,
        Operation::GenerateDataKey,
        Operation::DeliverDataKey,
    ];
    for route in table().iter().filter(|route| needs.contains(&route.operation)) {
        let sample = world.sign(route, &world.admin, samples.of(route)).await;
        world.environment.fail(true);
        let refusal = refused_without_a_word(&world, route, &sample).await;
        assert_eq!(refusal, (503, "unavailable".to_owned()), "{}", route.pattern);
        world.environment.fail(false);
        let again = world.again(route, &world.admin, &sample);
        assert_eq!(world.send(&route.method, &again).await.status(), route.status);
    }
}

/// The same installation after a restart, with every row of a kind overwritten by someone with the disk.
async fn spoiled(world: &mut World, kind: Kind) -> usize {
    let rows = world.store.rows(kind);
    let count = rows.len();
    for row in rows {
        let body = br#"{"CANARY":"CANARY"}"#.to_vec();
        world.store.tamper(StoredRow { body, ..row });
    }
    let ports = Ports {
        store: Arc::clone(&world.store) as Arc<dyn Store>,
        hsm: Arc::clone(&world.hsm) as Arc<dyn Hsm>,
        environment: Arc::clone(&world.environment) as Arc<dyn Environment>,
    };
    world.engine = Arc::new(start(ports, true).await.unwrap().engine);
    world.wire = Wire::new(Arc::clone(&world.engine), Arc::new(NoLog), Settings::default());
    count
}

#[tokio::test]
async fn rows_that_are_none_are_a_fault_of_ours_and_never_shown() {
    for kind in [Kind::Key, Kind::KeyVersion, Kind::Alias, Kind::Device, Kind::Principal] {
        let mut world = World::new().await;
        let samples = Samples::prepare(&world).await;
        let mut requests = vec![];
        for route in table() {
            let sample = world.sign(&route, &world.admin, samples.of(&route)).await;
            requests.push((route, sample));
        }
        assert!(spoiled(&mut world, kind).await > 0, "{kind:?}");
        let mut internal = 0;
        for (route, sample) in &requests {
            let response = world.send(&route.method, sample).await;
            let text = String::from_utf8_lossy(response.body()).into_owned();
            assert!(!text.contains("CANARY"), "{kind:?}, {}: {text}", route.pattern);
            if response.status() == 500 {
                let (_, code) = refused_without_a_word(&world, route, sample).await;
                assert_eq!(code, "quarantined");
                internal += 1;
            }
        }
        assert!(internal > 0, "{kind:?} is never looked at");
    }
}

struct NoLog;

impl AuditReader for NoLog {
    fn read(&self, _: u64, _: usize) -> AuditFuture<'_, Vec<Value>> {
        Box::pin(async { Err(AuditUnavailable) })
    }

    fn end(&self) -> AuditFuture<'_, u64> {
        Box::pin(async { Err(AuditUnavailable) })
    }

    fn news(&self, _: u64, _: Duration) -> AuditFuture<'_, ()> {
        Box::pin(async { Err(AuditUnavailable) })
    }
}

#[tokio::test]
async fn an_audit_log_that_cannot_be_read_is_unavailable() {
    let mut world = World::new().await;
    world.wire = Wire::new(Arc::clone(&world.engine), Arc::new(NoLog), Settings::default());
    let target = format!("{BASE}/audit");
    let mut sample = Sample { target, body: vec![], headers: vec![] };
    sample.header("authorization", format!("Bearer {}", world.admin.token));
    let refusal = world.refusal(&Method::GET, &sample).await;
    assert_eq!(refusal, (503, "unavailable".to_owned()));
    assert_eq!(world.last_audit().await["operation"], "ReadAudit", "asking is on record");
}
