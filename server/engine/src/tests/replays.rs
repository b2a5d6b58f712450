//! A request that somebody recorded is good once, whatever it was good for.

use std::sync::Arc;

use super::world::{Device, Headers, NOW, World, alias_of, context, wish};
use crate::{
    authenticate::Presented,
    error::{DeviceFault, Error},
    op::{
        data_key::{DeliverDataKey, SealedDataKey},
        device::WatchLeases,
    },
    start::start,
};

const USERS: &str = "permit(principal == Keyhaven::Principal::\"writer\",
  action in [Keyhaven::Action::\"DeliverDataKey\", Keyhaven::Action::\"UnsealDataKey\"], resource);";
const REPLAYED: Error = Error::Device(DeviceFault::Replayed);
const TOO_OLD: Error = Error::Device(DeviceFault::ProofTooOld);

/// A world with a device, and a ticket that is good for a thousand uses.
async fn world() -> (World, Device, String) {
    let world = World::new().await;
    world.user("writer").await;
    world.key("photos").await;
    world.policy("users", USERS).await.unwrap();
    let device = world.device(1, "writer").await;
    let ticket = world.ticket("writer", |mint| mint.uses = 1000).await;
    (world, device, ticket)
}

/// Sends a signed request, perhaps not for the first time.
async fn send(world: &World, ticket: &str, headers: &Headers) -> Result<SealedDataKey, Error> {
    let caller = world.caller(Presented::Ticket(ticket, headers.proof(b""))).await?;
    let deliver =
        DeliverDataKey { key: alias_of("photos"), context: context("file", "1"), wish: wish() };
    world.engine.execute(&caller, &deliver).await
}

async fn restart(world: &mut World) {
    world.engine = Arc::new(start(world.ports(), true).await.unwrap().engine);
}

#[tokio::test]
async fn of_a_hundred_parallel_replays_exactly_one_is_accepted() {
    let (world, device, ticket) = world().await;
    let (world, ticket) = (Arc::new(world), Arc::new(ticket));
    for created in [NOW, NOW + 200] {
        let headers = Arc::new(device.sign(b"", created));
        let replays = (0..100).map(|_| {
            let (world, ticket) = (Arc::clone(&world), Arc::clone(&ticket));
            let headers = Arc::clone(&headers);
            tokio::spawn(async move { send(&world, &ticket, &headers).await.map(|_| ()) })
        });
        let mut accepted = 0;
        for replay in replays.collect::<Vec<_>>() {
            match replay.await.unwrap() {
                Ok(()) => accepted += 1,
                Err(error) => assert_eq!(error, REPLAYED),
            }
        }
        assert_eq!(accepted, 1);
    }
}

#[tokio::test]
async fn a_ticket_of_many_uses_is_used_by_new_requests_only() {
    let (world, device, ticket) = world().await;
    for _ in 0..3 {
        let headers = device.sign(b"", NOW);
        send(&world, &ticket, &headers).await.unwrap();
        assert_eq!(send(&world, &ticket, &headers).await.err(), Some(REPLAYED));
    }
}

#[tokio::test]
async fn a_stream_of_lease_events_is_opened_once_by_each_proof() {
    let (world, device, _) = world().await;
    let headers = device.sign(b"", NOW);
    let caller = world.caller(Presented::Device(headers.proof(b""))).await.unwrap();
    world.engine.execute(&caller, &WatchLeases).await.unwrap();
    let again = world.caller(Presented::Device(headers.proof(b""))).await;
    assert_eq!(again.err(), Some(REPLAYED));
    // Nor does it serve for something else: the ticket is not what was signed, but the proof is used.
    let ticket = world.ticket("writer", |_| {}).await;
    assert_eq!(send(&world, &ticket, &headers).await.err(), Some(REPLAYED));
}

#[tokio::test]
async fn a_restart_forgets_nothing_that_matters() {
    let (mut world, device, ticket) = world().await;
    // The device's clock is behind, right, and ahead.
    let recorded = [NOW - 250, NOW, NOW + 250].map(|created| device.sign(b"", created));
    for headers in &recorded {
        send(&world, &ticket, headers).await.unwrap();
    }
    restart(&mut world).await;
    world.environment.pass(1);
    let refusals = [TOO_OLD, TOO_OLD, REPLAYED];
    for (headers, refusal) in recorded.iter().zip(refusals) {
        assert_eq!(send(&world, &ticket, headers).await.err(), Some(refusal));
    }
    assert_eq!(world.last_audit().await["outcome"], "device_proof_replayed");
    // Recorded before, and not sent until now.
    let withheld = device.sign(b"", NOW);
    assert_eq!(send(&world, &ticket, &withheld).await.err(), Some(TOO_OLD));
    let anew = device.sign(b"", NOW + 1);
    assert!(send(&world, &ticket, &anew).await.is_ok(), "signed again, it is accepted");
}

#[tokio::test]
async fn a_proof_that_does_not_hold_uses_up_nothing() {
    let (world, device, ticket) = world().await;
    let headers = device.sign(b"", NOW);
    let mut forged = device.sign(b"", NOW);
    forged.input.clone_from(&headers.input);
    let invalid = Error::Device(DeviceFault::ProofInvalid);
    assert_eq!(send(&world, &ticket, &forged).await.err(), Some(invalid));
    assert!(send(&world, "forged", &headers).await.is_err(), "no ticket");
    assert!(send(&world, &ticket, &headers).await.is_ok());
}
