//! The stream of a device's lease events.

use std::sync::Arc;

use keyhaven_engine::op::device::WatchLeases;
use keyhaven_shared::operation::Operation;

use super::word;
use crate::{
    EventFeed,
    native::{
        arguments::{AFTER_SERIAL, STREAM},
        body::NoBody,
        routes::{Call, Later, Line, Route},
    },
};

pub(crate) fn watch_route(line: Line) -> Route {
    line.feeds::<NoBody>(Operation::WatchLeases, watch)
}

fn watch(call: Call<'_>) -> Later<'_, EventFeed> {
    Box::pin(async move {
        let stream = word(&call.arguments.text(STREAM))?;
        let after = call.arguments.number(AFTER_SERIAL)?;
        let device = call.wire.engine.execute(call.caller, &WatchLeases).await?;
        Ok(EventFeed::new(Arc::clone(&call.wire.engine), (device, stream), after))
    })
}
