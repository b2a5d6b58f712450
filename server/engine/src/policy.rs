//! Decisions. [`authorize`] is the only way to a [`Grant`]; a grant's one method lends the operation a
//! scene with a permit, and releases the result only after the commit gate recorded it.
//!
//! Three hurdles stand one behind the other, and each can only refuse: what the credential allows
//! by itself, what the policies permit its principal, what the key's state permits anybody.

use std::sync::Arc;

use keyhaven_shared::{
    context::EncryptionContext, ids::TicketId, lease_event::LeaseEnd, operation::Operation,
};

use crate::{
    act::{Act, Effect, Scene},
    audit::{self, Event},
    caller::{Caller, Credential},
    error::{DeviceFault, EnrolmentFault, Error, TicketFault},
    once::{Repetition, Turn},
    permit::Permit,
    port::store::{Epoch, Place, Proposal, Spend, StoreError, Verdict},
    resource::{Facts, Resource},
    rules::{Question, Rules},
    services::Services,
    ticket::TicketClaims,
};

/// A decision to allow, which can be performed once. It may be dropped unused; then nothing
/// happened, and nothing is recorded.
pub(crate) struct Grant<'a> {
    /// What the act is lent: who, on what, and the permit.
    scene: Scene<'a>,
    reads: Vec<(Place, Epoch)>,
    /// Names of the policies that permitted it, for the record; empty where none was asked.
    policies: Arc<[String]>,
    /// Uses to count in the same commit: a ticket's, and a proof's that is dated in the future.
    spends: Vec<Spend>,
}

/// How performing ended, where the gate could decide.
pub(crate) enum Outcome<A> {
    /// Durable and recorded; these rows were changed.
    Released(A, Vec<Place>),
    /// This row had changed since it was read: nothing happened. The first that the gate found;
    /// others may have changed, too.
    Stale(Place),
}

/// Decides. In this order: the credential's own limits, the policies, the key's state. The order keeps
/// a caller without a right from learning a key's state.
///
/// # Errors
/// What the caller is to be told; the refusal is not recorded yet. [`Error::Ticket`],
/// [`Error::Denied`] or [`Error::Unauthenticated`] from the credential and the policies;
/// [`Error::WrongState`] last.
pub(crate) fn authorize<'a, A: Act>(
    (rules, now): (&'a Rules, u64),
    caller: &'a Caller,
    resource: Resource,
    (act, again): (&A, bool),
) -> Result<Grant<'a>, Error> {
    let (operation, facts) = (A::OPERATION, act.facts());
    let ticket = check_credential((caller, operation), &resource, &facts)?;
    let question = Question { caller, operation, resource: &resource, facts: &facts };
    let policies = decide(rules, &question)?;
    // Only now: a state is told to those alone whom the policies permit the operation.
    // Not of what was done already: it is only told again.
    if !again
        && let Ok((_, key)) = resource.key()
        && !key.record.state.permits(operation)
    {
        return Err(Error::WrongState(key.record.state));
    }
    // INVARIANT: every row that the decision rested on goes to the gate: the caller's, the
    // target's, and the one that counts changes of policies. A row left out here could change
    // unseen.
    let mut reads = caller.reads.clone();
    reads.extend(resource.reads());
    reads.push(rules.read());
    let permit = Permit::new(operation, resource.key_id(), (now, rules.epoch().0));
    let spends = ticket.into_iter().chain(caller.proof).collect();
    Ok(Grant { scene: Scene::new(permit, caller, resource, rules), reads, policies, spends })
}

/// The server itself asks no policy. Nor does what holding the credential is enough for: enrolling
/// with an enrolment token (whose minting policies decided), and following one's own leases. Every
/// credential is written out: a new one does not compile until somebody has thought about it.
fn decide(rules: &Rules, question: &Question<'_>) -> Result<Arc<[String]>, Error> {
    match (&question.caller.credential, question.operation) {
        (Credential::System, _)
        | (Credential::Enrolment(_), Operation::EnrolDevice)
        | (Credential::Device, Operation::WatchLeases) => Ok(Arc::from([])),
        (Credential::Enrolment(_) | Credential::Device, _) => Err(Error::Denied),
        (Credential::Unknown, _) => Err(Error::Unauthenticated),
        (Credential::Token(_) | Credential::Oidc(_) | Credential::Ticket(_), _) => {
            rules.decide(question)
        }
    }
}

