//! Rights: each operation needs its own, whoever asks, and nothing else stands in for it.

use keyhaven_shared::operation::{Operation, Target};

use super::{
    stage::{List, Stage},
    world::{World, alias_of},
};
use crate::{
    authenticate::Presented,
    caller::Caller,
    error::{DeviceFault, EnrolmentFault, Error},
    op::{
        device::WatchLeases,
        key::DescribeKey,
        policy::RemovePolicy,
        principal::{CreatePrincipal, DisablePrincipal, EnablePrincipal},
        token::IssueToken,
    },
};

fn permit(who: &str, operation: Operation) -> String {
    format!("permit({who}, action == Keyhaven::Action::\"{operation}\", resource);")
}

/// `writer` as a principal in a policy's head.
const WRITER: &str = "principal == Keyhaven::Principal::\"writer\"";

/// Goes through all of them as `caller`: the operations that were not denied.
async fn allowed(world: &World, caller: &Caller, list: &List) -> Vec<Operation> {
    let mut allowed = Vec::new();
    for act in list {
        if act.run(world, caller).await != Err(Error::Denied) {
            allowed.push(act.operation());
        }
    }
    allowed
}

#[tokio::test]
async fn the_list_has_every_operation_that_a_token_can_ask_for() {
    let stage = Stage::new().await;
    let mut listed: Vec<Operation> = stage.by_token().iter().map(|act| act.operation()).collect();
    listed.extend(stage.for_devices().iter().map(|act| act.operation()));
    listed.extend([Operation::WatchLeases, Operation::Initialise]);
    listed.sort_unstable();
    let mut all = Operation::ALL.to_vec();
    all.sort_unstable();
    assert_eq!(listed, all, "a new operation belongs in the list");
}

#[tokio::test]
async fn an_administrator_may_do_all_of_it() {
    let stage = Stage::new().await;
    for act in stage.by_token() {
        assert_eq!(act.run(&stage.world, &stage.admin).await, Ok(()), "{}", act.operation());
    }
}

#[tokio::test]
async fn who_has_no_right_may_do_none_of_it_and_changes_nothing() {
    let stage = Stage::new().await;
    let outsider = stage.world.user("outsider").await;
    let before = super::stage::rows(&stage.world).await;
    assert_eq!(allowed(&stage.world, &outsider, &stage.by_token()).await, []);
    assert_eq!(allowed(&stage.world, &outsider, &stage.for_devices()).await, []);
    let unknown = Caller::unknown(super::world::request());
    for act in stage.by_token() {
        let told = act.run(&stage.world, &unknown).await;
        assert_eq!(told, Err(Error::Unauthenticated), "{}", act.operation());
    }
    assert_eq!(super::stage::rows(&stage.world).await, before);
}

/// With one right, exactly one operation is open: asked of a user with just that policy.
async fn each_right_opens_its_operation_only(target: Target) {
    let stage = Stage::new().await;
    let prober = stage.world.user("prober").await;
    let mut list = stage.by_token();
    list.extend(stage.for_devices());
    for act in list.iter().filter(|act| act.operation().target() == target) {
        let operation = act.operation();
        let text = permit("principal == Keyhaven::Principal::\"prober\"", operation);
        stage.world.policy("probe", &text).await.unwrap();
        assert_eq!(allowed(&stage.world, &prober, &list).await, [operation]);
    }
}

#[tokio::test]
async fn a_right_on_keys_opens_its_operation_only() {
    each_right_opens_its_operation_only(Target::Key).await;
}

#[tokio::test]
async fn a_right_on_keyrings_opens_its_operation_only() {
    each_right_opens_its_operation_only(Target::Keyring).await;
}

#[tokio::test]
async fn a_right_on_the_installation_opens_its_operation_only() {
    each_right_opens_its_operation_only(Target::Deployment).await;
}

