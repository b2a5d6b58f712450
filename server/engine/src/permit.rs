//! Proof that a decision was made, lent to an operation while it acts. What matters in the HSM and the
//! keystore asks for one; only [`crate::policy::authorize`] makes one.
//!
//! A permit is evidence for the compiler and the reader, not a secret or a signature: it keeps code
//! from forgetting the decision, it does not keep code of this crate from making one. Start and
//! set-up do, where there are no policies yet, or nobody to ask; each place is seen by searching
//! for `Permit::new`.

use keyhaven_shared::{ids::KeyId, operation::Operation};

/// A permit for one operation on one resource.
///
/// Neither `Clone` nor `Copy`: it lives in the scene that it was made for.
#[derive(Debug)]
pub struct Permit {
    // Readable from everywhere, writable from nowhere: what was decided cannot be widened
    // afterwards.
    operation: Operation,
    key: Option<KeyId>,
    now: u64,
    policy_epoch: u64,
}

impl Permit {
    /// `now` in seconds since the Unix epoch; `policy_epoch` is 0 where no policy was asked.
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
    /// The keystore lends the material of this key and of no other.
    #[must_use]
    pub const fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// The time of the decision, in seconds since the Unix epoch.
    /// Acts take their time from here, so that one request has one present.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The epoch of the policies that decided.
    /// It travels to devices in each lease, and is what a change of policies is written against.
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