/// Checks what a ticket or enrolment token allows by itself; both attenuate, neither widens.
/// Answers the use that is to be counted. It is counted in the gate, so a request that fails does
/// not spend it.
fn check_credential(
    (caller, operation): (&Caller, Operation),
    resource: &Resource,
    facts: &Facts<'_>,
) -> Result<Option<Spend>, Error> {
    match &caller.credential {
        Credential::System
        | Credential::Unknown
        | Credential::Token(_)
        | Credential::Oidc(_)
        | Credential::Device => Ok(None),
        Credential::Enrolment(claims) => {
            // One device a token, whatever the token might say.
            Ok(Some(Spend { ticket: claims.id, uses: 1, expires: claims.expires_at }))
        }
        Credential::Ticket(claims) => {
            if let Some(fault) = ticket_fault(claims, (caller, operation), resource, facts) {
                return Err(Error::Ticket(fault));
            }
            Ok(Some(Spend { ticket: claims.id, uses: claims.uses, expires: claims.expires_at }))
        }
    }
}

/// What of a ticket does not fit the request; `None` when all of it does.
///
/// The pairs of the ticket must stand in the encryption context, byte for byte, and with
/// `context_exact` no others may. Expiry was checked when the ticket was read, its uses are checked
/// in the gate.
fn ticket_fault(
    claims: &TicketClaims,
    (caller, operation): (&Caller, Operation),
    resource: &Resource,
    facts: &Facts<'_>,
) -> Option<TicketFault> {
    let context: Vec<_> = facts.encryption.into_iter().flat_map(EncryptionContext::iter).collect();
    let mut required = claims.context.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    // The ticket's pairs have distinct keys, as the context's have; so equal counts and every pair
    // found is equality.
    let exact = !claims.context_exact || context.len() == claims.context.len();
    let device = caller.device.as_ref().map(|device| device.id);
    if resource.key_id() != Some(claims.key) {
        Some(TicketFault::WrongKey)
    } else if !claims.operations.contains(&operation) {
        Some(TicketFault::WrongOperation)
    } else if !exact || !required.all(|pair| context.contains(&pair)) {
        Some(TicketFault::WrongContext)
    } else if claims.device.is_some() && claims.device != device {
        Some(TicketFault::WrongDevice)
    } else {
        None
    }
}

