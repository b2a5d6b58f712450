//! The heart: resolve → authorize → act → record.
//!
//! The order is the security. A target is resolved before anything is decided, so that policies see
//! the key and not a name for it; nothing of the target is told before the decision; no act begins
//! without a grant; no answer and no refusal leaves before its record. What fails before there is
//! anything to record is said at [`Engine::execute`].

use std::sync::Arc;

use keyhaven_shared::{context::EncryptionContext, operation::Operation};

use crate::{
    act::{Act, TargetName},
    audit::{self, Event},
    caller::Caller,
    error::Error,
    memory::Memory,
    name::KeyName,
    once::{Once, Repeatable, Repetition, Turn},
    policy::{self, Outcome},
    port::store::{Kind, Place, Proposal, Verdict},
    record::{
        AliasRecord, Key, KeyRecord, KeyringRecord, PolicyRecord, alias_place, policies_place,
    },
    resource::{Facts, Resource},
    rules::{Question, Rules},
    services::Services,
};

/// A key management system over its ports.
///
/// Shared by all requests, in an [`Arc`]; it has no state that a restart would miss. What it keeps
/// in memory may be stale: the commit gate notices.
pub struct Engine {
    services: Services,
    /// The policies as last compiled; `None` when the next request is to read them anew.
    rules: Memory<Option<Arc<Rules>>>,
    /// Held by acts that say [`Act::ONE_AT_A_TIME`].
    // INVARIANT: one process serves a store. A new root takes the first free number of its keyring; of
    // two destructions at once, one would find the other's number taken.
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// How one attempt at an operation ended.
enum Attempt<A> {
    /// Done and recorded.
    Done(A),
    /// Something had changed under it: nothing happened.
    Stale,
    /// To be recorded as refused, and told; whether it was known to have been done already.
    Refused(Box<Event>, Error, bool),
}

/// How often an operation starts anew because something it rested on changed under it.
/// A bound, so that a caller who races a busy key is answered; each attempt decides from the
/// beginning.
const ATTEMPTS: usize = 16;

impl Engine {
    /// An engine over started services; see [`crate::start`].
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self { services, rules: Memory::default(), one_at_a_time: tokio::sync::Mutex::default() }
    }

    /// What operations work with.
    ///
    /// Public for what the protocols need besides operations: the clock, the lease board, the
    /// issuer's signer. None of these opens a key without a permit.
    #[must_use]
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// Does one operation for a caller: the answer is released only once the operation is durably
    /// recorded, and while everything the decision rested on still holds. A refusal is recorded too.
    ///
    /// # Errors
    /// Why it was refused, or failed; nothing has happened then, but for [`Error::OutcomeUnknown`]:
    /// the operation may stand in the log as allowed *and*, under the same request id, as refused
    /// with that outcome. [`Error::Conflict`] after 16 attempts, or when the caller's own rows
    /// changed meanwhile.
    ///
    /// Not recorded: that [`Error::Conflict`], the store failing, and stored policies that do not
    /// compile.
    ///
    /// A refusal rests on rows that were valid at some time while it was decided, not necessarily
    /// at its end: what is permitted is checked again by the gate, what is refused is not.
    ///
    /// Run the future to its end: dropping it may leave a commit whose answer nobody gets.
    pub async fn execute<A: Act>(&self, caller: &Caller, act: &A) -> Result<A::Answer, Error> {
        self.run(caller, act, None).await
    }

    /// As [`Self::execute`], but for a request that is to have one effect: sent again, it is told the
    /// same answer, if the caller may still ask for it. See [`crate::once`].
    ///
    /// # Errors
    /// As [`Self::execute`], and [`Error::KeyReused`], [`Error::AlreadyDone`], [`Error::QuotaExceeded`].
    /// After [`Error::OutcomeUnknown`] the same request tells what became of it.
    pub async fn execute_once<A: Repeatable>(
        &self,
        caller: &Caller,
        (act, once): (&A, &Once),
    ) -> Result<A::Answer, Error> {
        self.run(caller, act, Some(&Repetition::of(once))).await
    }

