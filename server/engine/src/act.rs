//! What an operation is, to the engine: a target, facts for the policies, and an act that needs a
//! [`Scene`], which only a decision opens.
//!
//! An act proposes and does not do: it computes in memory and returns an [`Effect`]. What is
//! written, spent, announced or destroyed in the HSM happens in [`crate::engine`], in one order for
//! all operations. The one exception is a root key, which can only be made in the HSM;
//! [`Effect::made_root`] says so, and it is destroyed again if the gate says no.

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
/// Not yet looked up: it may not exist, and the caller may have no right to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetName {
    /// The installation.
    Deployment,
    /// A keyring, by its exact name; names are compared byte by byte.
    /// A keyring, by name.
    Keyring(String),
    /// A key.
    Key(KeyName),
}

/// As the request named it, for the record.
///
/// One of `deployment`, `keyring/NAME`, `key/UUID` and `key/KEYRING:ALIAS`. The form is a part of
/// the audit log's format: filters of the log rely on it.
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
///
/// An implementation is the whole of an operation: what it is called, what it acts on, what
/// policies may ask about it, and what it does. It may run several times for one request, when the
/// gate finds its reads stale, so nothing that lasts may happen outside its [`Effect`].
pub trait Act: Send + Sync {
    /// What is released once the operation is recorded.
    /// It may hold secrets: it is dropped, never logged, when the gate says no.
    type Answer: Send;

    /// Which operation this is.
    /// It decides the policy action, the states that permit it, and the name in the log.
    const OPERATION: Operation;

    /// Whether only one operation of this sort may be under way: those that add or re-wrap key
    /// versions, or make roots. They rest on a keyring's counters, and on what roots there are.
    const ONE_AT_A_TIME: bool = false;

    /// What it acts on.
    /// Its kind must be the one that the vocabulary gives the operation, or the schema denies it.
    fn target(&self) -> TargetName {
        TargetName::Deployment
    }

    /// What policies can see of it.
    ///
    /// They are the request's own claims. One about the encryption context is kept honest by the
    /// ciphertext, which opens under no other.
    fn facts(&self) -> Facts<'_> {
        Facts::default()
    }

    /// Does it, in memory: whatever is to last stands in the [`Effect`], and happens in the commit gate.
    ///
    /// # Errors
    /// What the caller is to be told. The refusal is recorded; nothing that was made so far lasts.
    fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> impl Future<Output = Result<Effect<Self::Answer>, Error>> + Send;
}

/// What a decision opens to an operation.
/// Made by `policy::authorize` alone, lent for one run of the act, and gone before the answer
/// leaves.
pub struct Scene<'a> {
    /// The proof of the decision.
    pub permit: Permit,
    /// Who asks.
    /// For what depends on the caller besides the right: its device, its own name.
    pub caller: &'a Caller,
    /// As it was when the decision was made; the gate checks that it still is.
    /// What it acts on.
    pub resource: Resource,
    // Not public: an act may ask what its caller could do besides, and cannot decide anything.
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
    ///
    /// Asks the policies, without the facts of a request and without a record. It grants nothing:
    /// who is shown a key here still needs a decision to touch it.
    #[must_use]
    pub fn may_also(&self, operation: Operation, resource: &Resource) -> bool {
        let facts = Facts::default();
        let question = Question { caller: self.caller, operation, resource, facts: &facts };
        self.rules.decide(&question).is_ok()
    }
}

/// What an operation wants to happen, and answer.
///
/// All of it happens, or nothing does; but for the answer, which is lost when it is not known
/// whether the commit was applied.
pub struct Effect<A> {
    /// Released once recorded.
    pub answer: A,
    // INVARIANT: a row whose change would make the effect wrong, that the act read by itself and
    // does not write, stands here. The gate checks no other.
    /// Further rows that it rested on.
    pub reads: Vec<(Place, Epoch)>,
    /// Changes.
    pub writes: Vec<Write>,
    /// Leases that end with it. Announced after the commit, and also when it is not known: a hint
    /// too many costs a request, one too few is made good by the lease's own end.
    pub ends: Vec<LeaseEnd>,
    /// What the record says besides who, what and which.
    pub detail: Event,
    /// A root key that was made for it, to be destroyed again if it is not committed.
    pub made_root: Option<HsmKey>,
    /// A root key to destroy in the HSM once everything else is durable.
    /// Never before: a commit that fails must find the root that its rows are still sealed under.
    pub destroy_root: Option<HsmKey>,
}

impl<A> Effect<A> {
    /// An answer that changes nothing.
    /// It is recorded all the same: reading is an operation.
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
    /// Replaces what was there; so do the two below.
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
