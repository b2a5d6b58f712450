//! All policies, compiled, under one epoch. A decision may be remembered only for that epoch and for
//! the epochs of the principal and resource it was made about.

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

/// The policies of one epoch.
pub struct Rules {
    epoch: Epoch,
    schema: Schema,
    policies: PolicySet,
    remembered: RwLock<HashMap<Remembered, Option<Arc<[String]>>>>,
}

const MOST_REMEMBERED: usize = 65_536;

impl Rules {
    /// Compiles policies, each with its name.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] with the place of the first fault.
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
    #[must_use]
    pub fn schema_text() -> String {
        schema::text()
    }

    /// The epoch these policies are of.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What a proposal says it rested on.
    #[must_use]
    pub fn read(&self) -> (Place, Epoch) {
        (policies_place(), self.epoch)
    }

    /// Decides, and tells which policies allowed it.
    ///
    /// A policy that errors denies, whatever the others say: Cedar would skip it, a `forbid` too.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn decide(&self, question: &Question<'_>) -> Result<Arc<[String]>, Error> {
        let about = question.about()?;
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
        let decision = decision.ok().flatten();
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(about, decision.clone());
        decision.ok_or(Error::Denied)
    }

    fn evaluate(&self, question: &Question<'_>) -> Result<Option<Arc<[String]>>, String> {
        let (principal, resource) = (question.principal_uid()?, question.resource_uid()?);
        let context = question.context()?;
        let request =
            Request::new(principal, question.action_uid()?, resource, context, Some(&self.schema));
        let request = request.map_err(|error| error.to_string())?;
        let entities = question.entities(&self.schema)?;
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(error.to_string());
        }
        let reasons = response.diagnostics().reason().map(ToString::to_string);
        Ok((response.decision() == Decision::Allow).then(|| reasons.collect()))
    }
}

fn compiled_schema() -> Result<Schema, Error> {
    let compiled = Schema::from_cedarschema_str(&schema::text());
    compiled.map(|(schema, _)| schema).map_err(|error| {
        tracing::error!(%error, "the generated schema does not compile");
        Error::Internal
    })
}

/// Parses the statements of one policy and names them `name`, `name#2` and so on.
fn parse(name: &str, text: &str) -> Result<Vec<Policy>, Error> {
    let set: PolicySet = text.parse().map_err(|error: cedar_policy::ParseErrors| {
        let at = place(text, &error);
        Error::InvalidRequest(format!("policy `{name}` does not parse{at}: {error}"))
    })?;
    if set.templates().next().is_some() {
        return Err(Error::InvalidRequest(format!("policy `{name}` has a template: write it out")));
    }
    let mut statements: Vec<&Policy> = set.policies().collect();
    statements.sort_by_key(|policy| statement_number(policy.id()));
    let named = statements.into_iter().enumerate().map(|(index, policy)| {
        let id = if index == 0 { name.to_owned() } else { format!("{name}#{}", index + 1) };
        policy.new_id(PolicyId::new(id))
    });
    Ok(named.collect())
}

/// Cedar names parsed statements `policy0`, `policy1` and so on.
fn statement_number(id: &PolicyId) -> usize {
    id.to_string().trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

/// Refuses policies that do not fit the schema. Strict: a policy that passes cannot err at run time but
/// for arithmetic overflow and the like, and then [`Rules::decide`] denies.
fn validate(schema: &Schema, set: &PolicySet, texts: &[(String, String)]) -> Result<(), Error> {
    let result = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    let Some(fault) = result.validation_errors().next() else { return Ok(()) };
    let id = fault.policy_id().to_string();
    let name = id.split('#').next().unwrap_or_default();
    let text = texts.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text);
    let at = place(text, fault);
    Err(Error::InvalidRequest(format!("policy `{name}` is not valid{at}: {fault}")))
}

/// Line and column of a fault, both from 1; nothing where Cedar does not say.
fn place(text: &str, fault: &dyn Diagnostic) -> String {
    let Some(label) = fault.labels().and_then(|mut labels| labels.next()) else {
        return String::new();
    };
    let before = text.get(..label.offset()).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(" at line {line}, column {column}")
}
