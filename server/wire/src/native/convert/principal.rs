//! Principals and their API tokens. A token's secret leaves the server here, once, in the answer
//! that made it.

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

/// `POST /principals`.
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

/// `GET /principals`.
///
/// # Errors
/// For a `limit` that is no number from 1 to 1000.
pub(crate) fn list(arguments: &Arguments, _: NoBody) -> Result<ListPrincipals, Refusal> {
    Ok(ListPrincipals { after: arguments.text(AFTER), limit: arguments.limit()? })
}

/// A page of principals, in order of name.
pub(crate) fn listed(asked: &ListPrincipals, records: Vec<PrincipalRecord>) -> PrincipalList {
    let next = next(&records, asked.limit, |record| &record.name);
    PrincipalList { principals: records.into_iter().map(document).collect(), next }
}

/// `POST /principals/{principal}/disable`.
pub(crate) fn disable(arguments: &Arguments, _: Empty) -> Result<DisablePrincipal, Refusal> {
    Ok(DisablePrincipal { name: arguments.part("principal").to_owned() })
}

/// `POST /principals/{principal}/enable`.
pub(crate) fn enable(arguments: &Arguments, _: Empty) -> Result<EnablePrincipal, Refusal> {
    Ok(EnablePrincipal { name: arguments.part("principal").to_owned() })
}

/// What of a row is told: all of it.
fn document(record: PrincipalRecord) -> Principal {
    let PrincipalRecord { name, groups, enabled, created_at } = record;
    Principal { name, groups, enabled, created_at }
}

/// `POST /principals/{principal}/tokens`. How long it lives has a default in the document.
pub(crate) fn issue_token(
    arguments: &Arguments,
    body: api::IssueToken,
) -> Result<IssueToken, Refusal> {
    let principal = arguments.part("principal").to_owned();
    Ok(IssueToken { principal, expires_in_days: body.expires_in_days })
}

/// The token, whole.
pub(crate) fn issued(_: &IssueToken, answer: token::IssuedToken) -> IssuedToken {
    let token::IssuedToken { mut token, id, expires_at } = answer;
    // Moved and not copied, so that the text is in one place; the document does not wipe it.
    IssuedToken { token: std::mem::take(&mut *token), id: id.to_string(), expires_at }
}

/// `POST /tokens/{token}/revoke`, by the token's id: its secret is not needed to end it.
///
/// # Errors
/// For a part of the path that is no token's id, such as the token itself.
pub(crate) fn revoke_token(arguments: &Arguments, _: Empty) -> Result<RevokeToken, Refusal> {
    Ok(RevokeToken { token: arguments.id("token")? })
}

/// Since when it is revoked, in seconds since the Unix epoch.
pub(crate) fn revoked(asked: &RevokeToken, revoked_at: u64) -> RevokedToken {
    RevokedToken { id: asked.token.to_string(), revoked_at }
}