impl Grant<'_> {
    /// Lets the operation act, records it through the commit gate, and only then releases its
    /// answer. What the operation made is dropped, zeroizing, when the gate says no. An error comes
    /// with what is known for the record of the refusal.
    ///
    /// # Errors
    /// As the act; [`Error::Ticket`], [`Error::Enrolment`] or [`Error::Device`] for what was spent
    /// already; as the store. [`Error::OutcomeUnknown`] also when all is committed but an old root
    /// is still in the HSM: the key is destroyed for every reader of the store, but not yet for
    /// whoever has an older copy.
    pub(crate) async fn perform<A: Act>(
        self,
        services: &Services,
        (act, turn): (&A, Option<(&Repetition<'_, A>, Turn)>),
        mut event: Event,
    ) -> Result<Outcome<A::Answer>, (Event, Error)> {
        // Before the act: if that refuses, the record still says who permitted it.
        event.policies = self.policies;
        // What is only told again counts no use a second time.
        let spends = if is_again(turn.as_ref()) { vec![] } else { self.spends };
        let effect = match turn {
            None => act.act(services, &self.scene).await,
            Some((repetition, turn)) => repetition.act((act, services), &self.scene, turn).await,
        };
        let effect = match effect {
            Ok(effect) => effect,
            Err(error) => return Err((event, error)),
        };
        let Effect { answer, reads, writes, ends, detail, made_root, destroy_root } = effect;
        let (scene, event) = (self.scene, event.with(detail));
        // Kept apart: the proposal takes the writes, and what changed must be forgotten afterwards.
        let written: Vec<Place> = writes.iter().map(|write| write.place.clone()).collect();
        let now_ms = services.ports.environment.now_ms();
        let entry = match audit::entry((&services.audit_key, scene.caller), &event, Ok(()), now_ms)
        {
            Ok(entry) => entry,
            Err(error) => return Err((event, error)),
        };
        let seal = Arc::clone(&services.seal);
        let mut rested_on = self.reads;
        rested_on.extend(reads);
        let proposal = Proposal { reads: rested_on, writes, spends, seal, entry };
        let verdict = services.commit(proposal).await;
        // Not after an unknown outcome: if it was applied, rows are sealed under this root already.
        if let Some(root) = made_root
            && !matches!(verdict, Ok(Verdict::Committed { .. }) | Err(StoreError::Unknown(_)))
        {
            services.discard_root(&scene.permit, root).await;
        }
        match heed(services, scene.caller, verdict, (&written, &ends)) {
            Ok(None) => {}
            Ok(Some(place)) => return Ok(Outcome::Stale(place)),
            Err(error) => return Err((event, error)),
        }
        // From here on it is durable. Caches first: the next request is to see what this one did.
        services.settle(&written, &ends);
        // The old root goes last. Destroyed any earlier, a commit that fails would lose the whole
        // keyring.
        if let Some(root) = destroy_root
            && let Err(error) = services.ports.hsm.destroy_root(&scene.permit, root).await
        {
            tracing::error!(%error, %root, "an old root key is still in the HSM; the next start destroys it");
            return Err((event, Error::OutcomeUnknown));
        }
        Ok(Outcome::Released(answer, written))
    }
}

/// Whether it was done already.
const fn is_again<A: Act>(turn: Option<&(&Repetition<'_, A>, Turn)>) -> bool {
    matches!(turn, Some((_, Turn::Again(_))))
}

/// Does what the gate's word asks for: `None` when all is committed, a place that was stale, or why the
/// operation is refused.
fn heed(
    services: &Services,
    caller: &Caller,
    verdict: Result<Verdict, StoreError>,
    (written, ends): (&[Place], &[LeaseEnd]),
) -> Result<Option<Place>, Error> {
    match verdict {
        Ok(Verdict::Committed { .. }) => Ok(None),
        Ok(Verdict::Stale(place)) => Ok(Some(place)),
        Ok(Verdict::Tampered(place, fault)) => {
            services.forget(&place);
            Err(services.alarms.raise(&place, fault))
        }
        Ok(Verdict::RolledBack) => Err(services.alarms.raise_rolled_back()),
        Ok(Verdict::Spent(ticket)) => Err(spent(caller, ticket)),
        Err(error) => {
            // It may have been applied: a refusal by what is in memory now would not be noticed.
            written.iter().for_each(|place| services.forget(place));
            if matches!(error, StoreError::Unknown(_)) {
                services.announce(ends);
            }
            Err(error.into())
        }
    }
}

/// What the caller is told when a use was one too many: which of the two that can be counted it
/// was.
fn spent(caller: &Caller, ticket: TicketId) -> Error {
    match caller.credential {
        // Like all else that is wrong with a token of an identity provider.
        Credential::Oidc(_) => return Error::Unauthenticated,
        Credential::Enrolment(_) => return Error::Enrolment(EnrolmentFault::Spent),
        Credential::System
        | Credential::Unknown
        | Credential::Token(_)
        | Credential::Ticket(_)
        | Credential::Device => {}
    }
    if caller.proof.is_some_and(|proof| proof.ticket == ticket) {
        return Error::Device(DeviceFault::Replayed);
    }
    Error::Ticket(TicketFault::Spent)
}
