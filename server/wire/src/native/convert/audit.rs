//! The audit log.

use keyhaven_engine::{error::Error, op::audit::ReadAudit};
use keyhaven_shared::{api::audit::AuditPage, operation::Operation};

use crate::native::{
    arguments::FROM,
    body::NoBody,
    routes::{Call, Later, Line, Route},
};

pub(crate) fn read_route(line: Line) -> Route {
    line.runs::<NoBody, _>((Operation::ReadAudit, None), read)
}

fn read(call: Call<'_>) -> Later<'_, AuditPage> {
    Box::pin(async move {
        let from = call.arguments.number(FROM)?.unwrap_or_default();
        let limit = call.arguments.limit()?;
        call.wire.engine.execute(call.caller, &ReadAudit).await?;
        let entries = call.wire.audit.read(from, limit).await.map_err(|_| Error::Unavailable)?;
        let last = entries.last().filter(|_| entries.len() == limit);
        let next = last.and_then(|last| last.get("index")?.as_u64()?.checked_add(1));
        Ok(AuditPage { entries, next })
    })
}
