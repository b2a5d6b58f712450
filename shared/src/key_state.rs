//! The life of a key, as one table: which state follows which event, and what each state permits.
//!
//! Only the pairs written here exist. The engine applies an event to the state that it read, and
//! the commit gate refuses the outcome if the key has changed since.

use core::fmt;

use crate::operation::Operation;

/// Where a key is in its life (SP 800-57 part 1 §7, in the words of its users).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// In use.
    Enabled,
    /// Refuses every use until enabled again.
    Disabled,
    /// Refuses every use and will be destroyed.
    PendingDestruction {
        /// The earliest time of destruction, in seconds since the Unix epoch.
        at: u64,
    },
    /// Gone: the material no longer exists. The name, policy and history stay.
    Destroyed,
}

/// What can happen to a key's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyEvent {
    /// An operator lets the key be used.
    Enable,
    /// An operator stops every use.
    Disable,
    /// An operator sets the day of destruction.
    Schedule {
        /// Seconds since the Unix epoch.
        at: u64,
    },
    /// An operator takes the key back from destruction.
    Cancel,
    /// The material is destroyed.
    Destroy,
}

/// The event has no place in the key's present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key that is {state} cannot do that")]
pub struct IllegalTransition {
    /// The state the key was, and stays, in.
    pub state: KeyState,
}

impl KeyState {
    /// The state after `event`. Asking for the state that already holds is allowed and changes nothing.
    ///
    /// # Errors
    /// [`IllegalTransition`] where the pair has no meaning; the key stays as it was.
    pub const fn apply(self, event: KeyEvent) -> Result<Self, IllegalTransition> {
        use KeyEvent as E;
        let illegal = Err(IllegalTransition { state: self });
        // No wildcard: a new state or event does not compile until each pair was thought about.
        match (self, event) {
            (Self::Enabled | Self::Disabled, E::Enable) => Ok(Self::Enabled),
            (Self::Enabled | Self::Disabled, E::Disable) => Ok(Self::Disabled),
            (
                Self::Enabled | Self::Disabled | Self::PendingDestruction { .. },
                // Also while one is pending, since that is how its day is moved.
                E::Schedule { at },
            ) => Ok(Self::PendingDestruction { at }),
            (Self::Enabled | Self::Disabled, E::Cancel | E::Destroy) => illegal,
            // Not back to enabled: whoever takes a key back looks at it once more before it is
            // used.
            (Self::PendingDestruction { .. }, E::Cancel) => Ok(Self::Disabled),
            (Self::PendingDestruction { .. }, E::Destroy) => Ok(Self::Destroyed),
            // Enabling would be a way out of destruction that does not say so.
            (Self::PendingDestruction { .. }, E::Enable | E::Disable) => illegal,
            (
                Self::Destroyed,
                E::Enable | E::Disable | E::Schedule { .. } | E::Cancel | E::Destroy,
            ) => illegal,
        }
    }

    /// Whether a key in this state may take part in `operation` at all, whoever asks. Operations that
    /// do not act on a key are always permitted.
    #[must_use]
    pub const fn permits(self, operation: Operation) -> bool {
        // No wildcard here either: an operation that was forgotten would be permitted in every
        // state.
        match operation {
            // What uses the key.
            Operation::Encrypt
            | Operation::Decrypt
            | Operation::ReEncryptFrom
            | Operation::ReEncryptTo
            | Operation::GenerateDataKey
            | Operation::DeliverDataKey
            | Operation::UnsealDataKey
            | Operation::MintTicket => matches!(self, Self::Enabled),
            // What changes a living key.
            Operation::RotateKey => matches!(self, Self::Enabled),
            Operation::EnableKey | Operation::DisableKey => {
                matches!(self, Self::Enabled | Self::Disabled)
            }
            // The day of destruction can be moved.
            Operation::ScheduleKeyDestruction | Operation::SetAlias | Operation::TagKey => {
                !matches!(self, Self::Destroyed)
            }
            Operation::CancelKeyDestruction | Operation::DestroyKey => {
                matches!(self, Self::PendingDestruction { .. })
            }
            // What asks about it, or does not concern one key.
            // Names and history outlive the key: what was destroyed can still be asked about.
            Operation::DescribeKey
            | Operation::RemoveAlias
            | Operation::Initialise
            | Operation::CreateKeyring
            | Operation::ListKeyrings
            | Operation::DescribeKeyring
            | Operation::CreateKey
            | Operation::ListKeys
            | Operation::MintEnrolmentToken
            | Operation::EnrolDevice
            | Operation::ListDevices
            | Operation::RevokeDevice
            | Operation::CreatePrincipal
            | Operation::ListPrincipals
            | Operation::DisablePrincipal
            | Operation::EnablePrincipal
            | Operation::IssueToken
            | Operation::RevokeToken
            | Operation::BindIdentity
            | Operation::UnbindIdentity
            | Operation::ListIdentities
            | Operation::PutPolicy
            | Operation::RemovePolicy
            | Operation::ListPolicies
            | Operation::ReadAudit
            | Operation::WatchLeases => true,
        }
    }

    /// The state's name in documents, policies and the audit log.
    // Written into policies and the log. `at` is not a part of it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::PendingDestruction { .. } => "pending-destruction",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod document;
#[cfg(test)]
mod table;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Target;

    const STATES: [KeyState; 4] = [
        KeyState::Enabled,
        KeyState::Disabled,
        KeyState::PendingDestruction { at: 9 },
        KeyState::Destroyed,
    ];

    /// One line a state: the letters of the events it allows.
    #[test]
    fn transitions_are_exactly_these() {
        let events = [
            ('e', KeyEvent::Enable),
            ('d', KeyEvent::Disable),
            ('s', KeyEvent::Schedule { at: 9 }),
            ('c', KeyEvent::Cancel),
            ('x', KeyEvent::Destroy),
        ];
        let table: Vec<String> = STATES
            .iter()
            .map(|state| {
                let allowed = events.iter().filter(|(_, event)| state.apply(*event).is_ok());
                allowed.map(|(letter, _)| letter).collect()
            })
            .collect();
        assert_eq!(table, ["eds", "eds", "scx", ""]);
    }

    #[test]
    fn only_an_enabled_key_is_ever_used() {
        let uses = ["Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey"];
        let more = ["DeliverDataKey", "UnsealDataKey", "MintTicket", "RotateKey"];
        for operation in Operation::ALL.iter().filter(|operation| operation.target() == Target::Key)
        {
            let used = uses.contains(&operation.name()) || more.contains(&operation.name());
            let permitted = STATES.map(|state| state.permits(*operation));
            assert!(!used || permitted == [true, false, false, false], "{operation}");
        }
    }

    #[test]
    fn nothing_returns_from_destruction() {
        for event in [KeyEvent::Enable, KeyEvent::Cancel, KeyEvent::Destroy] {
            assert!(KeyState::Destroyed.apply(event).is_err());
        }
    }
}