#[tokio::test]
async fn what_is_for_devices_needs_a_device_besides_the_right() {
    let stage = Stage::new().await;
    stage.world.policy("all", "permit(principal, action, resource);").await.unwrap();
    let user = stage.world.user("reader").await;
    let expected = [
        Error::Device(DeviceFault::Unknown),
        Error::Device(DeviceFault::Unknown),
        Error::Enrolment(EnrolmentFault::Invalid),
    ];
    for (act, error) in stage.for_devices().iter().zip(expected) {
        assert_eq!(act.run(&stage.world, &user).await, Err(error), "{}", act.operation());
    }
    let watch = stage.world.engine.execute(&user, &WatchLeases).await;
    assert_eq!(watch.err(), Some(Error::Denied));
}

#[tokio::test]
async fn a_ticket_an_enrolment_token_and_a_device_open_nothing_that_a_token_does() {
    let stage = Stage::new().await;
    stage.world.policy("all", "permit(principal, action, resource);").await.unwrap();
    let world = &stage.world;
    // Each proof is good once.
    let headers = [(); 3].map(|()| stage.device.sign(b"", world.engine.services().now()));
    let [first, second, third] = headers.each_ref().map(|headers| headers.proof(b""));
    let (ticket, enrolment) =
        (world.ticket("writer", |_| {}).await, world.enrolment("writer", None).await);
    let keys = &stage.device.keys;
    let presented = [
        Presented::Ticket(&ticket, first),
        Presented::Enrolment(&enrolment, second, keys),
        Presented::Device(third),
    ];
    let before = super::stage::rows(world).await;
    for presented in presented {
        let caller = world.caller(presented).await.unwrap();
        for act in stage.by_token() {
            let told = act.run(world, &caller).await;
            let refused = matches!(told, Err(Error::Denied | Error::Ticket(_)));
            assert!(refused, "{} by {}: {told:?}", act.operation(), caller.credential.word());
        }
    }
    assert_eq!(super::stage::rows(world).await, before);
}

#[tokio::test]
async fn a_right_comes_by_name_or_by_group_and_goes_with_its_policy() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let create = CreatePrincipal { name: "loner".into(), groups: vec![] };
    world.engine.execute(&stage.admin, &create).await.unwrap();
    let issue = IssueToken { principal: "loner".into(), expires_in_days: 1 };
    let token = world.engine.execute(&stage.admin, &issue).await.unwrap().token;
    let loner = world.caller(Presented::Token(&token)).await.unwrap();
    let member = world.user("member").await;

    let group = permit("principal in Keyhaven::Group::\"users\"", Operation::Encrypt);
    world.policy("probe", &group).await.unwrap();
    assert!(world.encrypt(&member, "photos").await.is_ok());
    assert_eq!(world.encrypt(&loner, "photos").await, Err(Error::Denied), "not in the group");

    let direct = permit("principal == Keyhaven::Principal::\"loner\"", Operation::Encrypt);
    world.policy("probe", &direct).await.unwrap();
    assert!(world.encrypt(&loner, "photos").await.is_ok());
    assert_eq!(world.encrypt(&member, "photos").await, Err(Error::Denied), "replaced");

    let remove = RemovePolicy { name: "probe".into() };
    world.engine.execute(&stage.admin, &remove).await.unwrap();
    assert_eq!(world.encrypt(&loner, "photos").await, Err(Error::Denied));
    let again = world.engine.execute(&stage.admin, &remove).await.err();
    assert_eq!(again, Some(Error::NotFound("policy")));
}

/// A principal cannot slip into a group by its name, nor a group into a principal.
#[tokio::test]
async fn a_principal_named_like_a_group_is_not_its_member() {
    let stage = Stage::new().await;
    let user = stage.world.user("administrators").await;
    assert_eq!(allowed(&stage.world, &user, &stage.by_token()).await, []);
}

