//! Data keys sealed by the suite that each device enrolled with.

use keyhaven_shared::{
    delivery::{Delivery, Expectations, Recipient, UsageFlags},
    hpke::SealingSuite,
    issuer::IssuerPublicKey,
    secret::DataKey,
};

use super::world::{Device, World, context};
use crate::{authenticate::Presented, error::Error, op::data_key::SealedDataKey};

const USERS: &str = "permit(principal == Keyhaven::Principal::\"writer\",
  action in [Keyhaven::Action::\"DeliverDataKey\", Keyhaven::Action::\"UnsealDataKey\"], resource);";

async fn world() -> World {
    let world = World::new().await;
    world.user("writer").await;
    world.key("photos").await;
    world.policy("users", USERS).await.unwrap();
    world
}

async fn enrolled(world: &World, device: Device) -> Device {
    let token = world.enrolment("writer", None).await;
    world.enrol(&device, &token).await.unwrap();
    device
}

async fn delivered(world: &World, device: &Device) -> SealedDataKey {
    let ticket = world.ticket("writer", |_| {}).await;
    world.deliver(device, &ticket, |_| {}).await.unwrap()
}

/// What the device does with an answer.
async fn open(world: &World, device: &Device, sealed: &SealedDataKey) -> Option<DataKey> {
    let services = world.engine.services();
    let issuer = services.issuer.public_key().await.unwrap();
    let expected = Expectations {
        recipient: Recipient {
            deployment: services.deployment,
            keyring: sealed.keyring.parse().unwrap(),
            keys: &device.keys,
            enrolment_epoch: 1,
        },
        nonce: [7; 32],
        key: sealed.key.parse().unwrap(),
        version: Some(sealed.version),
        context_hash: context("file", "1").hash(),
        flags: UsageFlags::DECRYPT,
        max_lease: 300,
        max_offline_grace: 0,
    };
    let issuer = IssuerPublicKey::from_bytes(&issuer).unwrap();
    let delivery = Delivery::parse(&sealed.delivery).unwrap();
    let verified = delivery.verify(&expected, &issuer, services.now()).ok()?;
    let opened = verified.open_with_private(&device.sealing, device.ml_kem.as_ref());
    opened.ok().map(|(key, _)| key)
}

#[tokio::test]
async fn a_delivered_data_key_opens_on_its_device_and_again_after_unsealing() {
    let world = world().await;
    for (device, suite) in [
        (Device::new(1), SealingSuite::MlKem768X25519Aes256Gcm),
        (Device::classical(2), SealingSuite::X25519Aes256Gcm),
    ] {
        let device = enrolled(&world, device).await;
        let sealed = delivered(&world, &device).await;
        let ticket = world.ticket("writer", |_| {}).await;
        let again = world.unseal(&device, (&ticket, &sealed.encrypted_data_key)).await.unwrap();
        for answer in [&sealed, &again] {
            assert_eq!(answer.delivery.len(), Delivery::bytes(suite));
            assert_eq!(answer.delivery[4], suite.code());
        }
        let first = open(&world, &device, &sealed).await.unwrap();
        let second = open(&world, &device, &again).await.unwrap();
        // EXPOSE: the test compares what two deliveries brought.
        assert_eq!(first.expose_secret(), second.expose_secret());
    }
}

#[tokio::test]
async fn what_is_sealed_to_a_classical_device_opens_on_no_hybrid_one_nor_the_other_way_round() {
    let world = world().await;
    let hybrid = enrolled(&world, Device::new(1)).await;
    let classical = enrolled(&world, Device::classical(1)).await;
    assert_ne!(hybrid.keys.thumbprint(), classical.keys.thumbprint());
    for (to, other) in [(&hybrid, &classical), (&classical, &hybrid)] {
        let sealed = delivered(&world, to).await;
        assert!(open(&world, to, &sealed).await.is_some());
        assert!(open(&world, other, &sealed).await.is_none());
    }
}

#[tokio::test]
async fn a_hybrid_key_left_out_on_the_way_to_the_server_enrols_nothing() {
    let world = world().await;
    // The same authentication key: so the signature itself would verify.
    let (signed, presented) = (Device::new(1), Device::classical(1));
    let headers = signed.sign(b"body", world.engine.services().now());
    let token = world.enrolment("writer", None).await;
    let proof = headers.proof(b"body");
    let refused = world.caller(Presented::Enrolment(&token, proof, &presented.keys)).await;
    assert!(matches!(refused, Err(Error::Device(_))), "the signature names the device of all keys");
    assert!(world.enrol(&signed, &token).await.is_ok(), "nothing was spent");
}
