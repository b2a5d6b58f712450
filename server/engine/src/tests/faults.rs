//! A commit that fails, at every operation: nothing half-done, nothing released, and it goes on.

use std::sync::Arc;

use keyhaven_shared::operation::Operation;

use super::{
    stage::{Stage, USERS, rows},
    world::{Device, World, alias_of, context},
};
use crate::{
    authenticate::Presented,
    conformance::memory_store::{Fault, MemoryStore},
    error::{EnrolmentFault, Error, TicketFault},
    op::{
        crypt::Encrypt,
        key_state::{CancelKeyDestruction, DisableKey, EnableKey, ScheduleKeyDestruction},
        policy::PutPolicy,
    },
    port::Ports,
    start::start,
};

/// The entries that an operation added to the log: operation and outcome.
async fn since(world: &World, length: usize) -> Vec<(String, String)> {
    let entries = world.audit().await.split_off(length);
    let word = |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap().to_owned();
    entries.iter().map(|entry| (word(entry, "operation"), word(entry, "outcome"))).collect()
}

fn recorded(operation: Operation, outcome: &str) -> (String, String) {
    (operation.name().to_owned(), outcome.to_owned())
}

#[tokio::test]
async fn a_lost_commit_changes_nothing_and_the_operation_can_be_repeated() {
    let stage = Stage::new().await;
    for act in stage.changing() {
        let operation = act.operation();
        let (before, length) = (rows(&stage.world).await, stage.world.audit().await.len());
        stage.world.store.fail_next_commit(Fault::Lost);
        let told = act.run(&stage.world, &stage.admin).await;
        assert_eq!(told, Err(Error::Unavailable), "{operation}");
        assert_eq!(rows(&stage.world).await, before, "{operation}");
        let log = since(&stage.world, length).await;
        assert_eq!(log, [recorded(operation, "unavailable")], "the failure is recorded");
        assert_eq!(act.run(&stage.world, &stage.admin).await, Ok(()), "{operation} again");
        assert_ne!(rows(&stage.world).await, before, "{operation} changes rows");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_withheld_found_in_the_log_and_gone_on_from() {
    let stage = Stage::new().await;
    for act in stage.changing() {
        let operation = act.operation();
        let (before, length) = (rows(&stage.world).await, stage.world.audit().await.len());
        stage.world.store.fail_next_commit(Fault::Unknown);
        let told = act.run(&stage.world, &stage.admin).await;
        assert_eq!(told, Err(Error::OutcomeUnknown), "{operation}");
        assert_ne!(rows(&stage.world).await, before, "{operation} was applied");
        let log = since(&stage.world, length).await;
        let expected = [recorded(operation, "ok"), recorded(operation, "outcome_unknown")];
        assert_eq!(log, expected, "what was done, and what was told");
    }
    let opened = stage.world.decrypt(&stage.admin, ("photos", &stage.ciphertext)).await.unwrap();
    assert_eq!(opened.as_slice(), b"secret", "after a new root whose making was not known");
    let deployment = stage.world.engine.services().deployment;
    let keys = stage.world.ports().hsm.keys(deployment).await.unwrap().len();
    assert!(start(stage.world.ports(), true).await.is_ok());
    let left = stage.world.ports().hsm.keys(deployment).await.unwrap().len();
    assert_eq!(left, keys - 1, "the next start destroys the old root");
}

#[tokio::test]
async fn no_use_and_no_look_is_answered_without_its_record() {
    let stage = Stage::new().await;
    for act in stage.using().into_iter().chain(stage.asking()) {
        let operation = act.operation();
        let (before, length) = (rows(&stage.world).await, stage.world.audit().await.len());
        stage.world.store.fail_next_commit(Fault::Lost);
        stage.world.store.fail_next_commit(Fault::Lost);
        let told = act.run(&stage.world, &stage.admin).await;
        assert_eq!(told, Err(Error::Unavailable), "{operation}");
        assert_eq!(since(&stage.world, length).await, [], "{operation}");
        stage.world.store.fail_next_commit(Fault::Unknown);
        let told = act.run(&stage.world, &stage.admin).await;
        assert_eq!(told, Err(Error::OutcomeUnknown), "{operation}");
        assert_eq!(since(&stage.world, length).await.len(), 2, "{operation}");
        assert_eq!(act.run(&stage.world, &stage.admin).await, Ok(()), "{operation}");
        assert_eq!(rows(&stage.world).await, before, "{operation} changes no row");
    }
}

#[tokio::test]
async fn a_refusal_that_cannot_be_recorded_says_so_and_no_more() {
    let stage = Stage::new().await;
    let outsider = stage.world.user("outsider").await;
    for act in stage.by_token() {
        stage.world.store.fail_next_commit(Fault::Lost);
        let told = act.run(&stage.world, &outsider).await;
        assert_eq!(told, Err(Error::Unavailable), "{}", act.operation());
    }
}

#[tokio::test]
async fn a_ticket_is_spent_exactly_when_its_use_was_recorded() {
    let stage = Stage::new().await;
    let (world, device) = (&stage.world, &stage.device);
    let ticket = world.ticket("writer", |_| {}).await;
    world.store.fail_next_commit(Fault::Lost);
    let lost = world.deliver(device, &ticket, |_| {}).await.unwrap_err();
    assert_eq!(lost, Error::Unavailable);
    assert!(world.deliver(device, &ticket, |_| {}).await.is_ok(), "a lost use spends nothing");

    let ticket = world.ticket("writer", |_| {}).await;
    let encrypted = (ticket.as_str(), stage.encrypted_data_key.as_slice());
    world.store.fail_next_commit(Fault::Unknown);
    let unknown = world.unseal(device, encrypted).await.unwrap_err();
    assert_eq!(unknown, Error::OutcomeUnknown);
    let spent = world.unseal(device, encrypted).await.unwrap_err();
    assert_eq!(spent, Error::Ticket(TicketFault::Spent), "a withheld use counts");
}

#[tokio::test]
async fn an_enrolment_is_whole_or_did_not_happen() {
    let stage = Stage::new().await;
    let (world, device) = (&stage.world, Device::new(2));
    let token = world.enrolment("writer", None).await;
    let before = rows(world).await;
    world.store.fail_next_commit(Fault::Lost);
    assert_eq!(world.enrol(&device, &token).await, Err(Error::Unavailable));
    assert_eq!(rows(world).await, before);
    assert_eq!(world.enrol(&device, &token).await, Ok(()), "the token was not spent");

    let (device, token) = (Device::new(3), world.enrolment("writer", None).await);
    world.store.fail_next_commit(Fault::Unknown);
    assert_eq!(world.enrol(&device, &token).await, Err(Error::OutcomeUnknown));
    let headers = device.sign(b"", world.engine.services().now());
    assert!(world.caller(Presented::Device(headers.proof(b""))).await.is_ok(), "it is enrolled");
    let other = world.enrol(&Device::new(4), &token).await;
    assert_eq!(other, Err(Error::Enrolment(EnrolmentFault::Spent)));
}

/// What was changed with an unknown outcome holds at once, also where what is in memory says otherwise.
#[tokio::test]
async fn a_change_of_unknown_outcome_is_not_hidden_by_what_is_in_memory() {
    let stage = Stage::new().await;
    let (world, admin) = (&stage.world, &stage.admin);
    let key = || alias_of("photos");
    world.store.fail_next_commit(Fault::Unknown);
    assert!(world.engine.execute(admin, &DisableKey { key: key() }).await.is_err());
    assert!(world.encrypt(admin, "photos").await.is_err(), "stopped");
    world.store.fail_next_commit(Fault::Unknown);
    assert!(world.engine.execute(admin, &EnableKey { key: key() }).await.is_err());
    assert!(world.encrypt(admin, "photos").await.is_ok(), "and going again");

    world.store.fail_next_commit(Fault::Unknown);
    let schedule = ScheduleKeyDestruction { key: key(), waiting_days: 7, now: false };
    assert!(world.engine.execute(admin, &schedule).await.is_err());
    let cancel = CancelKeyDestruction { key: key() };
    assert!(world.engine.execute(admin, &cancel).await.is_ok(), "what was scheduled is cancelled");
}

#[tokio::test]
async fn a_policy_of_unknown_outcome_decides_from_then_on() {
    let stage = Stage::new().await;
    let (world, admin) = (&stage.world, &stage.admin);
    let user = world.user("reader").await;
    let encrypt = || Encrypt {
        key: alias_of("photos"),
        plaintext: b"secret".to_vec().into(),
        context: context("about", "test"),
    };
    assert_eq!(world.engine.execute(&user, &encrypt()).await.err(), Some(Error::Denied));
    let text = USERS.replace("writer", "reader").replace("UnsealDataKey", "Encrypt");
    world.store.fail_next_commit(Fault::Unknown);
    let put = PutPolicy { name: "readers".into(), text };
    assert_eq!(world.engine.execute(admin, &put).await.err(), Some(Error::OutcomeUnknown));
    assert!(world.engine.execute(&user, &encrypt()).await.is_ok(), "permitted now");
}

#[tokio::test]
async fn an_installation_whose_first_commit_is_lost_is_set_up_at_the_next_start() {
    let store = Arc::new(MemoryStore::new());
    store.fail_next_commit(Fault::Lost);
    let ports = Ports { store, ..World::new().await.ports() };
    assert_eq!(start(ports.clone(), true).await.err(), Some(Error::Unavailable));
    let started = start(ports, true).await.unwrap();
    assert!(started.admin_token.is_some(), "the operator gets in");
}
