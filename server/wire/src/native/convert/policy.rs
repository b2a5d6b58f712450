//! Policies. Text in both directions: what Cedar says to it is the engine's business.

use keyhaven_engine::{
    op::policy::{ListPolicies, PutPolicy, RemovePolicy},
    record::PolicyRecord,
    rules::Rules,
};
use keyhaven_shared::api::policies::{self as api, Policy, PolicyList};

use crate::native::{arguments::Arguments, body::NoBody, error::Refusal};

/// `PUT /policies/{name}`. The text is not looked at here.
pub(crate) fn put(arguments: &Arguments, body: api::PutPolicy) -> Result<PutPolicy, Refusal> {
    // The name is the path's alone: a body cannot put a policy under another.
    Ok(PutPolicy { name: arguments.part("name").to_owned(), text: body.text })
}

/// The policy as it is now kept, with the text as it was sent.
pub(crate) fn told(asked: &PutPolicy, record: PolicyRecord) -> Policy {
    document((asked.name.clone(), record))
}

/// `DELETE /policies/{name}`.
pub(crate) fn remove(arguments: &Arguments, _: NoBody) -> Result<RemovePolicy, Refusal> {
    Ok(RemovePolicy { name: arguments.part("name").to_owned() })
}

/// Nothing: the status says it.
pub(crate) const fn removed(_: &RemovePolicy, (): ()) {}

/// `GET /policies`. All of them; there are no pages, because they only mean something together.
pub(crate) fn list(_: &Arguments, _: NoBody) -> Result<ListPolicies, Refusal> {
    Ok(ListPolicies)
}

/// The policies, and the schema that a new one must fit.
pub(crate) fn listed(_: &ListPolicies, rows: Vec<(String, PolicyRecord)>) -> PolicyList {
    PolicyList { policies: rows.into_iter().map(document).collect(), schema: Rules::schema_text() }
}

/// One policy under its name.
fn document((name, record): (String, PolicyRecord)) -> Policy {
    Policy { name, text: record.text, updated_at: record.updated_at }
}
