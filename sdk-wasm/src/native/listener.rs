//! Listens for the server's word that leases end. It is a hint that makes their end come at once.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64ct::{Base64, Encoding};
use futures_util::future::{Either, select};
use keyhaven_shared::lease_event::{LeaseEnd as Told, SignedLeaseEvent, StreamNonce};
use rand_core::Rng;
use tokio::sync::watch;

use super::{
    api::{self, Shown},
    clock::ServerClock,
    device::Device,
    endpoint::Endpoint,
    error::{Error, IntegrityFault, LeaseEnd, TransportError},
    leases::{Ending, Leases},
    lock::locked,
    proof::Signer,
    sse::{Events, ServerSentEvent},
};
use crate::entropy::make_rng;

/// The client's side of its listener: dropping it ends the listener.
pub(crate) struct Listening {
    endpoint: Endpoint,
    /// Until it was started.
    listener: Mutex<Option<Listener>>,
    tried: watch::Receiver<bool>,
    /// Nothing is sent: the task ends when this is dropped.
    lifetime: watch::Sender<()>,
}

/// Keeps a connection to the server's lease events. It ends leases and begins none: a server, or whoever stands
/// before it, can make this client ask again, and nothing else.
struct Listener {
    endpoint: Endpoint,
    device: Device,
    clock: Arc<ServerClock>,
    leases: Arc<Leases>,
    /// Becomes true when the first attempt has connected or failed.
    tried: watch::Sender<bool>,
    /// The newest event that was heard of.
    last: Option<u64>,
    /// Attempts in a row that did not connect.
    failures: u32,
}

/// The server says something every 15 s; a connection that is silent for longer than this is dead.
const SILENCE: Duration = Duration::from_secs(45);
/// A server that is slow to push does not hold up the work: the lease itself is the guarantee.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between attempts, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Listening {
    pub(crate) fn new(
        endpoint: Endpoint,
        device: Device,
        clock: Arc<ServerClock>,
        leases: Arc<Leases>,
    ) -> Self {
        let (tried, is_tried) = watch::channel(false);
        let (last, failures) = (None, 0);
        let listener =
            Listener { endpoint: endpoint.clone(), device, clock, leases, tried, last, failures };
        let (lifetime, _) = watch::channel(());
        Self { endpoint, listener: Mutex::new(Some(listener)), tried: is_tried, lifetime }
    }

    /// Before the first data key comes, somebody listens for its end. Starts that once; waits until it has
    /// connected or failed, but no longer than [`PATIENCE`].
    pub(crate) async fn ready(&self) {
        let listener = locked(&self.listener).take();
        if let Some(listener) = listener {
            let (work, end) =
                (Box::pin(listener.run()), Box::pin(ended(self.lifetime.subscribe())));
            self.endpoint.runtime().spawn(Box::pin(async { drop(select(work, end).await) }));
        }
        let mut tried = self.tried.clone();
        let patience = self.endpoint.runtime().sleep(PATIENCE);
        select(Box::pin(tried.wait_for(|tried| *tried)), patience).await;
    }
}

/// Waits until its sender is dropped.
async fn ended(mut lifetime: watch::Receiver<()>) {
    while lifetime.changed().await.is_ok() {}
}

