//! Server-sent events that tell a device which of its leases have ended.
//!
//! The format is that of the HTML standard (`text/event-stream`): lines `event`, `id` and `data`,
//! and an empty line. What is inside is signed for one stream, numbered from 0, so a relay can
//! withhold events, and not forge, repeat or reorder them unseen. Withholding delays an end until
//! the lease's own.

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

/// The stream of one device. It begins with what the device missed, then `hello` says that this was
/// all; then [`Self::next`] waits for events. Whoever drives it sends [`Self::ping`] each 15
/// seconds in which nothing came, so that both ends notice a connection that is gone.
///
/// Opening it was decided and recorded; it is not decided again while it goes on. It ends with the
/// device's own revocation, when an event cannot be signed, or with the server.
pub struct EventFeed {
    engine: Arc<Engine>,
    /// Status and headers, which go out before the first event.
    head: Response<()>,
    /// Whose leases are meant: events that do not concern it are passed over.
    device: DeviceId,
    /// The device's nonce, which every event is signed for.
    stream: StreamNonce,
    /// Number of the next event.
    number: u64,
    /// Whether `hello` was sent.
    greeted: bool,
    /// Whether the last event was the last: the device was revoked.
    ended: bool,
    /// The newest announcement seen, told or not.
    serial: u64,
    /// What was announced and not yet told.
    pending: VecDeque<Announcement>,
    receiver: Receiver<Announcement>,
}

impl EventFeed {
    /// Follows what ends for `device`, from now on or after the event `after`. From here on no
    /// announcement is missed: what was before is read in the same step.
    pub(crate) fn new(
        engine: Arc<Engine>,
        (device, stream): (DeviceId, StreamNonce),
        after: Option<u64>,
    ) -> Self {
        let services = engine.services();
        let Watch { missed, serial, receiver } = services.leases.watch(after, services.now());
        let mut head = Response::new(());
        head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        // Proxies must not hold events back. nginx obeys this header.
        head.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        let (number, greeted, ended, pending) = (0, false, false, missed.into());
        Self { engine, head, device, stream, number, greeted, ended, serial, pending, receiver }
    }

    /// Status and headers. 200, always: what could be refused was refused before.
    #[must_use]
    pub const fn head(&self) -> &Response<()> {
        &self.head
    }

    /// Notes for the server's counters, which are not sent.
    pub(crate) fn extensions_mut(&mut self) -> &mut Extensions {
        self.head.extensions_mut()
    }

    /// The headers, to be finished like those of any reply.
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        self.head.headers_mut()
    }

    /// What to send when nothing came for 15 seconds. Neither signed nor numbered: it says that the
    /// connection lives, and nothing else.
    #[must_use]
    pub const fn ping() -> Bytes {
        Bytes::from_static(b"event: ping\ndata: {}\n\n")
    }

    /// The next chunk; `None` at the end of the stream. Dropping the future loses no event. A chunk
    /// is one whole event. At the end a device opens a new stream, and learns by the serial what it
    /// missed.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            while let Some(announcement) = self.pending.front().copied() {
                // It leaves the queue only after it was signed: a future that is dropped at the
                // await loses nothing.
                let chunk = self.tell(announcement).await?;
                self.pending.pop_front();
                if chunk.is_some() {
                    return chunk;
                }
            }
            // Looked at when the queue is empty: what was announced beside the revocation is still
            // told.
            if self.ended {
                return None;
            }
            if !self.greeted {
                let at = self.engine.services().now();
                // Signed like an event: only with it does the device know that nothing was kept
                // from it.
                let all = Announcement { serial: self.serial, end: LeaseEnd::Nothing, at };
                let hello = self.chunk("hello", all).await?;
                self.greeted = true;
                return Some(hello);
            }
            self.receive().await?;
        }
    }

    /// The chunk for an announcement; `Some(None)` when it does not concern the device. `None` ends
    /// the stream.
    async fn tell(&mut self, announcement: Announcement) -> Option<Option<Bytes>> {
        if !self.engine.services().leases.concerns(self.device, announcement.end) {
            return Some(None);
        }
        let chunk = self.chunk("lease", announcement).await?;
        self.ended |= announcement.end == LeaseEnd::DeviceRevoked(self.device);
        Some(Some(chunk))
    }

    /// The next event of the stream. `None` when it cannot be signed: an unsigned one would be of
    /// no use, and a silent gap would be worse than the end of the stream.
    async fn chunk(&mut self, name: &str, announcement: Announcement) -> Option<Bytes> {
        let Announcement { serial, end, at } = announcement;
        let signer = self.engine.services().issuer.signer().await.inspect_err(|error| {
            tracing::error!(%error, "a lease event could not be signed: its stream is ended");
        });
        // The number is the stream's, the serial the server's: a device counts by the one and comes
        // back by the other.
        let event = LeaseEvent { number: self.number, serial, end, at };
        let signed = event.sign(&self.stream, signer.ok()?.as_ref()).encode();
        // Only now: a number that was given to nothing would look like a lost event.
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
            // The channel holds fewer than the board remembers, so most streams lose nothing by it.
            Err(RecvError::Lagged(_)) => {
                let services = self.engine.services();
                let watch = services.leases.watch(Some(self.serial), services.now());
                self.serial = watch.serial;
                self.pending.extend(watch.missed);
                self.receiver = watch.receiver;
            }
            // The board is gone, and with it the server.
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }
}
