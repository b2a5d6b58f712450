//! Limits and names: what is just within is taken, what is just beyond changes nothing.

use std::collections::BTreeMap;

use keyhaven_shared::operation::Operation;
use zeroize::Zeroizing;

use super::{
    stage::{Doable, List, Stage, create_key, rows},
    world::{Device, alias_of, context},
};
use crate::{
    authenticate::Presented,
    error::Error,
    op::{
        crypt::{Decrypt, Encrypt, LARGEST_PLAINTEXT},
        device::EnrolDevice,
        key::CreateKey,
        key_name::{SetAlias, TagKey},
        key_state::ScheduleKeyDestruction,
        keyring::CreateKeyring,
        policy::PutPolicy,
        principal::CreatePrincipal,
        ticket::{MintEnrolmentToken, MintTicket},
        token::IssueToken,
    },
    start::start,
};

/// Each is refused as a request that makes no sense, is recorded so, and changes nothing.
async fn refused(stage: &Stage, what: &str, list: List) {
    let before = rows(&stage.world).await;
    for (number, act) in list.iter().enumerate() {
        let told = act.run(&stage.world, &stage.admin).await;
        let operation = act.operation();
        assert!(matches!(told, Err(Error::InvalidRequest(_))), "{what} {number}: {operation}");
        assert_eq!(stage.world.last_audit().await["outcome"], "invalid_request", "{what}");
    }
    assert_eq!(rows(&stage.world).await, before, "{what}");
}

async fn taken(stage: &Stage, what: &str, list: List) {
    for (number, act) in list.iter().enumerate() {
        let told = act.run(&stage.world, &stage.admin).await;
        assert_eq!(told, Ok(()), "{what} {number}: {}", act.operation());
    }
}

fn boxed<A: Doable + 'static>(acts: impl IntoIterator<Item = A>) -> List {
    acts.into_iter().map(|act| Box::new(act) as Box<dyn Doable>).collect()
}

#[tokio::test]
async fn a_plaintext_of_64_kib_comes_back_and_one_byte_more_is_refused() {
    let stage = Stage::new().await;
    let sized = |size: usize| Encrypt {
        key: alias_of("photos"),
        plaintext: Zeroizing::new(vec![0xa5; size]),
        context: context("about", "test"),
    };
    assert_eq!(LARGEST_PLAINTEXT, 65_536);
    for size in [0, 1, 15, 16, 17, LARGEST_PLAINTEXT] {
        let encrypted = stage.world.engine.execute(&stage.admin, &sized(size)).await.unwrap();
        let (key, ciphertext) = (alias_of("photos"), encrypted.ciphertext);
        let decrypt = Decrypt { key, ciphertext, context: context("about", "test") };
        let decrypted = stage.world.engine.execute(&stage.admin, &decrypt).await.unwrap();
        assert!(decrypted.plaintext.as_slice() == vec![0xa5; size], "{size}");
    }
    refused(&stage, "plaintext", boxed([sized(LARGEST_PLAINTEXT + 1)])).await;
}

#[tokio::test]
async fn every_named_thing_has_the_same_rule_for_names() {
    let stage = Stage::new().await;
    let too_long = "x".repeat(64);
    let bad =
        ["", "A", "-a", ".a", "a b", "a/b", "a:b", "é", "а", "a\0", "a\n", "*", "..", &too_long];
    for name in bad.map(str::to_owned) {
        let list: List = vec![
            Box::new(CreateKeyring { name: name.clone() }),
            Box::new(CreateKey { alias: Some(name.clone()), ..create_key("photos") }),
            Box::new(SetAlias { key: alias_of("photos"), alias: name.clone() }),
            Box::new(CreatePrincipal { name: name.clone(), groups: vec![] }),
            Box::new(CreatePrincipal { name: "good".into(), groups: vec![name.clone()] }),
            Box::new(PutPolicy { name: name.clone(), text: String::new() }),
            Box::new(mint(|mint| mint.subject = name.clone())),
            Box::new(MintEnrolmentToken { subject: name.clone(), origin: None, expires_in_s: 60 }),
        ];
        refused(&stage, &format!("{name:?}"), list).await;
    }
    let good = ["a", "0", "a.b_c-d", &"x".repeat(63)].map(str::to_owned);
    for name in good {
        let list: List = vec![
            Box::new(CreateKeyring { name: name.clone() }),
            Box::new(create_key(&name)),
            Box::new(SetAlias { key: alias_of("photos"), alias: name.clone() }),
            Box::new(CreatePrincipal { name: name.clone(), groups: vec![name.clone()] }),
            Box::new(PutPolicy { name: name.clone(), text: String::new() }),
        ];
        taken(&stage, &name, list).await;
    }
    let mail = CreatePrincipal { name: "ann@example.org".into(), groups: vec![] };
    taken(&stage, "principals may have @", boxed([mail])).await;
}

