//! Identities: who somebody is elsewhere, and which principal that is here.

use keyhaven_engine::{
    identity::Identity,
    op::identity::{BindIdentity, ListIdentities, UnbindIdentity},
    record::IdentityRecord,
};
use keyhaven_shared::api::{
    identities::{self as api, IdentityList},
    keys::Empty,
};

use super::next;
use crate::native::{
    arguments::{AFTER, Arguments},
    body::NoBody,
    error::Refusal,
};

/// `POST /identities`.
pub(crate) fn bind(_: &Arguments, body: api::BindIdentity) -> Result<BindIdentity, Refusal> {
    let api::BindIdentity { principal, issuer, subject } = body;
    Ok(BindIdentity { principal, identity: Identity { issuer, subject } })
}

/// The answer of both operations that change one.
pub(crate) fn told<A>(_: &A, record: IdentityRecord) -> api::Identity {
    document(record)
}

/// `POST /identities/{identity}/unbind`.
///
/// # Errors
/// For a part of the path that is no identity's id.
pub(crate) fn unbind(arguments: &Arguments, _: Empty) -> Result<UnbindIdentity, Refusal> {
    Ok(UnbindIdentity { identity: arguments.id("identity")? })
}

/// `GET /identities`.
///
/// # Errors
/// For a `limit` that is no number from 1 to 1000.
pub(crate) fn list(arguments: &Arguments, _: NoBody) -> Result<ListIdentities, Refusal> {
    Ok(ListIdentities { after: arguments.text(AFTER), limit: arguments.limit()? })
}

/// A page of identities, in order of id.
pub(crate) fn listed(asked: &ListIdentities, records: Vec<IdentityRecord>) -> IdentityList {
    let mut identities: Vec<_> = records.into_iter().map(document).collect();
    let next = next(&identities, asked.limit, |identity| &identity.id);
    IdentityList { identities: std::mem::take(&mut identities), next }
}

/// What of a row is told: all of it, and its id.
fn document(record: IdentityRecord) -> api::Identity {
    let IdentityRecord { principal, issuer, subject, created_at } = record;
    let identity = Identity { issuer, subject };
    let id = identity.id().to_string();
    let Identity { issuer, subject } = identity;
    api::Identity { id, principal, issuer, subject, created_at }
}
