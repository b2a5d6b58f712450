//! The client as a whole, against a server that a test can make do anything.

mod backend;
mod caching;
mod leases;
mod lies;
mod listening;
mod messages;
mod offline;
mod piecewise;
mod renewal;

use keyhaven_shared::ids::DeviceId;

use super::{
    client::Client,
    credential::Credential,
    device::{Device, Enrol},
    device_store::MemoryStore,
    error::Error,
    limits::Limits,
    testing::{HandClock, Mood, Peer, context},
};

/// A client and its server.
struct World {
    clock: HandClock,
    peer: Peer,
    client: Client,
    device: Option<DeviceId>,
}

impl World {
    fn with_token(limits: Limits) -> Self {
        let clock = HandClock::ticking();
        let peer = Peer::new(&clock);
        let token = Credential::new(Peer::TOKEN).unwrap();
        let client = Client::with_token(&peer.endpoint(), token, limits).unwrap();
        Self { clock, peer, client, device: None }
    }

    async fn with_device(limits: Limits) -> Self {
        let clock = HandClock::ticking();
        let peer = Peer::new(&clock);
        let device = device(&peer).await;
        let id = Some(device.id());
        let client = Client::with_device(&peer.endpoint(), device, peer.tickets(), limits).unwrap();
        Self { clock, peer, client, device: id }
    }

    /// One of each kind.
    async fn both() -> [Self; 2] {
        [Self::with_token(Limits::default()), Self::with_device(Limits::default()).await]
    }

    async fn encrypt(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.client.encrypt("app:photos", &context("file", "42"), data).await
    }

    async fn decrypt(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.client.decrypt(message, &context("file", "42")).await
    }

    /// Requests for data keys so far.
    fn asked(&self) -> usize {
        let requests = self.peer.requests();
        requests
            .iter()
            .filter(|path| path.contains("/keys/") && !path.ends_with("/tickets"))
            .count()
    }
}

async fn device(peer: &Peer) -> Device {
    let (store, enrol) = (MemoryStore::default(), Enrol::new());
    Device::open(&peer.endpoint(), &store, &enrol, || async { Ok(peer.ticket()) }).await.unwrap()
}

/// What the code of an error is.
fn code<T>(result: Result<T, Error>) -> String {
    result.err().map_or_else(|| "none".to_owned(), |error| error.code().to_owned())
}
