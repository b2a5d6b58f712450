//! All policies, compiled, under one epoch. A decision may be remembered only for that epoch and for
//! the epochs of the principal and resource it was made about.
//!
//! Policies are Cedar's. Nothing is permitted unless a `permit` applies, and a `forbid` that
//! applies always wins. Three rules of our own are stricter than Cedar: policies must pass its
//! strict validation, templates are refused, and a policy that errs denies.

mod question;
mod schema;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use cedar_policy::{
    Authorizer, Decision, Policy, PolicyId, PolicySet, Request, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;

pub use self::question::Question;
use self::question::Remembered;
use crate::{
    error::Error,
    port::store::{Epoch, Place},
    record::policies_place,
};

/// The policies of one epoch. Never changed: another epoch is another value. So a decision and what
/// was remembered for it cannot be of two epochs.
pub struct Rules {
    epoch: Epoch,
    /// Kept for requests: one that does not fit it is denied.
    schema: Schema,
    policies: PolicySet,
    /// Decisions, refusals as `None`. Cedar looks at each policy, so deciding costs time in
    /// proportion to their number.
    remembered: RwLock<HashMap<Remembered, Option<Arc<[String]>>>>,
}

/// Decisions remembered; beyond it all are forgotten. A bound on what callers can make the server
/// keep.
const MOST_REMEMBERED: usize = 65_536;

impl Rules {
    /// Compiles policies, each with its name. For a change, and for the store's own at start and
    /// after each change: so what is stored was checked once as a whole, and is checked again.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] with the name, line and column of the first fault; it quotes the
    /// policy, so it is only for whoever may see policies.
    pub fn compile(epoch: Epoch, policies: &[(String, String)]) -> Result<Self, Error> {
        let schema = compiled_schema()?;
        let mut set = PolicySet::new();
        for (name, text) in policies {
            for policy in parse(name, text)? {
                set.add(policy).map_err(|error| Error::InvalidRequest(error.to_string()))?;
            }
        }
        validate(&schema, &set, policies)?;
        Ok(Self { epoch, schema, policies: set, remembered: RwLock::default() })
    }

    /// The schema that policies are checked against, in Cedar's syntax.
    /// For operators who write policies; it holds nothing of this installation.
    #[must_use]
    pub fn schema_text() -> String {
        schema::text()
    }

    /// The epoch these policies are of.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What a proposal says it rested on. The row that counts changes, so that any change of any
    /// policy makes the decision stale.
    #[must_use]
    pub fn read(&self) -> (Place, Epoch) {
        (policies_place(), self.epoch)
    }

    /// Decides, and tells which policies allowed it.
    ///
    /// A policy that errors denies, whatever the others say: Cedar would skip it, a `forbid` too.
    ///
    /// # Errors
    /// [`Error::Denied`], whatever the reason: no policy permits it, one forbids it, or one failed.
    /// Which, is not told; a failure is in the server's log.
    pub fn decide(&self, question: &Question<'_>) -> Result<Arc<[String]>, Error> {
        let about = question.about()?;
        // The lock is let go before Cedar is asked: others need not wait for a slow decision.
        let known = {
            let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
            remembered.get(&about).cloned()
        };
        if let Some(known) = known {
            return known.ok_or(Error::Denied);
        }
        let decision = self.evaluate(question).inspect_err(|error| {
            tracing::error!(%error, operation = %question.operation, "a policy failed: denied");
        });
        // Fail closed: an error is remembered as a refusal, like any other.
        let decision = decision.ok().flatten();
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            // All at once, as it costs no bookkeeping; they are soon decided again.
            remembered.clear();
        }
        remembered.insert(about, decision.clone());
        decision.ok_or(Error::Denied)
    }

    /// Asks Cedar: the policies that permit it, or `None` for a refusal.
    ///
    /// # Errors
    /// What failed, for the log: the question does not fit the schema, or a policy erred.
    fn evaluate(&self, question: &Question<'_>) -> Result<Option<Arc<[String]>>, String> {
        let (principal, resource) = (question.principal_uid()?, question.resource_uid()?);
        let context = question.context()?;
        let request =
            Request::new(principal, question.action_uid()?, resource, context, Some(&self.schema));
        let request = request.map_err(|error| error.to_string())?;
        let entities = question.entities(&self.schema)?;
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        // Before the decision is looked at. Cedar passes over a policy that errs: a `forbid` that
        // overflows would be as good as none.
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(error.to_string());
        }
        let reasons = response.diagnostics().reason().map(ToString::to_string);
        // Cedar denies by itself what no `permit` allows and what a `forbid` names.
        Ok((response.decision() == Decision::Allow).then(|| reasons.collect()))
    }
}

/// The schema, compiled. That it does not compile is a fault of this build, which tests would find.
fn compiled_schema() -> Result<Schema, Error> {
    let compiled = Schema::from_cedarschema_str(&schema::text());
    compiled.map(|(schema, _)| schema).map_err(|error| {
        tracing::error!(%error, "the generated schema does not compile");
        Error::Internal
    })
}

/// Parses the statements of one policy and names them `name`, `name#2` and so on. The names stand
/// in the log as the policies that decided.
fn parse(name: &str, text: &str) -> Result<Vec<Policy>, Error> {
    let set: PolicySet = text.parse().map_err(|error: cedar_policy::ParseErrors| {
        let at = place(text, &error);
        Error::InvalidRequest(format!("policy `{name}` does not parse{at}: {error}"))
    })?;
    // A template decides nothing until it is linked, and nothing here links: its author would be
    // misled.
    if set.templates().next().is_some() {
        return Err(Error::InvalidRequest(format!("policy `{name}` has a template: write it out")));
    }
    let mut statements: Vec<&Policy> = set.policies().collect();
    // The set is not in order of the text, and the numbers in the log must be.
    statements.sort_by_key(|policy| statement_number(policy.id()));
    let named = statements.into_iter().enumerate().map(|(index, policy)| {
        let id = if index == 0 { name.to_owned() } else { format!("{name}#{}", index + 1) };
        policy.new_id(PolicyId::new(id))
    });
    Ok(named.collect())
}

/// Cedar names parsed statements `policy0`, `policy1` and so on. One that is named otherwise goes
/// last, rather than being lost.
fn statement_number(id: &PolicyId) -> usize {
    id.to_string().trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

/// Refuses policies that do not fit the schema. Strict: a policy that passes cannot err at run time but
/// for arithmetic overflow and the like, and then [`Rules::decide`] denies.
fn validate(schema: &Schema, set: &PolicySet, texts: &[(String, String)]) -> Result<(), Error> {
    let result = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    let Some(fault) = result.validation_errors().next() else { return Ok(()) };
    // No policy's name has a `#`, so what is before it is the name.
    let id = fault.policy_id().to_string();
    let name = id.split('#').next().unwrap_or_default();
    let text = texts.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text);
    let at = place(text, fault);
    Err(Error::InvalidRequest(format!("policy `{name}` is not valid{at}: {fault}")))
}

/// Line and column of a fault, both from 1; nothing where Cedar does not say. Columns count
/// characters, as editors do, and not bytes.
fn place(text: &str, fault: &dyn Diagnostic) -> String {
    let Some(label) = fault.labels().and_then(|mut labels| labels.next()) else {
        return String::new();
    };
    let before = text.get(..label.offset()).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(" at line {line}, column {column}")
}
