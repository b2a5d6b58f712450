//! Server-sent events that tell a device which of its leases have ended.

use std::{collections::VecDeque, sync::Arc};

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use keyhaven_engine::engine::Engine;
use keyhaven_shared::{
    ids::DeviceId,
    lease_event::{LeaseEnd, LeaseEvent},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// The stream of one device. The first chunk is `hello`; then [`Self::next`] waits for events. Whoever
/// drives it sends [`Self::ping`] each 15 seconds in which nothing came, so that both ends notice a
/// connection that is gone.
pub struct EventFeed {
    engine: Arc<Engine>,
    head: Response<()>,
    device: DeviceId,
    greeted: bool,
    ended: bool,
    /// The newest event seen, told or not.
    serial: Option<u64>,
    pending: VecDeque<LeaseEvent>,
    receiver: Receiver<LeaseEvent>,
}

impl EventFeed {
    /// Follows what ends for `device`, from now on or after the event `after`.
    pub(crate) fn new(engine: Arc<Engine>, device: DeviceId, after: Option<u64>) -> Self {
        let services = engine.services();
        let (missed, receiver) = services.leases.watch(after, services.now());
        let mut head = Response::new(());
        head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        // Proxies must not hold events back.
        head.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        let (greeted, ended, pending) = (false, false, missed.into());
        Self { engine, head, device, greeted, ended, serial: after, pending, receiver }
    }

    /// Status and headers.
    #[must_use]
    pub const fn head(&self) -> &Response<()> {
        &self.head
    }

    pub(crate) fn extensions_mut(&mut self) -> &mut Extensions {
        self.head.extensions_mut()
    }

    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        self.head.headers_mut()
    }

    /// What to send when nothing came for 15 seconds.
    #[must_use]
    pub const fn ping() -> Bytes {
        Bytes::from_static(b"event: ping\ndata: {}\n\n")
    }

    /// The next chunk; `None` at the end of the stream. Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            let now = self.engine.services().now();
            return Some(Bytes::from(format!("event: hello\ndata: {{\"server_time\":{now}}}\n\n")));
        }
        loop {
            while let Some(event) = self.pending.front().copied() {
                let chunk = self.tell(event).await?;
                self.pending.pop_front();
                self.serial = Some(event.serial);
                if chunk.is_some() {
                    return chunk;
                }
            }
            if self.ended {
                return None;
            }
            self.receive().await?;
        }
    }

    /// The chunk for an event that concerns the device. `None` ends the stream.
    async fn tell(&mut self, event: LeaseEvent) -> Option<Option<Bytes>> {
        let services = self.engine.services();
        if !services.leases.concerns(self.device, event.end) {
            return Some(None);
        }
        let signer = services.issuer.signer().await.inspect_err(|error| {
            tracing::error!(%error, "a lease event could not be signed: its stream is ended");
        });
        let signed = Base64::encode_string(&event.sign(signer.ok()?.as_ref()).encode());
        self.ended |= event.end == LeaseEnd::DeviceRevoked(self.device);
        Some(Some(Bytes::from(format!("event: lease\nid: {}\ndata: {signed}\n\n", event.serial))))
    }

    /// Waits for an event. A stream that fell behind catches up from what the board remembers, which
    /// says that everything is to be asked for anew when it does not remember enough.
    async fn receive(&mut self) -> Option<()> {
        match self.receiver.recv().await {
            Ok(event) => self.pending.push_back(event),
            Err(RecvError::Lagged(_)) => {
                let services = self.engine.services();
                let after = Some(self.serial.unwrap_or_default());
                let (missed, receiver) = services.leases.watch(after, services.now());
                self.pending.extend(missed);
                self.receiver = receiver;
            }
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }
}
