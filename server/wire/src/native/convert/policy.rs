//! Policies.

use keyhaven_engine::{
    op::policy::{ListPolicies, PutPolicy, RemovePolicy},
    record::PolicyRecord,
    rules::Rules,
};
use keyhaven_shared::api::policies::{self as api, Policy, PolicyList};

use crate::native::{arguments::Arguments, body::NoBody, error::Refusal};

pub(crate) fn put(arguments: &Arguments, body: api::PutPolicy) -> Result<PutPolicy, Refusal> {
    Ok(PutPolicy { name: arguments.part("name").to_owned(), text: body.text })
}

pub(crate) fn told(asked: &PutPolicy, record: PolicyRecord) -> Policy {
    document((asked.name.clone(), record))
}

pub(crate) fn remove(arguments: &Arguments, _: NoBody) -> Result<RemovePolicy, Refusal> {
    Ok(RemovePolicy { name: arguments.part("name").to_owned() })
}

pub(crate) const fn removed(_: &RemovePolicy, (): ()) {}

pub(crate) fn list(_: &Arguments, _: NoBody) -> Result<ListPolicies, Refusal> {
    Ok(ListPolicies)
}

pub(crate) fn listed(_: &ListPolicies, rows: Vec<(String, PolicyRecord)>) -> PolicyList {
    PolicyList { policies: rows.into_iter().map(document).collect(), schema: Rules::schema_text() }
}

fn document((name, record): (String, PolicyRecord)) -> Policy {
    Policy { name, text: record.text, updated_at: record.updated_at }
}
