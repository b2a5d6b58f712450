//! Keyrings. Of a keyring's row, the sealed domain key and its generation stay in the server.

use keyhaven_engine::{
    op::keyring::{CreateKeyring, DescribeKeyring, ListKeyrings},
    record::KeyringRecord,
};
use keyhaven_shared::api::keys::{self as api, Keyring, KeyringList};

use super::next;
use crate::native::{
    arguments::{AFTER, Arguments},
    body::NoBody,
    error::Refusal,
};

/// `POST /keyrings`. Whether the name is well formed, the engine says.
pub(crate) fn create(_: &Arguments, body: api::CreateKeyring) -> Result<CreateKeyring, Refusal> {
    Ok(CreateKeyring { name: body.name })
}

/// The new keyring.
pub(crate) fn created(_: &CreateKeyring, record: KeyringRecord) -> Keyring {
    document(record)
}

/// `GET /keyrings/{keyring}`. The name is taken as it stands; one that cannot exist is not found.
pub(crate) fn describe(arguments: &Arguments, _: NoBody) -> Result<DescribeKeyring, Refusal> {
    Ok(DescribeKeyring { keyring: arguments.part("keyring").to_owned() })
}

/// The keyring that was asked for.
pub(crate) fn described(_: &DescribeKeyring, record: KeyringRecord) -> Keyring {
    document(record)
}

/// `GET /keyrings`.
///
/// # Errors
/// For a `limit` that is no number from 1 to 1000.
pub(crate) fn list(arguments: &Arguments, _: NoBody) -> Result<ListKeyrings, Refusal> {
    Ok(ListKeyrings { after: arguments.text(AFTER), limit: arguments.limit()? })
}

/// A page of keyrings, in order of name.
pub(crate) fn listed(asked: &ListKeyrings, records: Vec<KeyringRecord>) -> KeyringList {
    let next = next(&records, asked.limit, |record| &record.name);
    KeyringList { keyrings: records.into_iter().map(document).collect(), next }
}

/// What of a row is told.
fn document(record: KeyringRecord) -> Keyring {
    // Every field is named: one that is added to the row has to be shown or left out here.
    let KeyringRecord { name, id, root_epoch, created_at, generation: _, sealed_domain: _ } =
        record;
    Keyring { name, id, root_epoch, created_at }
}