#[tokio::test]
async fn a_name_can_be_used_once_and_some_never() {
    let stage = Stage::new().await;
    let principal = |name: &str| CreatePrincipal { name: name.into(), groups: vec![] };
    refused(&stage, "reserved", boxed(["system", "unknown"].map(principal))).await;
    let taken: List = vec![
        Box::new(CreateKeyring { name: "default".into() }),
        Box::new(create_key("photos")),
        Box::new(principal("writer")),
    ];
    for act in taken {
        let told = act.run(&stage.world, &stage.admin).await;
        assert!(matches!(told, Err(Error::Conflict(_))), "{}", act.operation());
    }
}

#[tokio::test]
async fn tags_are_counted_and_measured_in_bytes() {
    let stage = Stage::new().await;
    let one = |key: String, value: String| BTreeMap::from([(key, value)]);
    let many = |count: u32| (0..count).map(|i| (i.to_string(), String::new())).collect();
    let within: [BTreeMap<String, String>; 5] = [
        many(0),
        many(50),
        one("k".repeat(128), "v".repeat(256)),
        one("é".repeat(64), "é".repeat(128)),
        one("a b:/\n\"".into(), String::new()),
    ];
    let beyond: [BTreeMap<String, String>; 5] = [
        many(51),
        one(String::new(), "v".into()),
        one("k".repeat(129), String::new()),
        one("é".repeat(65), String::new()),
        one("k".into(), "v".repeat(257)),
    ];
    let tag = |tags| TagKey { key: alias_of("photos"), tags };
    let create = |tags| CreateKey { tags, alias: None, ..create_key("") };
    taken(&stage, "tags", boxed(within.clone().map(tag))).await;
    taken(&stage, "tags", boxed(within.map(create))).await;
    refused(&stage, "tags", boxed(beyond.clone().map(tag))).await;
    refused(&stage, "tags", boxed(beyond.map(create))).await;
}

#[tokio::test]
async fn a_policy_has_at_most_64_kib_and_must_compile_with_all_others() {
    let stage = Stage::new().await;
    let sized = |size: usize| {
        let text = "forbid(principal == Keyhaven::Principal::\"nobody\", action, resource);\n//";
        let text = format!("{text}{}", "x".repeat(size - text.len()));
        PutPolicy { name: "long".into(), text }
    };
    taken(&stage, "policy", boxed([sized(64 * 1024)])).await;
    refused(&stage, "policy", boxed([sized(64 * 1024 + 1)])).await;
    let faulty = ["permit", "permit(principal, action, resource) when { 1 };", "\0", "permit(?a);"];
    let put = |text: &str| PutPolicy { name: "faulty".into(), text: text.into() };
    refused(&stage, "faulty", boxed(faulty.map(put))).await;
    assert!(stage.world.encrypt(&stage.admin, "photos").await.is_ok(), "the others still decide");
}

fn mint(change: impl FnOnce(&mut MintTicket)) -> MintTicket {
    let mut mint = MintTicket {
        key: alias_of("photos"),
        subject: "writer".into(),
        operations: vec![Operation::DeliverDataKey],
        context: BTreeMap::new(),
        context_exact: false,
        device: None,
        uses: 1,
        expires_in_s: 60,
    };
    change(&mut mint);
    mint
}

#[tokio::test]
async fn tickets_are_short_lived_counted_and_for_devices_only() {
    let stage = Stage::new().await;
    let lives = |seconds: u32| mint(|mint| mint.expires_in_s = seconds);
    let uses = |uses: u32| mint(|mint| mint.uses = uses);
    let for_ops = |operations: &[Operation]| mint(|mint| mint.operations = operations.to_vec());
    let (deliver, unseal) = (Operation::DeliverDataKey, Operation::UnsealDataKey);
    taken(&stage, "life", boxed([1, 3600].map(lives))).await;
    taken(&stage, "uses", boxed([1, 1000].map(uses))).await;
    taken(&stage, "operations", boxed([for_ops(&[unseal]), for_ops(&[deliver, unseal])])).await;
    refused(&stage, "life", boxed([0, 3601, u32::MAX].map(lives))).await;
    refused(&stage, "uses", boxed([0, 1001, u32::MAX].map(uses))).await;
    let not_for_devices = Operation::ALL.iter().filter(|known| ![deliver, unseal].contains(known));
    refused(&stage, "operations", boxed(not_for_devices.map(|op| for_ops(&[deliver, *op])))).await;
    refused(&stage, "operations", boxed([for_ops(&[])])).await;
    let enrolment = |expires_in_s: u32| {
        let subject = "writer".into();
        MintEnrolmentToken { subject, origin: None, expires_in_s }
    };
    taken(&stage, "enrolment", boxed([1, 3600].map(enrolment))).await;
    refused(&stage, "enrolment", boxed([0, 3601].map(enrolment))).await;
}

