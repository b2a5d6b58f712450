//! The node's signing key: certified by the HSM for a day, anew after half of it.

use keyhaven_shared::{
    delivery::{Delivery, Expectations, Recipient, UsageFlags},
    issuer::{IssuerPublicKey, NodeCertificate, NodeClaims},
};

use super::{
    stage::Stage,
    world::{NOW, World, context},
};
use crate::{conformance::memory_hsm::Fault, error::Error, op::data_key::SealedDataKey};

const HALF: u64 = NodeClaims::LONGEST_S / 2;

async fn issuer(world: &World) -> IssuerPublicKey {
    let key = world.engine.services().issuer.public_key().await.unwrap();
    IssuerPublicKey::from_bytes(&key).unwrap()
}

async fn certificate(world: &World) -> NodeCertificate {
    *world.engine.services().issuer.signer().await.unwrap().certificate()
}

async fn deliver(stage: &Stage, lease_s: u32) -> Result<SealedDataKey, Error> {
    let ticket = stage.world.ticket("writer", |_| {}).await;
    stage.world.deliver(&stage.device, &ticket, |deliver| deliver.wish.lease_s = lease_s).await
}

/// Whether the device would take the delivery at `now`.
fn verifies(stage: &Stage, issuer: &IssuerPublicKey, sealed: &SealedDataKey, now: u64) -> bool {
    let expected = Expectations {
        recipient: Recipient {
            deployment: stage.world.engine.services().deployment,
            keyring: sealed.keyring.parse().unwrap(),
            keys: &stage.device.keys,
            enrolment_epoch: 1,
        },
        nonce: [7; 32],
        key: sealed.key.parse().unwrap(),
        version: Some(sealed.version),
        context_hash: context("file", "1").hash(),
        flags: UsageFlags::DECRYPT,
        max_lease: 3600,
        max_offline_grace: 0,
    };
    Delivery::parse(&sealed.delivery).unwrap().verify(&expected, issuer, now).is_ok()
}

#[tokio::test]
async fn a_certificate_serves_half_its_life_and_is_then_made_anew() {
    let world = World::new().await;
    let first = certificate(&world).await;
    assert!(first.claims.not_before <= NOW - 300, "for clocks that are behind");
    assert_eq!(first.claims.not_after - first.claims.not_before, NodeClaims::LONGEST_S);
    world.environment.pass(HALF - 1);
    assert_eq!(certificate(&world).await, first);
    world.environment.pass(1);
    let second = certificate(&world).await;
    assert_ne!(second.claims.node_public_key, first.claims.node_public_key, "a key of its own");
    assert_eq!(second.claims.not_before - first.claims.not_before, HALF);
    let issuer = issuer(&world).await;
    let deployment = world.engine.services().deployment;
    for certificate in [first, second] {
        assert!(certificate.verify(&issuer, deployment, NOW + HALF).is_ok(), "they overlap");
    }
}

#[tokio::test]
async fn the_hsm_signs_once_for_many_deliveries() {
    let stage = Stage::new().await;
    let calls = stage.world.hsm.calls();
    for _ in 0..5 {
        deliver(&stage, 60).await.unwrap();
    }
    assert_eq!(stage.world.hsm.calls(), calls, "the stage's own delivery had it sign");
    stage.world.environment.pass(HALF);
    for _ in 0..5 {
        deliver(&stage, 60).await.unwrap();
    }
    assert_eq!(stage.world.hsm.calls(), calls + 1);
}

#[tokio::test]
async fn a_delivery_verifies_until_its_lease_ends_whatever_was_renewed_since() {
    let stage = Stage::new().await;
    stage.world.environment.pass(HALF - 1);
    let old = deliver(&stage, 3600).await.unwrap();
    let issued = NOW + HALF - 1;
    stage.world.environment.pass(1);
    let new = deliver(&stage, 3600).await.unwrap();
    let issuer = issuer(&stage.world).await;
    for now in [issued, issued + 1, issued + 3599] {
        assert!(verifies(&stage, &issuer, &old, now), "{now}");
    }
    assert!(!verifies(&stage, &issuer, &old, issued + 3600), "its lease is over");
    assert!(verifies(&stage, &issuer, &new, issued + 3600));
    assert!(!verifies(&stage, &issuer, &new, issued + 3601));
}

#[tokio::test]
async fn a_renewal_that_fails_withholds_the_key_and_the_ticket_stays_good() {
    let stage = Stage::new().await;
    let first = certificate(&stage.world).await;
    stage.world.environment.pass(HALF);
    let ticket = stage.world.ticket("writer", |_| {}).await;
    for fault in [Fault::Lost, Fault::AppliedButReportedFailed] {
        stage.world.hsm.fail_next(fault);
        let told = stage.world.deliver(&stage.device, &ticket, |_| {}).await.unwrap_err();
        assert_eq!(told, Error::Unavailable, "{fault:?}");
        assert_eq!(stage.world.last_audit().await["outcome"], "unavailable");
    }
    stage.world.environment.fail(true);
    let told = stage.world.deliver(&stage.device, &ticket, |_| {}).await.unwrap_err();
    assert_eq!(told, Error::Unavailable, "no randomness");
    stage.world.environment.fail(false);
    assert!(stage.world.deliver(&stage.device, &ticket, |_| {}).await.is_ok());
    assert_ne!(certificate(&stage.world).await, first);
}
