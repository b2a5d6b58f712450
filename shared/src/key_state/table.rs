//! The whole table, written out once more by hand: a change of one cell has to be made in two places.

use proptest::prelude::*;

use super::*;

const E: KeyState = KeyState::Enabled;
const D: KeyState = KeyState::Disabled;
const P: KeyState = KeyState::PendingDestruction { at: 9 };
const X: KeyState = KeyState::Destroyed;

/// What each state permits: enabled, disabled, pending destruction, destroyed.
const PERMITS: [(&str, [bool; 4]); 42] = {
    const ALWAYS: [bool; 4] = [true; 4];
    const ENABLED: [bool; 4] = [true, false, false, false];
    const USABLE: [bool; 4] = [true, true, false, false];
    const LIVING: [bool; 4] = [true, true, true, false];
    const PENDING: [bool; 4] = [false, false, true, false];
    [
        ("Initialise", ALWAYS),
        ("CreateKeyring", ALWAYS),
        ("ListKeyrings", ALWAYS),
        ("DescribeKeyring", ALWAYS),
        ("CreateKey", ALWAYS),
        ("ListKeys", ALWAYS),
        ("DescribeKey", ALWAYS),
        ("SetAlias", LIVING),
        ("RemoveAlias", ALWAYS),
        ("TagKey", LIVING),
        ("RotateKey", ENABLED),
        ("EnableKey", USABLE),
        ("DisableKey", USABLE),
        ("ScheduleKeyDestruction", LIVING),
        ("CancelKeyDestruction", PENDING),
        ("DestroyKey", PENDING),
        ("Encrypt", ENABLED),
        ("Decrypt", ENABLED),
        ("ReEncryptFrom", ENABLED),
        ("ReEncryptTo", ENABLED),
        ("GenerateDataKey", ENABLED),
        ("DeliverDataKey", ENABLED),
        ("UnsealDataKey", ENABLED),
        ("MintTicket", ENABLED),
        ("MintEnrolmentToken", ALWAYS),
        ("EnrolDevice", ALWAYS),
        ("ListDevices", ALWAYS),
        ("RevokeDevice", ALWAYS),
        ("CreatePrincipal", ALWAYS),
        ("ListPrincipals", ALWAYS),
        ("DisablePrincipal", ALWAYS),
        ("EnablePrincipal", ALWAYS),
        ("IssueToken", ALWAYS),
        ("RevokeToken", ALWAYS),
        ("BindIdentity", ALWAYS),
        ("UnbindIdentity", ALWAYS),
        ("ListIdentities", ALWAYS),
        ("PutPolicy", ALWAYS),
        ("RemovePolicy", ALWAYS),
        ("ListPolicies", ALWAYS),
        ("ReadAudit", ALWAYS),
        ("WatchLeases", ALWAYS),
    ]
};

#[test]
fn every_state_permits_exactly_these_operations() {
    let names: Vec<_> = Operation::ALL.iter().map(|operation| operation.name()).collect();
    assert_eq!(names, PERMITS.map(|(name, _)| name));
    for (name, expected) in PERMITS {
        let operation: Operation = name.parse().unwrap();
        assert_eq!([E, D, P, X].map(|state| state.permits(operation)), expected, "{name}");
    }
}

#[test]
fn every_event_leads_from_every_state_to_exactly_this_one() {
    let soon = KeyState::PendingDestruction { at: 5 };
    let events = [
        KeyEvent::Enable,
        KeyEvent::Disable,
        KeyEvent::Schedule { at: 5 },
        KeyEvent::Cancel,
        KeyEvent::Destroy,
    ];
    let table = [
        (E, [Some(E), Some(D), Some(soon), None, None]),
        (D, [Some(E), Some(D), Some(soon), None, None]),
        // Scheduling anew moves the day; cancelling leaves the key disabled.
        (P, [None, None, Some(soon), Some(D), Some(X)]),
        (X, [None; 5]),
    ];
    for (state, expected) in table {
        for (event, after) in events.into_iter().zip(expected) {
            let answer = state.apply(event);
            assert_eq!(answer, after.ok_or(IllegalTransition { state }), "{state} {event:?}");
        }
    }
}

#[test]
fn a_refusal_names_the_state_in_the_words_of_the_documents() {
    let words = [E, D, P, X].map(KeyState::word);
    assert_eq!(words, ["enabled", "disabled", "pending-destruction", "destroyed"]);
    let refusal = X.apply(KeyEvent::Enable).unwrap_err().to_string();
    assert_eq!(refusal, "a key that is destroyed cannot do that");
    assert_eq!(P.to_string(), P.word());
}

fn event() -> impl Strategy<Value = KeyEvent> {
    prop_oneof![
        Just(KeyEvent::Enable),
        Just(KeyEvent::Disable),
        any::<u64>().prop_map(|at| KeyEvent::Schedule { at }),
        Just(KeyEvent::Cancel),
        Just(KeyEvent::Destroy),
    ]
}

proptest! {
    #[test]
    fn no_history_destroys_without_waiting_or_comes_back(
        history in proptest::collection::vec(event(), 0..40),
    ) {
        let mut state = E;
        for event in history {
            let Ok(next) = state.apply(event) else { continue };
            prop_assert_ne!(state, X, "left by {:?}", event);
            if next == X {
                let pending = matches!(state, KeyState::PendingDestruction { .. });
                prop_assert!(pending, "destroyed at once from {}", state);
            }
            if let KeyEvent::Schedule { at } = event {
                prop_assert_eq!(next, KeyState::PendingDestruction { at });
            }
            state = next;
        }
    }

    #[test]
    fn asking_for_the_state_that_holds_changes_nothing(event in event(), at: u64) {
        for state in [E, D, KeyState::PendingDestruction { at }, X] {
            if let Ok(once) = state.apply(event) {
                let again = once.apply(event);
                // Cancel and Destroy act once; the others may be repeated.
                prop_assert!(again.is_err() || again == Ok(once));
            }
        }
    }
}