impl Listener {
    /// Listens, again and again.
    async fn run(mut self) {
        loop {
            // Whatever broke the connection: leases end by themselves, and it is tried again.
            drop(self.listen().await);
            self.tried.send_replace(true);
            self.endpoint.runtime().sleep(pause(self.failures)).await;
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// One connection, to its end.
    ///
    /// # Errors
    /// [`Error::Network`], [`Error::Refused`], and [`Error::Integrity`] for an event that is not this
    /// deployment's, for this stream: then the connection is not believed any further.
    async fn listen(&mut self) -> Result<(), Error> {
        // Events are signed for this name and numbered from 0, so none can be played into another stream, and
        // none be left out unnoticed.
        let stream = make_stream()?;
        let path = match self.last {
            None => format!("/lease-events?stream={stream}"),
            Some(last) => format!("/lease-events?stream={stream}&after={last}"),
        };
        let signer = Signer { keys: self.device.keys(), created: self.clock.seconds() };
        let body = api::events(&self.endpoint, &path, Shown::Device(signer)).await?;
        let mut events = Events::new(body);
        let mut next = 0;
        while let Some(event) = self.next(&mut events).await? {
            // Pings are there to break the silence; what a newer server says besides is passed over.
            if matches!(event.event.as_str(), "hello" | "lease") {
                self.apply(&event, &stream, &mut next)?;
            }
        }
        Ok(())
    }

    /// The next event; a server that has been silent for too long is taken for gone.
    async fn next(&self, events: &mut Events) -> Result<Option<ServerSentEvent>, Error> {
        let silence = self.endpoint.runtime().sleep(SILENCE);
        match select(Box::pin(events.next()), silence).await {
            Either::Left((event, _)) => event.map_err(Error::Network),
            Either::Right(_) => Err(Error::Network(TransportError::new("the server is silent"))),
        }
    }

    /// Ends what an event says. One that was heard before is passed over; when one is missing, it may have
    /// ended any lease.
    fn apply(
        &mut self,
        event: &ServerSentEvent,
        stream: &StreamNonce,
        next: &mut u64,
    ) -> Result<(), IntegrityFault> {
        let enrolment = self.device.enrolment();
        let bytes = Base64::decode_vec(&event.data).map_err(|_| IntegrityFault::Answer)?;
        let signed = SignedLeaseEvent::parse(&bytes).map_err(|_| IntegrityFault::Answer)?;
        let event = signed
            .verify(stream, &enrolment.issuer, enrolment.deployment, self.clock.seconds())
            .map_err(|_| IntegrityFault::Answer)?;
        if event.number < *next {
            return Ok(());
        }
        if event.number > *next {
            self.leases.hear(Ending {
                key: None,
                reason: LeaseEnd::EventsMissed,
                at: Duration::MAX,
            });
        }
        // Taken down before it is acted upon: a later connection asks for what came after it.
        *next = event.number.saturating_add(1);
        self.last = Some(event.serial);
        let (key, reason) = match event.end {
            Told::KeyStopped(key) => (Some(key), LeaseEnd::KeyStopped),
            // Nothing was withdrawn: messages at work go on under the version that they name.
            Told::KeyRotated(key, version) => {
                self.leases.rotations().hear(key, version);
                return Ok(());
            }
            Told::PolicyChanged => (None, LeaseEnd::PolicyChanged),
            Told::DeviceRevoked(device) if device == self.device.id() => {
                (None, LeaseEnd::DeviceRevoked)
            }
            Told::DeviceRevoked(_) => return Ok(()),
            Told::Nothing => {
                self.failures = 0;
                self.tried.send_replace(true);
                return Ok(());
            }
        };
        self.leases.hear(Ending { key, reason, at: Duration::from_secs(event.at) });
        Ok(())
    }
}

/// The name of a stream that was never opened before.
fn make_stream() -> Result<StreamNonce, Error> {
    let mut nonce = [0; 32];
    make_rng()?.fill_bytes(&mut nonce);
    Ok(StreamNonce::from_random(nonce))
}

/// Longer after each failure, and not the same in every client: between half and all of it.
fn pause(failures: u32) -> Duration {
    let all = FIRST_PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE);
    let share = make_rng().map_or(0, |mut rng| rng.next_u32() % 1000);
    all / 2 + all * share / 2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_differ() {
        for failures in [0, 1, 5, 6, 7, 40, u32::MAX] {
            let all = FIRST_PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE);
            let paused = pause(failures);
            assert!(paused >= all / 2 && paused <= all, "{failures}: {paused:?}");
        }
        assert!((0..20).any(|_| pause(9) != pause(9)));
    }
}
