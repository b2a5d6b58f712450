//! Requests that are sent again with the same idempotency key: one effect, and the same answer.

use std::{collections::BTreeMap, sync::Arc};

use keyhaven_shared::{
    key_spec::{Distribution, KeySpec},
    operation::Operation,
};

use super::world::{Device, World, alias_of};
use crate::{
    authenticate::Presented,
    caller::Caller,
    conformance::memory_store::Fault,
    error::{EnrolmentFault, Error},
    once::{KEPT_FOR, Once, Repeatable},
    op::{
        device::EnrolDevice,
        key::{CreateKey, DescribeKey, RotateKey},
        key_state::DisableKey,
        keyring::CreateKeyring,
        policy::PutPolicy,
        principal::CreatePrincipal,
        ticket::{MintEnrolmentToken, MintTicket},
        token::IssueToken,
    },
    port::store::Kind,
    start::start,
};

/// Sends a request with a key, which is also its body here: another key stands for another request.
async fn send<A: Repeatable>(world: &World, act: &A, key: &str) -> Result<A::Answer, Error> {
    let admin = world.admin().await;
    send_as(world, act, (key, &admin)).await
}

async fn send_as<A: Repeatable>(
    world: &World,
    act: &A,
    (key, caller): (&str, &Caller),
) -> Result<A::Answer, Error> {
    world.engine.execute_once(caller, (act, &Once::by_key(key, "/target", caller))).await
}

fn create_key(alias: Option<&str>) -> CreateKey {
    CreateKey {
        keyring: "default".into(),
        alias: alias.map(Into::into),
        spec: KeySpec::Aes256Gcm,
        distribution: Distribution::None,
        max_offline_grace_s: 0,
        tags: BTreeMap::new(),
    }
}

fn mint_ticket() -> MintTicket {
    MintTicket {
        key: alias_of("photos"),
        subject: "writer".into(),
        operations: vec![Operation::DeliverDataKey],
        context: BTreeMap::from([("patient".into(), "CANARY".into())]),
        context_exact: true,
        device: None,
        uses: 1,
        expires_in_s: 300,
    }
}

async fn world() -> World {
    let world = World::new().await;
    world.key("photos").await;
    world.user("writer").await;
    world
}

/// Sends one request a hundred times at once, and tells the answers.
async fn raced<A: Repeatable + 'static>(
    world: &Arc<World>,
    make: fn() -> A,
    tell: fn(A::Answer) -> String,
) -> Vec<Result<String, Error>> {
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let world = Arc::clone(world);
            tokio::spawn(async move { send(&world, &make(), "raced").await.map(tell) })
        })
        .collect();
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.await.unwrap());
    }
    answers
}

/// How many live rows there are of each kind but that of the answers.
fn count(world: &World) -> Vec<usize> {
    let kinds = Kind::ALL.iter().filter(|kind| **kind != Kind::Once);
    kinds.map(|kind| world.store.rows(*kind).len()).collect()
}

/// Checks that a request which is raced has one effect, and gives one answer to all.
async fn one_effect<A: Repeatable + 'static>(make: fn() -> A, tell: fn(A::Answer) -> String) {
    // What it does when it is sent once.
    let alone = world().await;
    let answered = send(&alone, &make(), "raced").await;
    assert!(answered.is_ok(), "{}", A::OPERATION);
    let world = Arc::new(world().await);
    let answers = raced(&world, make, tell).await;
    let first = answers.first().unwrap();
    assert!(first.is_ok(), "{}: {first:?}", A::OPERATION);
    assert!(answers.iter().all(|answer| answer == first), "{}: {answers:?}", A::OPERATION);
    assert_eq!(count(&world), count(&alone), "{}", A::OPERATION);
    let log = world.audit().await;
    let done = log.iter().filter(|entry| entry["operation"] == A::OPERATION.name());
    let done: Vec<_> = done.filter(|entry| entry["decision"] == "allowed").collect();
    let first = done.iter().filter(|entry| entry.get("repeats").is_none());
    // The world makes a key and a principal of its own.
    let own = alone.audit().await;
    let own = own.iter().filter(|entry| entry["operation"] == A::OPERATION.name()).count();
    assert_eq!(first.count(), own, "{}", A::OPERATION);
    assert_eq!(done.len(), own + 99, "each telling is on the record, too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_equal_requests_at_once_one_has_an_effect_and_all_the_same_answer() {
    one_effect(|| create_key(Some("raced")), |key| format!("{:?}", key.record)).await;
    one_effect(|| create_key(None), |key| key.record.id).await;
    one_effect(
        || RotateKey { key: alias_of("photos") },
        |key| {
            assert_eq!(key.primary.number(), 2);
            format!("{:?}", key.record)
        },
    )
    .await;
    one_effect(
        || CreateKeyring { name: "raced".into() },
        |keyring| format!("{} {} {}", keyring.id, keyring.name, keyring.created_at),
    )
    .await;
    one_effect(
        || CreatePrincipal { name: "raced".into(), groups: vec!["users".into()] },
        |principal| format!("{principal:?}"),
    )
    .await;
    one_effect(
        || PutPolicy {
            name: "raced".into(),
            text: "forbid(principal, action, resource) when { false };".into(),
        },
        |policy| format!("{policy:?}"),
    )
    .await;
    one_effect(mint_ticket, |minted| minted.token).await;
    one_effect(
        || MintEnrolmentToken { subject: "writer".into(), origin: None, expires_in_s: 300 },
        |minted| minted.token,
    )
    .await;
}