#[tokio::test]
async fn a_ticket_and_a_token_are_good_to_their_last_second() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let ticket = world.ticket("writer", |mint| mint.expires_in_s = 60).await;
    let issue = IssueToken { principal: "writer".into(), expires_in_days: 1 };
    let token = world.engine.execute(&stage.admin, &issue).await.unwrap().token;
    world.environment.pass(59);
    assert!(world.by_ticket(&stage.device, &ticket).await.is_ok());
    world.environment.pass(1);
    assert!(world.by_ticket(&stage.device, &ticket).await.is_err());
    world.environment.pass(24 * 3600 - 61);
    assert!(world.caller(Presented::Token(&token)).await.is_ok());
    world.environment.pass(1);
    assert!(world.caller(Presented::Token(&token)).await.is_err());
}

#[tokio::test]
async fn days_of_tokens_and_of_waiting_are_bounded() {
    let stage = Stage::new().await;
    let issue = |days: u32| IssueToken { principal: "writer".into(), expires_in_days: days };
    taken(&stage, "token days", boxed([1, 365].map(issue))).await;
    refused(&stage, "token days", boxed([0, 366, u32::MAX].map(issue))).await;
    let schedule = |days: u32| ScheduleKeyDestruction {
        key: alias_of("photos"),
        waiting_days: days,
        now: false,
    };
    refused(&stage, "waiting", boxed([0, 6, 31, u32::MAX].map(schedule))).await;
    taken(&stage, "waiting", boxed([7, 30].map(schedule))).await;
}

#[tokio::test]
async fn only_a_dev_server_destroys_without_waiting() {
    let mut stage = Stage::new().await;
    stage.world.engine = start(stage.world.ports(), false).await.unwrap().engine.into();
    let now =
        |waiting_days| ScheduleKeyDestruction { key: alias_of("photos"), waiting_days, now: true };
    refused(&stage, "at once", boxed([0, 7, 30].map(now))).await;
}

#[tokio::test]
async fn a_lease_and_its_offline_grace_are_bounded_by_protocol_and_key() {
    let stage = Stage::new().await;
    let graced =
        |seconds: u32| CreateKey { max_offline_grace_s: seconds, alias: None, ..create_key("") };
    taken(&stage, "grace", boxed([0, 604_800].map(graced))).await;
    refused(&stage, "grace", boxed([604_801, u32::MAX].map(graced))).await;

    let ticket = stage.world.ticket("writer", |mint| mint.uses = 1000).await;
    let wish = async |lease_s: u32, offline_grace_s: u32| {
        let change = |deliver: &mut crate::op::data_key::DeliverDataKey| {
            deliver.wish.lease_s = lease_s;
            deliver.wish.offline_grace_s = offline_grace_s;
        };
        stage.world.deliver(&stage.device, &ticket, change).await.map(drop)
    };
    for (lease, grace) in [(1, 0), (3600, 0), (3600, 60)] {
        assert_eq!(wish(lease, grace).await, Ok(()), "{lease} {grace}");
    }
    for (lease, grace) in [(0, 0), (3601, 0), (u32::MAX, 0), (300, 61), (300, u32::MAX)] {
        let told = wish(lease, grace).await;
        assert!(matches!(told, Err(Error::InvalidRequest(_))), "{lease} {grace}");
    }
}

#[tokio::test]
async fn a_devices_name_has_at_most_64_characters() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let (device, token) = (Device::new(3), world.enrolment("writer", None).await);
    let headers = device.sign(b"", world.engine.services().now());
    let presented = Presented::Enrolment(&token, headers.proof(b""), &device.keys);
    let caller = world.caller(presented).await.unwrap();
    let named = |length: usize| EnrolDevice {
        keys: device.keys.clone(),
        origin: None,
        name: Some("é".repeat(length)),
    };
    let told = world.engine.execute(&caller, &named(65)).await.err();
    assert!(matches!(told, Some(Error::InvalidRequest(_))));
    assert!(world.engine.execute(&caller, &named(64)).await.is_ok(), "the token was not spent");
}