#[tokio::test]
async fn a_forbid_wins_over_every_permit_until_it_is_removed() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let forbids = [
        "forbid(principal, action == Keyhaven::Action::\"Encrypt\", resource);".to_owned(),
        "forbid(principal in Keyhaven::Group::\"administrators\", action, resource in Keyhaven::Keyring::\"default\")
           when { context.via == \"token\" };".to_owned(),
        format!("forbid(principal, action, resource == Keyhaven::Key::\"{}\");", stage.photos.id),
    ];
    for text in forbids {
        assert!(world.encrypt(&stage.admin, "photos").await.is_ok());
        world.policy("stop", &text).await.unwrap();
        assert_eq!(world.encrypt(&stage.admin, "photos").await, Err(Error::Denied), "{text}");
        let remove = RemovePolicy { name: "stop".into() };
        world.engine.execute(&stage.admin, &remove).await.unwrap();
    }
}

#[tokio::test]
async fn a_right_on_one_keyring_or_key_is_none_on_another() {
    let stage = Stage::new().await;
    let world = &stage.world;
    world.key("music").await;
    let user = world.user("reader").await;
    let right = permit("principal == Keyhaven::Principal::\"reader\"", Operation::Encrypt);
    let on_key = format!("resource == Keyhaven::Key::\"{}\")", stage.photos.id);
    let text = right.replace("resource)", &on_key);
    world.policy("probe", &text).await.unwrap();
    assert!(world.encrypt(&user, "photos").await.is_ok());
    assert_eq!(world.encrypt(&user, "music").await, Err(Error::Denied));
    let other = right.replace("resource)", "resource in Keyhaven::Keyring::\"other\")");
    world.policy("probe", &other).await.unwrap();
    assert_eq!(world.encrypt(&user, "photos").await, Err(Error::Denied));
}

#[tokio::test]
async fn a_disabled_principal_may_do_nothing_until_it_is_enabled() {
    let stage = Stage::new().await;
    let world = &stage.world;
    world.policy("writers", &permit(WRITER, Operation::DescribeKey)).await.unwrap();
    let issue = IssueToken { principal: "writer".into(), expires_in_days: 1 };
    let token = world.engine.execute(&stage.admin, &issue).await.unwrap().token;
    let writer = world.caller(Presented::Token(&token)).await.unwrap();
    let describe = DescribeKey { key: alias_of("photos") };
    assert!(world.engine.execute(&writer, &describe).await.is_ok());
    let ticket = world.ticket("writer", |_| {}).await;

    let disable = DisablePrincipal { name: "writer".into() };
    world.engine.execute(&stage.admin, &disable).await.unwrap();
    assert!(world.engine.execute(&writer, &describe).await.is_err(), "authenticated before");
    assert_eq!(world.caller(Presented::Token(&token)).await.err(), Some(Error::Denied));
    let delivered = world.deliver(&stage.device, &ticket, |_| {}).await;
    assert_eq!(delivered.err(), Some(Error::Denied), "by a ticket");
    let enrolment = world.enrolment("writer", None).await;
    let enrolled = world.enrol(&super::world::Device::new(7), &enrolment).await;
    assert_eq!(enrolled, Err(Error::Denied), "nor enrol");

    let enable = EnablePrincipal { name: "writer".into() };
    world.engine.execute(&stage.admin, &enable).await.unwrap();
    let writer = world.caller(Presented::Token(&token)).await.unwrap();
    assert!(world.engine.execute(&writer, &describe).await.is_ok());
    assert!(world.deliver(&stage.device, &ticket, |_| {}).await.is_ok());
}

#[tokio::test]
async fn nobody_locks_itself_out_by_disabling_itself() {
    let stage = Stage::new().await;
    let disable = DisablePrincipal { name: "admin".into() };
    let told = stage.world.engine.execute(&stage.admin, &disable).await;
    assert!(matches!(told, Err(Error::InvalidRequest(_))));
    let missing = DisablePrincipal { name: "nobody".into() };
    let told = stage.world.engine.execute(&stage.admin, &missing).await.err();
    assert_eq!(told, Some(Error::NotFound("principal")));
}
