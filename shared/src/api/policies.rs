//! Policies.

use super::documents;

documents! {
    /// Adds or replaces the policy in the path.
    PutPolicy {
        /// Cedar statements.
        text: String,
    }

    /// A policy.
    Policy {
        /// Its name.
        name: String,
        /// Cedar statements.
        text: String,
        /// When it was last put.
        updated_at: u64,
    }

    /// All policies.
    PolicyList {
        /// In order of name.
        policies: Vec<Policy>,
        /// The Cedar schema that policies are checked against.
        schema: String,
    }
}
