//! Principals and their API tokens.

use keyhaven_engine::{
    op::{
        principal::{CreatePrincipal, DisablePrincipal, EnablePrincipal, ListPrincipals},
        token::{self, IssueToken, RevokeToken},
    },
    record::PrincipalRecord,
};
use keyhaven_shared::api::{
    access::{self as api, IssuedToken, Principal, PrincipalList, RevokedToken},
    keys::Empty,
};

use super::next;
use crate::native::{
    arguments::{AFTER, Arguments},
    body::NoBody,
    error::Refusal,
};

pub(crate) fn create(
    _: &Arguments,
    body: api::CreatePrincipal,
) -> Result<CreatePrincipal, Refusal> {
    Ok(CreatePrincipal { name: body.name, groups: body.groups })
}

/// The answer of every operation that gives a principal.
pub(crate) fn told<A>(_: &A, record: PrincipalRecord) -> Principal {
    document(record)
}

pub(crate) fn list(arguments: &Arguments, _: NoBody) -> Result<ListPrincipals, Refusal> {
    Ok(ListPrincipals { after: arguments.text(AFTER), limit: arguments.limit()? })
}

pub(crate) fn listed(asked: &ListPrincipals, records: Vec<PrincipalRecord>) -> PrincipalList {
    let next = next(&records, asked.limit, |record| &record.name);
    PrincipalList { principals: records.into_iter().map(document).collect(), next }
}

pub(crate) fn disable(arguments: &Arguments, _: Empty) -> Result<DisablePrincipal, Refusal> {
    Ok(DisablePrincipal { name: arguments.part("principal").to_owned() })
}

pub(crate) fn enable(arguments: &Arguments, _: Empty) -> Result<EnablePrincipal, Refusal> {
    Ok(EnablePrincipal { name: arguments.part("principal").to_owned() })
}

fn document(record: PrincipalRecord) -> Principal {
    let PrincipalRecord { name, groups, enabled, created_at } = record;
    Principal { name, groups, enabled, created_at }
}

pub(crate) fn issue_token(
    arguments: &Arguments,
    body: api::IssueToken,
) -> Result<IssueToken, Refusal> {
    let principal = arguments.part("principal").to_owned();
    Ok(IssueToken { principal, expires_in_days: body.expires_in_days })
}

pub(crate) fn issued(_: &IssueToken, answer: token::IssuedToken) -> IssuedToken {
    let token::IssuedToken { mut token, id, expires_at } = answer;
    IssuedToken { token: std::mem::take(&mut *token), id: id.to_string(), expires_at }
}

pub(crate) fn revoke_token(arguments: &Arguments, _: Empty) -> Result<RevokeToken, Refusal> {
    Ok(RevokeToken { token: arguments.id("token")? })
}

pub(crate) fn revoked(asked: &RevokeToken, revoked_at: u64) -> RevokedToken {
    RevokedToken { id: asked.token.to_string(), revoked_at }
}