    async fn run<A: Act>(
        &self,
        caller: &Caller,
        act: &A,
        repetition: Option<&Repetition<'_, A>>,
    ) -> Result<A::Answer, Error> {
        self.services.alarms.check_store()?;
        // Taken before anything is read, so that the one that waited sees what the one before it
        // wrote.
        let _alone = if A::ONE_AT_A_TIME { Some(self.one_at_a_time.lock().await) } else { None };
        for _ in 0..ATTEMPTS {
            let (event, error, again) = match self.attempt(caller, act, repetition).await? {
                Attempt::Done(answer) => return Ok(answer),
                Attempt::Stale => continue,
                Attempt::Refused(event, error, again) => (event, error, again),
            };
            // An equal request may have been quicker, and this one refused for that very reason; or
            // this one was done, and its answer lost on the way back from the store.
            if let Some(repetition) = repetition
                && !again
                && let Ok(Turn::Again(_)) = repetition.turn(&self.services, caller).await
            {
                continue;
            }
            return self.refuse(caller, &event, error).await;
        }
        // Not recorded: nothing was decided in the end, and every attempt was undone by a change
        // that is.
        Err(Error::Conflict("it changed again and again while this was being done"))
    }

    /// Decides from the beginning, and does it.
    ///
    /// # Errors
    /// What is told without a record: as [`Self::rules`], and a change of the caller's own rows.
    async fn attempt<A: Act>(
        &self,
        caller: &Caller,
        act: &A,
        repetition: Option<&Repetition<'_, A>>,
    ) -> Result<Attempt<A::Answer>, Error> {
        // Each time: a stale name, rule or key must be looked up anew, never only the stale part.
        let target = act.target();
        let mut event = Event::named(A::OPERATION, target.to_string());
        // Only the hash is recorded: contexts may hold personal data.
        event.context_hash = act.facts().encryption.map(EncryptionContext::hash);
        let rules = self.rules().await?;
        let resource = match self.resolve(&target).await {
            Ok(resource) => resource,
            Err(error) => {
                // Recorded as it is told. The record names the target as the request did.
                let told = self.told(&rules, caller, error);
                return Ok(Attempt::Refused(Box::new(event), told, false));
            }
        };
        event.policy_epoch = Some(rules.epoch().0);
        if let Ok((_, key)) = resource.key() {
            event.key = Some(key.record.record.id.clone());
            event.key_epoch = Some(key.epoch.0);
        }
        let turn = match repetition {
            None => None,
            Some(repetition) => match repetition.turn(&self.services, caller).await {
                Ok(turn) => Some((repetition, turn)),
                Err(error) => return Ok(Attempt::Refused(Box::new(event), error, true)),
            },
        };
        // One reading of the clock a decision: permit, lease and due dates cannot disagree
        // about it.
        let decided = (rules.as_ref(), self.services.now());
        let again = matches!(turn, Some((_, Turn::Again(_))));
        let grant = match policy::authorize(decided, caller, resource, (act, again)) {
            Ok(grant) => grant,
            Err(error) => return Ok(Attempt::Refused(Box::new(event), error, again)),
        };
        match grant.perform(&self.services, (act, turn), event).await {
            Ok(Outcome::Released(answer, written)) => {
                self.forget_rules(&written);
                Ok(Attempt::Done(answer))
            }
            Ok(Outcome::Stale(place)) => {
                self.forget_stale(&place, caller)?;
                Ok(Attempt::Stale)
            }
            Err((event, error)) => {
                if error == Error::OutcomeUnknown {
                    // A change of policies may be in force although nobody was told so.
                    self.forget_rules(&[policies_place()]);
                }
                Ok(Attempt::Refused(Box::new(event), error, again))
            }
        }
    }

    /// Records a refusal, then tells it.
    ///
    /// The protocols call it, too, for a credential that did not hold. The entry rests on no row,
    /// so the gate cannot find it stale. It spends nothing: a ticket that was refused keeps its
    /// uses.
    ///
    /// # Errors
    /// Always: `error`, or that it could not be recorded. In the second case the caller is told the
    /// store's failure and not the refusal: what is not on the record is not answered.
    pub async fn refuse<T>(
        &self,
        caller: &Caller,
        event: &Event,
        error: Error,
    ) -> Result<T, Error> {
        let now_ms = self.services.ports.environment.now_ms();
        let entry = audit::entry((&self.services.audit_key, caller), event, Err(&error), now_ms)?;
        // Through the gate like everything else, so that the log has one order.
        let seal = Arc::clone(&self.services.seal);
        let proposal = Proposal { reads: vec![], writes: vec![], spends: vec![], seal, entry };
        match self.services.commit(proposal).await? {
            Verdict::RolledBack => Err(self.services.alarms.raise_rolled_back()),
            // It rests on nothing and spends nothing.
            Verdict::Committed { .. }
            | Verdict::Stale(_)
            | Verdict::Spent(_)
            | Verdict::Tampered(..) => Err(error),
        }
    }

