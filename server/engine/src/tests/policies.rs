//! Policies: validated strictly, and what errs denies.

use proptest::prelude::*;

use super::world::World;
use crate::{error::Error, port::store::Epoch, rules::Rules};

fn compile(text: &str) -> Result<(), String> {
    let named = [("test".to_owned(), text.to_owned())];
    Rules::compile(Epoch::ABSENT, &named).map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn a_fault_is_refused_with_its_place() {
    let cases = [
        ("permit(principal, action, resource)\nwhen { nonsense };", "line 2"),
        (
            "permit(principal,\n  action == Keyhaven::Action::\"Encrpyt\", resource);",
            "line 2, column 13",
        ),
        ("permit(principal, action, resource) when { resource.colour == \"red\" };", "line 1"),
        ("permit(principal == ?principal, action, resource);", "template"),
    ];
    for (text, place) in cases {
        let error = compile(text).unwrap_err();
        assert!(error.contains(place), "{error}");
    }
}

#[test]
fn what_could_err_at_run_time_does_not_validate() {
    let risky = [
        "forbid(principal, action, resource) when { resource.getTag(\"a\") == \"b\" };",
        "forbid(principal, action, resource) when { context.missing };",
        "forbid(principal, action, resource) when { context.offline_grace_s == \"x\" };",
    ];
    for text in risky {
        assert!(compile(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_policy_that_overflows_denies_and_is_no_way_around_a_forbid() {
    let world = World::new().await;
    let (user, _) = (world.user("writer").await, world.key("photos").await);
    world.policy("all", "permit(principal, action, resource);").await.unwrap();
    assert!(world.encrypt(&user, "photos").await.is_ok());
    let overflows = "forbid(principal == Keyhaven::Principal::\"writer\", action == Keyhaven::Action::\"Encrypt\", resource)
        when { context.offline_grace_s + 9223372036854775807 + 9223372036854775807 > 0 };";
    world.policy("overflows", overflows).await.unwrap();
    assert_eq!(world.encrypt(&user, "photos").await.unwrap_err(), Error::Denied);
}

#[tokio::test]
async fn policies_can_see_the_encryption_context_and_tags() {
    let world = World::new().await;
    let (user, _) = (world.user("writer").await, world.key("photos").await);
    let when = |condition: &str| {
        format!("permit(principal == Keyhaven::Principal::\"writer\", action == Keyhaven::Action::\"Encrypt\", resource)
                 when {{ context.encryption.hasTag(\"about\") && context.encryption.getTag(\"about\") == \"{condition}\" }};")
    };
    world.policy("users", &when("other")).await.unwrap();
    assert_eq!(world.encrypt(&user, "photos").await.unwrap_err(), Error::Denied);
    world.policy("users", &when("test")).await.unwrap();
    assert!(world.encrypt(&user, "photos").await.is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(text in ".{0,200}") {
        let _ = compile(&text);
    }
}
