//! Proof that a decision was made, lent to an operation while it acts. What matters in the HSM and the
//! keystore asks for one; only [`crate::policy::authorize`] makes one.

use keyhaven_shared::{ids::KeyId, operation::Operation};

/// A permit for one operation on one resource.
#[derive(Debug)]
pub struct Permit {
    operation: Operation,
    key: Option<KeyId>,
    now: u64,
    policy_epoch: u64,
}

impl Permit {
    pub(crate) const fn new(
        operation: Operation,
        key: Option<KeyId>,
        (now, policy_epoch): (u64, u64),
    ) -> Self {
        Self { operation, key, now, policy_epoch }
    }

    /// The operation that was permitted.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The key it was permitted on, where it acts on a key.
    #[must_use]
    pub const fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// The time of the decision, in seconds since the Unix epoch.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The epoch of the policies that decided.
    #[must_use]
    pub const fn policy_epoch(&self) -> u64 {
        self.policy_epoch
    }

    /// A permit for the suites in `conformance`, which test ports without an engine.
    #[cfg(any(test, feature = "conformance"))]
    #[must_use]
    pub const fn for_conformance() -> Self {
        Self::new(Operation::CreateKeyring, None, (0, 0))
    }
}