    /// The policies, compiled when they are first needed and after each change.
    ///
    /// Two requests may compile at once after a change; the later result stays, and either is right
    /// for its epoch. What was read before a change is not kept after it.
    ///
    /// # Errors
    /// As the store. [`Error::Internal`] for policies in the store that do not compile: they deny everything.
    pub async fn rules(&self) -> Result<Arc<Rules>, Error> {
        if let Some(rules) = self.rules.look(Clone::clone) {
            return Ok(rules);
        }
        let since = self.rules.begin();
        // The epoch is read first: a change during the listing makes the gate refuse this epoch.
        // In the other order, rules that miss that change would be taken for its result.
        let epoch = self.services.directory.epoch(policies_place()).await?;
        let rows = self.services.directory.list::<PolicyRecord>(("", ""), usize::MAX).await?;
        let named = rows.into_iter().map(|row| (row.place.id, row.record.text.clone()));
        // "*" sorts before every policy's name, and is no policy itself: the listing begins after
        // it.
        let compiled = Rules::compile(epoch, &named.collect::<Vec<_>>());
        let rules = Arc::new(compiled.map_err(|error| {
            // What is wrong with them is no word for a caller, who may not read policies.
            tracing::error!(%error, "the stored policies do not compile: everything is denied");
            Error::Internal
        })?);
        self.rules.keep(since, |known| *known = Some(Arc::clone(&rules)));
        Ok(rules)
    }

    /// The rows of what a request names.
    ///
    /// Reads no key material, and tells nobody anything: what it found, or did not, is only told
    /// after [`Self::told`] or a decision.
    async fn resolve(&self, target: &TargetName) -> Result<Resource, Error> {
        match target {
            TargetName::Deployment => Ok(Resource::Deployment),
            TargetName::Keyring(name) => {
                let keyring = self.services.directory.load(Place::new(Kind::Keyring, name)).await?;
                keyring.map(Resource::Keyring).ok_or(Error::NotFound("keyring"))
            }
            TargetName::Key(KeyName::Id(id)) => self.resolve_key(&id.to_string()).await,
            TargetName::Key(KeyName::Alias { keyring, alias }) => {
                let place = alias_place(keyring, alias);
                let row = self.services.directory.load::<AliasRecord>(place).await?;
                let row = row.ok_or(Error::NotFound("key"))?;
                self.resolve_key(&row.record.key).await
            }
        }
    }

    /// A key and the keyring it is in. A key without its keyring is a fault of ours.
    async fn resolve_key(&self, id: &str) -> Result<Resource, Error> {
        let directory = &self.services.directory;
        let place = Place::new(Kind::Key, id);
        let key = directory.load_as::<KeyRecord, Key>(place, Key::parse).await?;
        let key = key.ok_or(Error::NotFound("key"))?;
        let place = Place::new(Kind::Keyring, &key.record.record.keyring);
        let keyring = directory.load::<KeyringRecord>(place).await?.ok_or(Error::Internal)?;
        Ok(Resource::Key(keyring, key))
    }

    /// Only who may list keyrings is told that something does not exist; to others it looks forbidden.
    /// So names cannot be tried out one after the other. The answers' times are not made equal.
    fn told(&self, rules: &Rules, caller: &Caller, error: Error) -> Error {
        if !matches!(error, Error::NotFound(_)) {
            return error;
        }
        let (resource, facts) = (Resource::Deployment, Facts::default());
        let operation = Operation::ListKeyrings;
        let question = Question { caller, operation, resource: &resource, facts: &facts };
        if rules.decide(&question).is_ok() { error } else { Error::Denied }
    }

    /// A stale row is read anew, but for the caller's own: then the caller must prove itself again.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a row of the caller's. The credential was checked against the row as
    /// it was; trying again with the new row and the old check would let a revoked token pass.
    fn forget_stale(&self, place: &Place, caller: &Caller) -> Result<(), Error> {
        self.services.forget(place);
        self.forget_rules(std::slice::from_ref(place));
        if caller.reads.iter().any(|(read, _)| read == place) {
            return Err(Error::Conflict("your principal, token or device changed meanwhile"));
        }
        Ok(())
    }

    /// Drops the compiled policies, if one of these rows is a policy or their counter.
    fn forget_rules(&self, written: &[Place]) {
        if written.iter().any(|place| place.kind == Kind::Policy) {
            self.rules.forget(|known| *known = None);
        }
    }
}
