//! What an operation is, to the engine: a target, facts for the policies, and an act that needs a
//! [`Scene`], which only a decision opens.

use std::{fmt, future::Future};

use keyhaven_shared::{lease_event::LeaseEnd, operation::Operation};

use crate::{
    audit::Event,
    caller::Caller,
    error::Error,
    name::KeyName,
    permit::Permit,
    port::{
        hsm::HsmKey,
        store::{Epoch, Place, Write},
    },
    resource::{Facts, Resource},
    rules::{Question, Rules},
    services::Services,
};

/// What an operation names as its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetName {
    /// The installation.
    Deployment,
    /// A keyring, by name.
    Keyring(String),
    /// A key.
    Key(KeyName),
}

/// As the request named it, for the record.
impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment => f.write_str("deployment"),
            Self::Keyring(name) => write!(f, "keyring/{name}"),
            Self::Key(KeyName::Id(id)) => write!(f, "key/{id}"),
            Self::Key(KeyName::Alias { keyring, alias }) => write!(f, "key/{keyring}:{alias}"),
        }
    }
}

/// One operation with its arguments.
pub trait Act: Send + Sync {
    /// What is released once the operation is recorded.
    type Answer: Send;

    /// Which operation this is.
    const OPERATION: Operation;

    /// Whether only one operation of this sort may be under way: those that add or re-wrap key versions.
    const ONE_AT_A_TIME: bool = false;

    /// What it acts on.
    fn target(&self) -> TargetName {
        TargetName::Deployment
    }

    /// What policies can see of it.
    fn facts(&self) -> Facts<'_> {
        Facts::default()
    }

    /// Does it, in memory: whatever is to last stands in the [`Effect`], and happens in the commit gate.
    fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> impl Future<Output = Result<Effect<Self::Answer>, Error>> + Send;
}

/// What a decision opens to an operation.
pub struct Scene<'a> {
    /// The proof of the decision.
    pub permit: Permit,
    /// Who asks.
    pub caller: &'a Caller,
    /// What it acts on.
    pub resource: Resource,
    rules: &'a Rules,
}

impl<'a> Scene<'a> {
    pub(crate) const fn new(
        permit: Permit,
        caller: &'a Caller,
        resource: Resource,
        rules: &'a Rules,
    ) -> Self {
        Self { permit, caller, resource, rules }
    }

    /// Whether the caller may also do `operation` on `resource`: so that a list shows only what its
    /// reader may see one by one.
    #[must_use]
    pub fn may_also(&self, operation: Operation, resource: &Resource) -> bool {
        let facts = Facts::default();
        let question = Question { caller: self.caller, operation, resource, facts: &facts };
        self.rules.decide(&question).is_ok()
    }
}

/// What an operation wants to happen, and answer.
pub struct Effect<A> {
    /// Released once recorded.
    pub answer: A,
    /// Further rows that it rested on.
    pub reads: Vec<(Place, Epoch)>,
    /// Changes.
    pub writes: Vec<Write>,
    /// Leases that end with it.
    pub ends: Vec<LeaseEnd>,
    /// What the record says besides who, what and which.
    pub detail: Event,
    /// A root key that was made for it, to be destroyed again if it is not committed.
    pub made_root: Option<HsmKey>,
    /// A root key to destroy in the HSM once everything else is durable.
    pub destroy_root: Option<HsmKey>,
}

impl<A> Effect<A> {
    /// An answer that changes nothing.
    #[must_use]
    pub fn answer(answer: A) -> Self {
        Self {
            answer,
            reads: vec![],
            writes: vec![],
            ends: vec![],
            detail: Event::default(),
            made_root: None,
            destroy_root: None,
        }
    }

    /// With changes.
    #[must_use]
    pub fn writing(self, writes: Vec<Write>) -> Self {
        Self { writes, ..self }
    }

    /// With more for the record.
    #[must_use]
    pub fn noting(self, detail: Event) -> Self {
        Self { detail, ..self }
    }

    /// With leases that end.
    #[must_use]
    pub fn ending(self, ends: Vec<LeaseEnd>) -> Self {
        Self { ends, ..self }
    }
}
