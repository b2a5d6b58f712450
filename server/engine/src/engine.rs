//! The heart: resolve → authorize → act → record.

use std::sync::{Arc, PoisonError, RwLock};

use keyhaven_shared::{context::EncryptionContext, operation::Operation};

use crate::{
    act::{Act, TargetName},
    audit::{self, Event},
    caller::Caller,
    error::Error,
    name::KeyName,
    policy::{self, Outcome},
    port::store::{Kind, Place, Proposal},
    record::{
        AliasRecord, Key, KeyRecord, KeyringRecord, PolicyRecord, alias_place, policies_place,
    },
    resource::{Facts, Resource},
    rules::{Question, Rules},
    services::Services,
};

/// A key management system over its ports.
pub struct Engine {
    services: Services,
    rules: RwLock<Option<Arc<Rules>>>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// How often an operation starts anew because something it rested on changed under it.
const ATTEMPTS: usize = 16;

impl Engine {
    /// An engine over started services; see [`crate::start`].
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self { services, rules: RwLock::default(), one_at_a_time: tokio::sync::Mutex::default() }
    }

    /// What operations work with.
    #[must_use]
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// Does one operation for a caller: the answer is released only once the operation is durably
    /// recorded, and while everything the decision rested on still holds. A refusal is recorded too.
    ///
    /// # Errors
    /// Why it was refused, or failed; nothing has happened then, but for [`Error::OutcomeUnknown`].
    pub async fn execute<A: Act>(&self, caller: &Caller, act: &A) -> Result<A::Answer, Error> {
        let _alone = if A::ONE_AT_A_TIME { Some(self.one_at_a_time.lock().await) } else { None };
        for _ in 0..ATTEMPTS {
            let target = act.target();
            let mut event = Event::named(A::OPERATION, target.to_string());
            event.context_hash = act.facts().encryption.map(EncryptionContext::hash);
            let rules = self.rules().await?;
            let resource = match self.resolve(&target).await {
                Ok(resource) => resource,
                Err(error) => {
                    let told = self.told(&rules, caller, error);
                    return self.refuse(caller, &event, told).await;
                }
            };
            event.policy_epoch = Some(rules.epoch().0);
            if let Ok((_, key)) = resource.key() {
                event.key = Some(key.record.record.id.clone());
                event.key_epoch = Some(key.epoch.0);
            }
            let decided = (rules.as_ref(), self.services.now());
            let grant = match policy::authorize(decided, caller, resource, act) {
                Ok(grant) => grant,
                Err(error) => return self.refuse(caller, &event, error).await,
            };
            match grant.perform(&self.services, act, event).await {
                Ok(Outcome::Released(answer, written)) => {
                    self.forget_rules(&written);
                    return Ok(answer);
                }
                Ok(Outcome::Stale(place)) => self.forget_stale(&place, caller)?,
                Err((event, error)) => {
                    if error == Error::OutcomeUnknown {
                        self.forget_rules(&[policies_place()]);
                    }
                    return self.refuse(caller, &event, error).await;
                }
            }
        }
        Err(Error::Conflict("it changed again and again while this was being done"))
    }

    /// Records a refusal, then tells it.
    ///
    /// # Errors
    /// Always: `error`, or that it could not be recorded.
    pub async fn refuse<T>(
        &self,
        caller: &Caller,
        event: &Event,
        error: Error,
    ) -> Result<T, Error> {
        let now_ms = self.services.ports.environment.now_ms();
        let entry = audit::entry((&self.services.audit_key, caller), event, Err(&error), now_ms)?;
        let proposal = Proposal { reads: vec![], writes: vec![], spends: vec![], entry };
        self.services.ports.store.commit(proposal).await?;
        Err(error)
    }

    /// The policies, compiled when they are first needed and after each change.
    ///
    /// # Errors
    /// As the store. Policies in the store that do not compile deny everything.
    pub async fn rules(&self) -> Result<Arc<Rules>, Error> {
        let known = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(rules) = known {
            return Ok(rules);
        }
        // The epoch is read first: a change during the listing makes the gate refuse this epoch.
        let epoch = self.services.directory.epoch(policies_place()).await?;
        let rows = self.services.directory.list::<PolicyRecord>(("", "*"), usize::MAX).await?;
        let named = rows.into_iter().map(|row| (row.place.id, row.record.text.clone()));
        let compiled = Rules::compile(epoch, &named.collect::<Vec<_>>());
        let rules = Arc::new(compiled.inspect_err(|error| {
            tracing::error!(%error, "the stored policies do not compile: everything is denied");
        })?);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&rules));
        Ok(rules)
    }

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
    fn forget_stale(&self, place: &Place, caller: &Caller) -> Result<(), Error> {
        self.services.forget(place);
        self.forget_rules(std::slice::from_ref(place));
        if caller.reads.iter().any(|(read, _)| read == place) {
            return Err(Error::Conflict("your principal, token or device changed meanwhile"));
        }
        Ok(())
    }

    fn forget_rules(&self, written: &[Place]) {
        if written.iter().any(|place| place.kind == Kind::Policy) {
            *self.rules.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}
