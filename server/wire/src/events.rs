//! Server-sent events that tell a device which of its leases have ended.

use std::{collections::VecDeque, sync::Arc};

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use keyhaven_engine::{
    engine::Engine,
    lease::{Announcement, Watch},
};
use keyhaven_shared::{
    ids::DeviceId,
    lease_event::{LeaseEnd, LeaseEvent, StreamNonce},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// The stream of one device. It begins with what the device missed, then `hello` says that this was all;
/// then [`Self::next`] waits for events. Whoever drives it sends [`Self::ping`] each 15 seconds in which
/// nothing came, so that both ends notice a connection that is gone.
pub struct EventFeed {
    engine: Arc<Engine>,
    head: Response<()>,
    device: DeviceId,
    stream: StreamNonce,
    /// Number of the next event.
    number: u64,
    greeted: bool,
    ended: bool,
    /// The newest announcement seen, told or not.
    serial: u64,
    pending: VecDeque<Announcement>,
    receiver: Receiver<Announcement>,
}

impl EventFeed {
    /// Follows what ends for `device`, from now on or after the event `after`.
    pub(crate) fn new(
        engine: Arc<Engine>,
        (device, stream): (DeviceId, StreamNonce),
        after: Option<u64>,
    ) -> Self {
        let services = engine.services();
        let Watch { missed, serial, receiver } = services.leases.watch(after, services.now());
        let mut head = Response::new(());
        head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        // Proxies must not hold events back.
        head.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        let (number, greeted, ended, pending) = (0, false, false, missed.into());
        Self { engine, head, device, stream, number, greeted, ended, serial, pending, receiver }
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
        loop {
            while let Some(announcement) = self.pending.front().copied() {
                let chunk = self.tell(announcement).await?;
                self.pending.pop_front();
                if chunk.is_some() {
                    return chunk;
                }
            }
            if self.ended {
                return None;
            }
            if !self.greeted {
                let at = self.engine.services().now();
                let all = Announcement { serial: self.serial, end: LeaseEnd::Nothing, at };
                let hello = self.chunk("hello", all).await?;
                self.greeted = true;
                return Some(hello);
            }
            self.receive().await?;
        }
    }

    /// The chunk for an announcement that concerns the device. `None` ends the stream.
    async fn tell(&mut self, announcement: Announcement) -> Option<Option<Bytes>> {
        if !self.engine.services().leases.concerns(self.device, announcement.end) {
            return Some(None);
        }
        let chunk = self.chunk("lease", announcement).await?;
        self.ended |= announcement.end == LeaseEnd::DeviceRevoked(self.device);
        Some(Some(chunk))
    }

    /// The next event of the stream.
    async fn chunk(&mut self, name: &str, announcement: Announcement) -> Option<Bytes> {
        let Announcement { serial, end, at } = announcement;
        let signer = self.engine.services().issuer.signer().await.inspect_err(|error| {
            tracing::error!(%error, "a lease event could not be signed: its stream is ended");
        });
        let event = LeaseEvent { number: self.number, serial, end, at };
        let signed = event.sign(&self.stream, signer.ok()?.as_ref()).encode();
        self.number += 1;
        let data = Base64::encode_string(&signed);
        Some(Bytes::from(format!("event: {name}\nid: {serial}\ndata: {data}\n\n")))
    }

    /// Waits for an announcement. A stream that fell behind catches up from what the board remembers,
    /// which says that everything is to be asked for anew when it does not remember enough.
    async fn receive(&mut self) -> Option<()> {
        match self.receiver.recv().await {
            Ok(announcement) => {
                self.serial = announcement.serial;
                self.pending.push_back(announcement);
            }
            Err(RecvError::Lagged(_)) => {
                let services = self.engine.services();
                let watch = services.leases.watch(Some(self.serial), services.now());
                self.serial = watch.serial;
                self.pending.extend(watch.missed);
                self.receiver = watch.receiver;
            }
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }
}
