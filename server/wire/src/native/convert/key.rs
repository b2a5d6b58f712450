//! Keys: their life and their names.
//!
//! No material passes through here in either direction: keys are made in the server, and what is
//! told of one is its row.

use keyhaven_engine::{
    op::{
        key::{CreateKey, DescribeKey, KeyPage, ListKeys, RotateKey},
        key_name::{RemoveAlias, SetAlias, TagKey},
        key_state::{CancelKeyDestruction, DisableKey, EnableKey, ScheduleKeyDestruction},
        shred::DestroyKey,
    },
    record::{Key, KeyRecord},
};
use keyhaven_shared::{
    api::keys::{self as api, Empty, KeyList, KeyVersion, ScheduleDestruction},
    operation::Operation,
};

use super::word;
use crate::native::{
    arguments::{AFTER, Arguments, KEYRING},
    body::NoBody,
    error::Refusal,
    routes::{Call, Later, Line, Route},
};

/// `POST /keys`. Spec and distribution are words of a vocabulary; lengths and bounds are the
/// engine's to check.
///
/// # Errors
/// [`Refusal::Malformed`] for an unknown word, with those that there are.
pub(crate) fn create(_: &Arguments, body: api::CreateKey) -> Result<CreateKey, Refusal> {
    Ok(CreateKey {
        keyring: body.keyring,
        alias: body.alias,
        spec: word(&body.spec)?,
        distribution: word(&body.distribution)?,
        max_offline_grace_s: body.max_offline_grace_s,
        tags: body.tags.0,
    })
}

/// The answer of every operation that gives a key. The key as it is after the operation.
pub(crate) fn told<A>(_: &A, key: Key) -> api::Key {
    document(key.record)
}

/// `GET /keys/{key}`.
pub(crate) fn describe(arguments: &Arguments, _: NoBody) -> Result<DescribeKey, Refusal> {
    Ok(DescribeKey { key: arguments.key()? })
}

/// `GET /keys`, of the keyring `default` when none is named.
///
/// # Errors
/// For a `limit` that is no number from 1 to 1000.
pub(crate) fn list(arguments: &Arguments, _: NoBody) -> Result<ListKeys, Refusal> {
    let keyring = arguments.text(KEYRING);
    // As for an alias without a keyring: the one that every installation begins with.
    let keyring = if keyring.is_empty() { "default".to_owned() } else { keyring };
    Ok(ListKeys { keyring, after: arguments.text(AFTER), limit: arguments.limit()? })
}

/// A page of keys. It may be short, or empty, and still have a `next`: what the caller may not
/// describe is left out.
pub(crate) fn listed(_: &ListKeys, page: KeyPage) -> KeyList {
    let keys = page.keys.into_iter().map(|key| document(key.record)).collect();
    KeyList { keys, next: page.next }
}

/// `PUT /keys/{key}/aliases/{alias}`. Repeating it changes nothing.
pub(crate) fn set_alias(arguments: &Arguments, _: Empty) -> Result<SetAlias, Refusal> {
    Ok(SetAlias { key: arguments.key()?, alias: arguments.part("alias").to_owned() })
}

/// `DELETE /keys/{key}/aliases/{alias}`.
pub(crate) fn remove_alias(arguments: &Arguments, _: NoBody) -> Result<RemoveAlias, Refusal> {
    Ok(RemoveAlias { key: arguments.key()?, alias: arguments.part("alias").to_owned() })
}

/// `PUT /keys/{key}/tags`: all tags, not only those that change.
pub(crate) fn tag(arguments: &Arguments, body: api::TagKey) -> Result<TagKey, Refusal> {
    Ok(TagKey { key: arguments.key()?, tags: body.tags.0 })
}

/// `POST /keys/{key}/rotate`. Each call makes a version.
pub(crate) fn rotate(arguments: &Arguments, _: Empty) -> Result<RotateKey, Refusal> {
    Ok(RotateKey { key: arguments.key()? })
}

/// `POST /keys/{key}/enable`.
pub(crate) fn enable(arguments: &Arguments, _: Empty) -> Result<EnableKey, Refusal> {
    Ok(EnableKey { key: arguments.key()? })
}

/// `POST /keys/{key}/disable`. When it has answered, no use of the key is released any more.
pub(crate) fn disable(arguments: &Arguments, _: Empty) -> Result<DisableKey, Refusal> {
    Ok(DisableKey { key: arguments.key()? })
}

/// `POST /keys/{key}/cancel-destruction`. The key is disabled afterwards, not enabled.
pub(crate) fn cancel(arguments: &Arguments, _: Empty) -> Result<CancelKeyDestruction, Refusal> {
    Ok(CancelKeyDestruction { key: arguments.key()? })
}

/// Scheduling, and with `now` (in dev mode only) destroying at once, which needs a right of its
/// own. Both operations stand in the description, so that whoever writes policies sees both.
pub(crate) fn schedule_route(line: Line) -> Route {
    let operation = Operation::ScheduleKeyDestruction;
    line.runs::<ScheduleDestruction, _>((operation, Some(Operation::DestroyKey)), schedule)
}

/// `POST /keys/{key}/schedule-destruction`.
///
/// # Errors
/// As the engine, of either step. When the second is refused, the first has happened: the key is
/// scheduled, due at once, and the server's own work destroys it.
fn schedule(call: Call<'_>) -> Later<'_, api::Key> {
    Box::pin(async move {
        let body: ScheduleDestruction = call.bytes.read()?;
        let key = call.arguments.key()?;
        let now = body.now;
        let act = ScheduleKeyDestruction { key: key.clone(), waiting_days: body.waiting_days, now };
        let scheduled = call.wire.engine.execute(call.caller, &act).await?;
        if !now {
            return Ok(document(scheduled.record));
        }
        // By the name that the request used, and decided anew: it needs a right of its own.
        let destroyed = call.wire.engine.execute(call.caller, &DestroyKey { key }).await?;
        Ok(document(destroyed.record))
    })
}

/// A key's row as a document. Versions are numbered from 1, in the order of the row.
fn document(record: KeyRecord) -> api::Key {
    let versions = record.versions_created_at.iter().zip(1..);
    let versions: Vec<_> = versions
        .map(|(created_at, version)| KeyVersion { version, created_at: *created_at })
        .collect();
    api::Key {
        id: record.id,
        keyring: record.keyring,
        aliases: record.aliases,
        spec: record.spec,
        usage: record.usage,
        origin: record.origin,
        protection: record.protection,
        distribution: record.distribution,
        state: record.state,
        destruction_at: record.destruction_at,
        // The last is primary. A key has one at least; 0 would show that the row is damaged.
        primary_version: versions.last().map_or(0, |last| last.version),
        versions,
        max_offline_grace_s: record.max_offline_grace_s,
        tags: record.tags.into(),
        created_at: record.created_at,
    }
}
