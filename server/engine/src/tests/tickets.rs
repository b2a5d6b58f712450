//! Tickets, enrolment and deliveries.

use std::sync::Arc;

use keyhaven_shared::{delivery::UsageFlags, lease_event::LeaseEnd, operation::Operation};

use super::world::{Device, World, alias_of, context};
use crate::{
    authenticate::Presented,
    error::{DeviceFault, EnrolmentFault, Error, TicketFault},
    op::{
        data_key::GenerateDataKey,
        device::RevokeDevice,
        key::{CreateKey, RotateKey},
        key_state::DisableKey,
    },
};

const USERS: &str = "permit(principal == Keyhaven::Principal::\"writer\",
  action in [Keyhaven::Action::\"DeliverDataKey\", Keyhaven::Action::\"UnsealDataKey\"], resource);";

async fn world() -> (Arc<World>, Device) {
    let world = World::new().await;
    world.user("writer").await;
    world.key("photos").await;
    world.policy("users", USERS).await.unwrap();
    let device = world.device(1, "writer").await;
    (Arc::new(world), device)
}

fn refused(fault: TicketFault) -> Error {
    Error::Ticket(fault)
}

#[tokio::test]
async fn a_ticket_is_good_for_what_it_says_and_nothing_else() {
    let (world, device) = world().await;
    let ticket = world.ticket("writer", |_| {}).await;
    world.deliver(&device, &ticket, |_| {}).await.unwrap();
    let again = world.deliver(&device, &ticket, |_| {}).await.unwrap_err();
    assert_eq!(again, refused(TicketFault::Spent));
    assert_eq!(world.last_audit().await["outcome"], "ticket_spent");

    world.key("music").await;
    let ticket = world.ticket("writer", |_| {}).await;
    let other_key =
        world.deliver(&device, &ticket, |deliver| deliver.key = alias_of("music")).await;
    assert_eq!(other_key.unwrap_err(), refused(TicketFault::WrongKey));
    for other in [context("file", "2"), context("File", "1"), Default::default()] {
        let other_context =
            world.deliver(&device, &ticket, |deliver| deliver.context = other).await;
        assert_eq!(other_context.unwrap_err(), refused(TicketFault::WrongContext));
    }
    let only_unseal =
        world.ticket("writer", |mint| mint.operations = vec![Operation::UnsealDataKey]).await;
    let other_operation = world.deliver(&device, &only_unseal, |_| {}).await;
    assert_eq!(other_operation.unwrap_err(), refused(TicketFault::WrongOperation));

    let bound =
        world.ticket("writer", |mint| mint.device = Some(Device::new(9).keys.thumbprint())).await;
    let other_device = world.deliver(&device, &bound, |_| {}).await;
    assert_eq!(other_device.unwrap_err(), refused(TicketFault::WrongDevice));
    assert!(world.deliver(&device, &ticket, |_| {}).await.is_ok(), "refusals spend nothing");

    let late = world.ticket("writer", |_| {}).await;
    world.environment.pass(300);
    assert_eq!(world.by_ticket(&device, &late).await.unwrap_err(), refused(TicketFault::Expired));
}

#[tokio::test]
async fn of_many_uses_at_once_exactly_one_is_allowed() {
    let (world, _) = world().await;
    let ticket = Arc::new(world.ticket("writer", |_| {}).await);
    let uses = (0..50).map(|_| {
        let (world, ticket) = (Arc::clone(&world), Arc::clone(&ticket));
        tokio::spawn(async move { world.deliver(&Device::new(1), &ticket, |_| {}).await.is_ok() })
    });
    let mut allowed = 0;
    for one in uses.collect::<Vec<_>>() {
        allowed += usize::from(one.await.unwrap());
    }
    assert_eq!(allowed, 1);
}

#[tokio::test]
async fn a_ticket_does_not_widen_what_policies_permit() {
    let (world, _) = world().await;
    world.user("outsider").await;
    let device = world.device(3, "outsider").await;
    let ticket = world.ticket("outsider", |_| {}).await;
    let denied = world.deliver(&device, &ticket, |_| {}).await.unwrap_err();
    assert_eq!(denied, Error::Denied);
    let stolen = world.ticket("writer", |_| {}).await;
    let denied = world.deliver(&device, &stolen, |_| {}).await.unwrap_err();
    assert_eq!(denied, refused(TicketFault::WrongDevice), "another user's ticket");
}

#[tokio::test]
async fn usage_beyond_what_key_and_policy_allow_is_refused() {
    let (world, device) = world().await;
    let ticket = world.ticket("writer", |_| {}).await;
    let month = world
        .deliver(&device, &ticket, |deliver| deliver.wish.offline_grace_s = 30 * 24 * 3600)
        .await;
    assert!(matches!(month.unwrap_err(), Error::InvalidRequest(_)));
    let no_export = "forbid(principal, action == Keyhaven::Action::\"DeliverDataKey\", resource)
        when { context.export };";
    world.policy("no-export", no_export).await.unwrap();
    let export =
        world.deliver(&device, &ticket, |deliver| deliver.wish.usage = UsageFlags::EXPORT).await;
    assert_eq!(export.unwrap_err(), Error::Denied);
    assert!(world.deliver(&device, &ticket, |_| {}).await.is_ok());
}

#[tokio::test]
async fn a_key_without_distribution_leaves_the_server_to_nobody() {
    let (world, device) = world().await;
    let create = CreateKey {
        keyring: "default".into(),
        alias: Some("inside".into()),
        spec: keyhaven_shared::key_spec::KeySpec::Aes256Gcm,
        distribution: keyhaven_shared::key_spec::Distribution::None,
        max_offline_grace_s: 0,
        tags: Default::default(),
    };
    world.engine.execute(&world.admin().await, &create).await.unwrap();
    let ticket = world.ticket("writer", |mint| mint.key = alias_of("inside")).await;
    let refused = world.deliver(&device, &ticket, |deliver| deliver.key = alias_of("inside")).await;
    assert!(matches!(refused.unwrap_err(), Error::InvalidRequest(_)));
}

#[tokio::test]
async fn an_enrolment_token_enrols_one_device_once() {
    let (world, _) = world().await;
    let token = world.enrolment("writer", Some("https://app.example")).await;
    let (first, second) = (Device::new(4), Device::new(5));
    let (one, two) = tokio::join!(world.enrol(&first, &token), world.enrol(&second, &token));
    assert!(one.is_ok() != two.is_ok(), "exactly one");
    let loser = one.err().or(two.err()).unwrap();
    assert_eq!(loser, Error::Enrolment(EnrolmentFault::Spent));
    let log = world.audit().await;
    assert!(log.iter().any(|entry| entry["outcome"] == "enrolment_spent"), "the loser is recorded");

    let elsewhere = world.enrolment("writer", Some("https://evil.example")).await;
    let refused = world.enrol(&Device::new(6), &elsewhere).await.unwrap_err();
    assert_eq!(refused, Error::Enrolment(EnrolmentFault::WrongOrigin));
    let late = world.enrolment("writer", None).await;
    world.environment.pass(300);
    let refused = world.enrol(&Device::new(7), &late).await.unwrap_err();
    assert_eq!(refused, Error::Enrolment(EnrolmentFault::Expired));
}

#[tokio::test]
async fn a_revoked_device_is_refused_and_told() {
    let (world, device) = world().await;
    let mut events = world.engine.services().leases.watch(None, 0).receiver;
    let id = device.keys.thumbprint();
    world.engine.execute(&world.admin().await, &RevokeDevice { device: id }).await.unwrap();
    assert_eq!(events.try_recv().unwrap().end, LeaseEnd::DeviceRevoked(id));
    let ticket = world.ticket("writer", |_| {}).await;
    let refused = world.by_ticket(&device, &ticket).await.unwrap_err();
    assert_eq!(refused, Error::Device(DeviceFault::Revoked));
    let token = world.enrolment("writer", None).await;
    assert!(world.enrol(&device, &token).await.is_err(), "and does not come back");
}

#[tokio::test]
async fn disabling_a_key_tells_the_devices_that_hold_leases() {
    let (world, device) = world().await;
    let ticket = world.ticket("writer", |_| {}).await;
    world.deliver(&device, &ticket, |_| {}).await.unwrap();
    let leases = &world.engine.services().leases;
    let mut events = leases.watch(None, 0).receiver;
    let disable = DisableKey { key: alias_of("photos") };
    let key = world.engine.execute(&world.admin().await, &disable).await.unwrap();
    let event = events.try_recv().unwrap();
    assert_eq!(event.end, LeaseEnd::KeyStopped(key.id));
    assert!(leases.concerns(device.keys.thumbprint(), event.end));
}

#[tokio::test]
async fn rotating_a_key_tells_the_devices_that_encrypt_with_it() {
    let (world, device) = world().await;
    let ticket = world.ticket("writer", |_| {}).await;
    world.deliver(&device, &ticket, |_| {}).await.unwrap();
    let leases = &world.engine.services().leases;
    let mut events = leases.watch(None, 0).receiver;
    let rotate = RotateKey { key: alias_of("photos") };
    let key = world.engine.execute(&world.admin().await, &rotate).await.unwrap();
    let event = events.try_recv().unwrap();
    assert_eq!(event.end, LeaseEnd::KeyRotated(key.id, key.primary));
    assert_eq!(key.primary.number(), 2);
    assert!(leases.concerns(device.keys.thumbprint(), event.end));
}

#[tokio::test]
async fn a_device_or_enrolment_credential_is_good_for_nothing_else() {
    let (world, device) = world().await;
    let headers = device.sign(b"", world.engine.services().now());
    let caller = world.caller(Presented::Device(headers.proof(b""))).await.unwrap();
    let generate = GenerateDataKey { key: alias_of("photos"), context: context("a", "b") };
    assert_eq!(world.engine.execute(&caller, &generate).await.err(), Some(Error::Denied));
}
