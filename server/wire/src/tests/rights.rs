//! Who may do what: every endpoint with every other operation's right, with none, and with credentials
//! of another kind.

use keyhaven_shared::operation::Operation;
use serde_json::json;

use super::{
    samples::Samples,
    world::{User, World},
};
use crate::native::routes::{Accepts, Route, table};

/// What permits the route's sample. Re-encryption needs two rights, so no single one is enough.
fn is_enough(route: &Route, right: Operation) -> bool {
    match route.accepts {
        // Holding the credential is enough for what only it can do.
        Accepts::Enrolment | Accepts::Device => true,
        Accepts::Token | Accepts::Ticket => {
            right == route.operation && right != Operation::ReEncryptFrom
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_opens_its_own_endpoint_and_no_other() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let named = |right: &Operation| format!("only-{}", right.name().to_ascii_lowercase());
    let permit = |right: &Operation| {
        format!(
            "permit(principal == Keyhaven::Principal::\"{}\",
             action == Keyhaven::Action::\"{right}\", resource);",
            named(right)
        )
    };
    let statements: Vec<_> = Operation::ALL.iter().map(permit).collect();
    world.ask("PUT", "/policies/rights", json!({ "text": statements.join("\n") })).await;
    let (mut asked, mut done) = (0, 0);
    for right in Operation::ALL {
        let user = world.user(&named(right)).await;
        for route in &table() {
            asked += 1;
            let sample = world.sign(route, &user, samples.of(route)).await;
            let what = format!("{} {} with the right to {right}", route.method, route.pattern);
            if is_enough(route, *right) {
                done += 1;
                let response = world.send(&route.method, &sample).await;
                let text = String::from_utf8_lossy(response.body());
                assert_eq!(response.status(), route.status, "{what}: {text}");
            } else {
                let refusal = world.refusal(&route.method, &sample).await;
                assert_eq!(refusal, (403, "access_denied".to_owned()), "{what}");
                assert_eq!(world.last_audit().await["principal"], user.name, "{what}");
            }
        }
    }
    println!("{asked} requests, {done} of them permitted");
}

#[tokio::test]
async fn nobody_gets_nowhere_and_leaves_no_record() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let before = world.audit_size().await;
    for route in &table() {
        let refusal = world.refusal(&route.method, &samples.of(route)).await;
        assert_eq!(refusal, (401, "unauthenticated".to_owned()), "{}", route.pattern);
    }
    assert_eq!(world.audit_size().await, before);
}

#[tokio::test]
async fn credentials_that_do_not_hold_are_refused_on_the_record() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in &table() {
        let good = world.sign(route, &world.admin, samples.of(route)).await;
        for scheme in ["Bearer", "Keyhaven-Ticket", "Keyhaven-Enrolment", "Basic", "bearer "] {
            let mut bad = good.without("authorization");
            bad.header("authorization", format!("{scheme} e30.e30.e30"));
            let (status, code) = world.refusal(&route.method, &bad).await;
            assert!(matches!(status, 401 | 403), "{} {scheme}: {status} {code}", route.pattern);
            let entry = world.last_audit().await;
            assert_eq!(entry["principal"], "unknown", "{} {scheme}", route.pattern);
            assert_eq!(entry["via"], "unknown");
            assert_eq!(entry["outcome"], code);
            assert_eq!(entry["operation"], route.operation.name());
        }
        let mut twice = good.clone();
        twice.header("authorization", "Bearer second");
        twice.header("authorization", "Bearer third");
        assert_eq!(world.refusal(&route.method, &twice).await.0, 400, "{}", route.pattern);
    }
}

#[tokio::test]
async fn one_kind_of_credential_never_stands_in_for_another() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let routes = table();
    let kinds = [Accepts::Token, Accepts::Ticket, Accepts::Enrolment, Accepts::Device];
    for route in &routes {
        for kind in kinds.into_iter().filter(|kind| *kind != route.accepts) {
            let other = Route { accepts: kind, ..one_line(route) };
            let sample = world.sign(&other, &world.admin, samples.of(route)).await;
            let (status, _) = world.refusal(&route.method, &sample).await;
            assert_eq!(status, 401, "{} with {kind:?}", route.pattern);
        }
    }
}

/// The same line of the table again.
fn one_line(route: &Route) -> Route {
    let same = |other: &Route| other.method == route.method && other.pattern == route.pattern;
    table().into_iter().find(same).unwrap()
}

#[tokio::test]
async fn a_device_must_sign_this_very_request() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in table().iter().filter(|route| route.accepts != Accepts::Token) {
        let good = world.sign(route, &world.admin, samples.of(route)).await;
        for header in ["content-digest", "signature-input", "signature"] {
            let refusal = world.refusal(&route.method, &good.without(header)).await;
            assert_eq!(refusal, (401, "device_proof_invalid".to_owned()), "{}", route.pattern);
            let mut twice = good.clone();
            twice.header(header, "again");
            assert_eq!(world.refusal(&route.method, &twice).await.0, 400);
        }
        if route.has_body {
            let mut other = good.clone();
            other.body.push(b' ');
            let refusal = world.refusal(&route.method, &other).await;
            assert_eq!(refusal, (401, "device_proof_invalid".to_owned()), "{}", route.pattern);
        }
        let mut elsewhere = good.clone();
        elsewhere.target.push_str("?a=b");
        assert_eq!(world.refusal(&route.method, &elsewhere).await.0, 401, "{}", route.pattern);
    }
}

#[tokio::test]
async fn a_ticket_is_refused_with_the_reason() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let routes = table();
    let deliver = routes.iter().find(|route| route.operation == Operation::DeliverDataKey).unwrap();
    let good = world.sign(deliver, &world.admin, samples.of(deliver)).await;
    assert_eq!(world.send(&deliver.method, &good).await.status(), 200);
    let replayed = world.refusal(&deliver.method, &good).await;
    assert_eq!(replayed, (401, "device_proof_replayed".to_owned()));
    let spent = world.refusal(&deliver.method, &world.again(deliver, &world.admin, &good)).await;
    assert_eq!(spent, (403, "ticket_spent".to_owned()));
    let other: User = world.user("other").await;
    let theirs = good.unsigned().signed(&other.device, "POST");
    let refusal = world.refusal(&deliver.method, &theirs).await;
    assert_eq!(refusal, (403, "ticket_wrong_device".to_owned()));
}
