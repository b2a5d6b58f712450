//! The stream of a device's lease events. The one endpoint whose answer is not a document.

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

/// `GET /lease-events`.
pub(crate) fn watch_route(line: Line) -> Route {
    line.feeds::<NoBody>(Operation::WatchLeases, watch)
}

/// Opens the stream of the device that signed the request.
///
/// `after` is the serial of the last event the device had. Any number will do: one that this server
/// never gave makes the stream begin with the event that ends all leases.
///
/// # Errors
/// For a `stream` that is not 43 characters of base64url, or an `after` that is no number; as the
/// engine.
fn watch(call: Call<'_>) -> Later<'_, EventFeed> {
    Box::pin(async move {
        let stream = word(&call.arguments.text(STREAM))?;
        let after = call.arguments.number(AFTER_SERIAL)?;
        // The device comes from the decision, not from the request.
        let device = call.wire.engine.execute(call.caller, &WatchLeases).await?;
        // After the record: from here on nothing is asked of the policies.
        Ok(EventFeed::new(Arc::clone(&call.wire.engine), (device, stream), after))
    })
}
