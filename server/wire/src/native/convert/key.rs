//! Keys: their life and their names.

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

/// The answer of every operation that gives a key.
pub(crate) fn told<A>(_: &A, key: Key) -> api::Key {
    document(key.record)
}

pub(crate) fn describe(arguments: &Arguments, _: NoBody) -> Result<DescribeKey, Refusal> {
    Ok(DescribeKey { key: arguments.key()? })
}

pub(crate) fn list(arguments: &Arguments, _: NoBody) -> Result<ListKeys, Refusal> {
    let keyring = arguments.text(KEYRING);
    let keyring = if keyring.is_empty() { "default".to_owned() } else { keyring };
    Ok(ListKeys { keyring, after: arguments.text(AFTER), limit: arguments.limit()? })
}

pub(crate) fn listed(_: &ListKeys, page: KeyPage) -> KeyList {
    let keys = page.keys.into_iter().map(|key| document(key.record)).collect();
    KeyList { keys, next: page.next }
}

pub(crate) fn set_alias(arguments: &Arguments, _: Empty) -> Result<SetAlias, Refusal> {
    Ok(SetAlias { key: arguments.key()?, alias: arguments.part("alias").to_owned() })
}

pub(crate) fn remove_alias(arguments: &Arguments, _: NoBody) -> Result<RemoveAlias, Refusal> {
    Ok(RemoveAlias { key: arguments.key()?, alias: arguments.part("alias").to_owned() })
}

pub(crate) fn tag(arguments: &Arguments, body: api::TagKey) -> Result<TagKey, Refusal> {
    Ok(TagKey { key: arguments.key()?, tags: body.tags.0 })
}

pub(crate) fn rotate(arguments: &Arguments, _: Empty) -> Result<RotateKey, Refusal> {
    Ok(RotateKey { key: arguments.key()? })
}

pub(crate) fn enable(arguments: &Arguments, _: Empty) -> Result<EnableKey, Refusal> {
    Ok(EnableKey { key: arguments.key()? })
}

pub(crate) fn disable(arguments: &Arguments, _: Empty) -> Result<DisableKey, Refusal> {
    Ok(DisableKey { key: arguments.key()? })
}

pub(crate) fn cancel(arguments: &Arguments, _: Empty) -> Result<CancelKeyDestruction, Refusal> {
    Ok(CancelKeyDestruction { key: arguments.key()? })
}

/// Scheduling, and with `now` (in dev mode only) destroying at once, which needs a right of its own.
pub(crate) fn schedule_route(line: Line) -> Route {
    let operation = Operation::ScheduleKeyDestruction;
    line.runs::<ScheduleDestruction, _>((operation, Some(Operation::DestroyKey)), schedule)
}

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
        let destroyed = call.wire.engine.execute(call.caller, &DestroyKey { key }).await?;
        Ok(document(destroyed.record))
    })
}

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
        primary_version: versions.last().map_or(0, |last| last.version),
        versions,
        max_offline_grace_s: record.max_offline_grace_s,
        tags: record.tags.into(),
        created_at: record.created_at,
    }
}