#[tokio::test]
async fn a_secret_is_told_once_and_then_that_it_was() {
    let world = Arc::new(world().await);
    let issue = || IssueToken { principal: "writer".into(), expires_in_days: 1 };
    let before = world.store.rows(Kind::Token).len();
    let answers = raced(&world, issue, |issued| issued.token.to_string()).await;
    assert_eq!(world.store.rows(Kind::Token).len(), before + 1);
    let told: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    let [token] = told[..] else { panic!("{} were told a secret", told.len()) };
    let (id, secret) = (token.split('.').nth(1).unwrap(), token.split('.').nth(2).unwrap());
    let already = Error::AlreadyDone { what: "token", id: id.to_owned() };
    let others = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert_eq!(others.filter(|error| **error == already).count(), 99, "{answers:?}");
    assert!(already.advice().contains(id));
    // Neither the secret nor a ticket, nor what it is about, is in what is kept.
    let ticket = send(&world, &mint_ticket(), "ticket").await.unwrap().token;
    for row in world.store.rows(Kind::Once) {
        let body = String::from_utf8(row.body).unwrap();
        for hidden in [secret, &ticket, ticket.split('.').nth(2).unwrap(), "CANARY"] {
            assert!(!body.contains(hidden), "{hidden} in {body}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_past_the_commit_is_found() {
    let mut world = world().await;
    // The store says that it does not know. It is asked once more, and then it knows.
    world.store.fail_next_commit(Fault::Unknown);
    let first = send(&world, &create_key(None), "lost").await.unwrap().record;
    let keys = world.store.rows(Kind::Key).len();
    // The connection to the client broke, and the server began anew; a key was disabled meanwhile.
    world.engine = Arc::new(start(world.ports(), true).await.unwrap().engine);
    assert_eq!(send(&world, &create_key(None), "lost").await.unwrap().record, first);
    let rotate = RotateKey { key: alias_of("photos") };
    let rotated = send(&world, &rotate, "rotate").await.unwrap().record;
    let disable = DisableKey { key: alias_of("photos") };
    world.engine.execute(&world.admin().await, &disable).await.unwrap();
    assert_eq!(send(&world, &rotate, "rotate").await.unwrap().record, rotated);
    let describe = DescribeKey { key: alias_of("photos") };
    let key = world.engine.execute(&world.admin().await, &describe).await.unwrap();
    assert_eq!(key.primary.number(), 2);
    assert_eq!(world.store.rows(Kind::Key).len(), keys);
    // What was not done is done when it is sent again.
    world.store.fail_next_commit(Fault::Lost);
    let refused = send(&world, &create_key(None), "again").await;
    assert_eq!(refused.map(|key| key.record), Err(Error::Unavailable));
    send(&world, &create_key(None), "again").await.unwrap();
    assert_eq!(world.store.rows(Kind::Key).len(), keys + 1);
}

#[tokio::test]
async fn a_key_is_of_one_request_and_of_one_principal() {
    let world = world().await;
    let create = |name: &str| CreatePrincipal { name: name.into(), groups: vec![] };
    send(&world, &create("one"), "key").await.unwrap();
    let admin = world.admin().await;
    let target = Once::by_key("key", "/another", &admin);
    let body = Caller {
        request: crate::caller::RequestInfo { body_hash: [1; 32], ..admin.request.clone() },
        ..admin.clone()
    };
    let body = (Once::by_key("key", "/target", &body), body);
    for (once, caller) in [(target, admin.clone()), body] {
        let other = world.engine.execute_once(&caller, (&create("two"), &once)).await;
        assert_eq!(other, Err(Error::KeyReused));
        assert_eq!(world.last_audit().await["outcome"], "idempotency_key_reused");
    }
    assert!(world.store.row(&crate::port::store::Place::new(Kind::Principal, "two")).is_none());
    // Somebody else's equal key is another one.
    let grant = "permit(principal == Keyhaven::Principal::\"writer\", action, resource);";
    world.policy("writer", grant).await.unwrap();
    let token = IssueToken { principal: "writer".into(), expires_in_days: 1 };
    let token = world.engine.execute(&admin, &token).await.unwrap().token;
    let writer = world.caller(Presented::Token(&token)).await.unwrap();
    send_as(&world, &create("two"), ("key", &writer)).await.unwrap();
    // Whoever may no longer ask is not told.
    world
        .policy("writer", "forbid(principal == Keyhaven::Principal::\"writer\", action, resource);")
        .await
        .unwrap();
    let told = send_as(&world, &create("two"), ("key", &writer)).await;
    assert_eq!(told, Err(Error::Denied));
}

#[tokio::test]
async fn answers_are_kept_for_a_day_and_tickets_for_their_life() {
    let world = world().await;
    let key = send(&world, &create_key(None), "key").await.unwrap().id;
    let ticket = send(&world, &mint_ticket(), "ticket").await.unwrap().token;
    world.environment.pass(299);
    assert_eq!(send(&world, &mint_ticket(), "ticket").await.unwrap().token, ticket);
    world.environment.pass(1);
    assert_ne!(send(&world, &mint_ticket(), "ticket").await.unwrap().token, ticket);
    world.environment.pass(KEPT_FOR - 301);
    assert_eq!(send(&world, &create_key(None), "key").await.unwrap().id, key);
    world.environment.pass(1);
    assert_ne!(send(&world, &create_key(None), "key").await.unwrap().id, key);
}

#[tokio::test]
async fn there_is_room_for_so_many_and_then_none_until_the_day_is_over() {
    let world = world().await;
    let create =
        |name: &str| CreatePrincipal { name: name.into(), groups: vec!["g".repeat(63); 400] };
    let mut fullest = 0;
    let refused = loop {
        fullest += 1;
        let name = format!("p{fullest}");
        if let Err(error) = send(&world, &create(&name), &name).await {
            break (error, name);
        }
        assert!(fullest < 600, "it is never full");
    };
    assert_eq!(refused.0, Error::QuotaExceeded("idempotency keys"));
    let rows = world.store.rows(Kind::Once);
    assert!(rows.len() <= 256 && rows.iter().all(|row| row.body.len() <= 64 * 1024));
    // Without a key it can be done, and with one on the next day.
    let admin = world.admin().await;
    world.engine.execute(&admin, &create(&refused.1)).await.unwrap();
    world.environment.pass(KEPT_FOR);
    send(&world, &create("next-day"), &refused.1).await.unwrap();
}

#[tokio::test]
async fn a_kept_answer_that_somebody_changed_is_refused() {
    let world = world().await;
    send(&world, &create_key(None), "key").await.unwrap();
    let mut row = world.store.rows(Kind::Once).pop().unwrap();
    let text = String::from_utf8(row.body).unwrap();
    row.body = text.replace("enabled", "destroyed").into_bytes();
    world.store.tamper(row);
    let told = send(&world, &create_key(None), "key").await;
    assert_eq!(told.map(|key| key.record), Err(Error::Quarantined));
}

#[tokio::test]
async fn a_device_whose_answer_was_lost_enrols_again_and_no_other_does() {
    let world = world().await;
    let token = world.enrolment("writer", None).await;
    let enrol = async |device: &Device| {
        let headers = device.sign(b"body", world.engine.services().now());
        let presented = Presented::Enrolment(&token, headers.proof(b"body"), &device.keys);
        let caller = world.caller(presented).await.unwrap();
        let act = EnrolDevice { keys: device.keys.clone(), origin: None, name: None };
        let once = Once::by_enrolment(&caller).unwrap();
        world.engine.execute_once(&caller, (&act, &once)).await
    };
    let (device, thief) = (Device::new(4), Device::new(5));
    let first = format!("{:?}", enrol(&device).await.unwrap());
    let (again, other) = tokio::join!(enrol(&device), enrol(&thief));
    assert_eq!(format!("{:?}", again.unwrap()), first);
    assert_eq!(other.err(), Some(Error::Enrolment(EnrolmentFault::Spent)));
    assert_eq!(world.store.rows(Kind::Device).len(), 1);
}
