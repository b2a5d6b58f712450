//! Who may do what, and what a refusal tells.

use keyhaven_shared::{ids::KeyId, operation::Operation};

use super::world::{NOW, World, alias_of, request};
use crate::{
    authenticate::Presented,
    caller::Caller,
    error::{DeviceFault, Error},
    name::KeyName,
    op::{
        device::WatchLeases,
        key::{DescribeKey, ListKeys},
        principal::{DisablePrincipal, EnablePrincipal},
        token::{IssueToken, RevokeToken},
    },
};

#[tokio::test]
async fn a_stranger_cannot_tell_a_forbidden_key_from_one_that_does_not_exist() {
    let world = World::new().await;
    let (admin, outsider) = (world.admin().await, world.user("outsider").await);
    world.key("photos").await;
    let missing = KeyName::Id(KeyId::from_random([9; 16]));
    for key in [alias_of("photos"), alias_of("nothing"), missing.clone()] {
        let told = world.engine.execute(&outsider, &DescribeKey { key }).await.unwrap_err();
        assert_eq!(told, Error::Denied);
        assert_eq!(world.last_audit().await["outcome"], "access_denied");
    }
    let told = world.engine.execute(&admin, &DescribeKey { key: missing }).await.unwrap_err();
    assert_eq!(told, Error::NotFound("key"), "who may list is told");
}

#[tokio::test]
async fn who_is_not_known_may_do_nothing_whatever_the_policies_say() {
    let world = World::new().await;
    world.key("photos").await;
    world.policy("all", "permit(principal, action, resource);").await.unwrap();
    let unknown = Caller::unknown(request());
    let describe = DescribeKey { key: alias_of("photos") };
    let told = world.engine.execute(&unknown, &describe).await.unwrap_err();
    assert_eq!(told, Error::Unauthenticated);
    let told = world.engine.execute(&unknown, &WatchLeases).await.unwrap_err();
    assert_eq!(told, Error::Unauthenticated);
    assert_eq!(world.last_audit().await["principal"], "unknown");
}

#[tokio::test]
async fn a_list_shows_only_what_its_reader_may_describe() {
    let world = World::new().await;
    let (admin, user) = (world.admin().await, world.user("reader").await);
    let (photos, _) = (world.key("photos").await, world.key("music").await);
    let text = format!(
        "permit(principal == Keyhaven::Principal::\"reader\", action == Keyhaven::Action::\"ListKeys\", resource);
         permit(principal == Keyhaven::Principal::\"reader\", action == Keyhaven::Action::\"DescribeKey\",
                resource == Keyhaven::Key::\"{}\");",
        photos.id
    );
    world.policy("reader", &text).await.unwrap();
    let list = || ListKeys { keyring: "default".into(), after: String::new(), limit: 100 };
    let seen = world.engine.execute(&user, &list()).await.unwrap();
    assert_eq!(seen.keys.iter().map(|key| key.id).collect::<Vec<_>>(), [photos.id]);
    assert_eq!(world.engine.execute(&admin, &list()).await.unwrap().keys.len(), 2);
}

#[tokio::test]
async fn tokens_end_by_time_revocation_and_a_disabled_principal() {
    let world = World::new().await;
    let admin = world.admin().await;
    world.user("writer").await;
    let issue = IssueToken { principal: "writer".into(), expires_in_days: 1 };
    let issued = world.engine.execute(&admin, &issue).await.unwrap();
    let present = || world.caller(Presented::Token(&issued.token));
    let caller = present().await.unwrap();

    world.engine.execute(&admin, &DisablePrincipal { name: "writer".into() }).await.unwrap();
    assert_eq!(present().await.unwrap_err(), Error::Denied);
    let describe = DescribeKey { key: alias_of("photos") };
    assert!(
        world.engine.execute(&caller, &describe).await.is_err(),
        "also one already authenticated"
    );
    world.engine.execute(&admin, &EnablePrincipal { name: "writer".into() }).await.unwrap();
    assert!(present().await.is_ok());

    world.environment.pass(24 * 3600);
    assert_eq!(present().await.unwrap_err(), Error::Unauthenticated);
    let issued = world.engine.execute(&admin, &issue).await.unwrap();
    world.engine.execute(&admin, &RevokeToken { token: issued.id }).await.unwrap();
    let revoked = world.caller(Presented::Token(&issued.token)).await;
    assert_eq!(revoked.unwrap_err(), Error::Unauthenticated);
}

#[tokio::test]
async fn only_the_whole_token_is_a_token() {
    let world = World::new().await;
    let token = &world.admin_token;
    for length in 0..token.len() {
        assert!(
            world.caller(Presented::Token(token.split_at(length).0)).await.is_err(),
            "cut to {length}"
        );
    }
    for wrong in [format!("{token}A"), format!("{token}.x"), token.replace("kh1", "kh2")] {
        assert!(world.caller(Presented::Token(&wrong)).await.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn the_store_has_no_token_and_the_log_neither() {
    let world = World::new().await;
    world.user("writer").await;
    let secret = world.admin_token.rsplit('.').next().unwrap().to_owned();
    let mut kept = serde_json::to_string(&world.audit().await).unwrap();
    for row in crate::port::store::Kind::ALL.iter().flat_map(|kind| world.store.rows(*kind)) {
        kept.push_str(&String::from_utf8(row.body).unwrap());
    }
    assert!(kept.contains("secret_sha256") && !kept.contains(&secret));
}

#[tokio::test]
async fn a_device_proof_holds_for_its_own_request_and_time_only() {
    let world = World::new().await;
    world.user("writer").await;
    let device = world.device(1, "writer").await;
    let good = device.sign(b"body", NOW);
    assert!(world.caller(Presented::Device(good.proof(b"body"))).await.is_ok());
    let invalid = Error::Device(DeviceFault::ProofInvalid);
    assert_eq!(world.caller(Presented::Device(good.proof(b"Body"))).await.unwrap_err(), invalid);
    for created in [NOW - 301, NOW + 301] {
        let old = device.sign(b"body", created);
        assert_eq!(world.caller(Presented::Device(old.proof(b"body"))).await.unwrap_err(), invalid);
    }
    let mut elsewhere = good.proof(b"body");
    elsewhere.path_and_query = "/other";
    assert_eq!(world.caller(Presented::Device(elsewhere)).await.unwrap_err(), invalid);
    let stranger = super::world::Device::new(2);
    let unknown = stranger.sign(b"body", NOW);
    let refused = world.caller(Presented::Device(unknown.proof(b"body"))).await.unwrap_err();
    assert_eq!(refused, Error::Device(DeviceFault::Unknown));
}

#[tokio::test]
async fn without_randomness_nothing_is_made() {
    let world = World::new().await;
    let (admin, _) = (world.admin().await, world.key("photos").await);
    world.environment.fail(true);
    assert_eq!(world.encrypt(&admin, "photos").await.unwrap_err(), Error::Unavailable);
    world.environment.fail(false);
    assert!(world.encrypt(&admin, "photos").await.is_ok());
}

#[test]
fn every_operation_has_a_target_and_a_summary() {
    for operation in Operation::ALL {
        assert!(operation.summary().ends_with('.'), "{operation}");
    }
}
