//! Keyrings.

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

pub(crate) fn create(_: &Arguments, body: api::CreateKeyring) -> Result<CreateKeyring, Refusal> {
    Ok(CreateKeyring { name: body.name })
}

pub(crate) fn created(_: &CreateKeyring, record: KeyringRecord) -> Keyring {
    document(record)
}

pub(crate) fn describe(arguments: &Arguments, _: NoBody) -> Result<DescribeKeyring, Refusal> {
    Ok(DescribeKeyring { keyring: arguments.part("keyring").to_owned() })
}

pub(crate) fn described(_: &DescribeKeyring, record: KeyringRecord) -> Keyring {
    document(record)
}

pub(crate) fn list(arguments: &Arguments, _: NoBody) -> Result<ListKeyrings, Refusal> {
    Ok(ListKeyrings { after: arguments.text(AFTER), limit: arguments.limit()? })
}

pub(crate) fn listed(asked: &ListKeyrings, records: Vec<KeyringRecord>) -> KeyringList {
    let next = next(&records, asked.limit, |record| &record.name);
    KeyringList { keyrings: records.into_iter().map(document).collect(), next }
}

fn document(record: KeyringRecord) -> Keyring {
    let KeyringRecord { name, id, root_epoch, created_at, generation: _, sealed_domain: _ } =
        record;
    Keyring { name, id, root_epoch, created_at }
}
