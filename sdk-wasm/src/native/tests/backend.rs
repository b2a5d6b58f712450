//! What a backend mints.

use super::{Credential, HandClock, Mood, Peer, code, context};
use crate::native::{
    client::Client,
    device::{Device, Enrol},
    device_store::MemoryStore,
    error::SourceError,
    limits::Limits,
    minting::{Minting, TicketTerms},
    tickets::DeviceOperation,
};

fn minting() -> (Peer, Minting) {
    let peer = Peer::new(&HandClock::ticking());
    let minting = Minting::new(&peer.endpoint(), Credential::new(Peer::TOKEN).unwrap());
    (peer, minting)
}

#[tokio::test(start_paused = true)]
async fn a_backend_mints_what_its_users_devices_need() {
    let (peer, minting) = minting();
    let token = minting.enrolment_token("writer", Some("https://app.example")).await.unwrap();
    assert_eq!((token.id.as_str(), token.expires_at), ("e-1", 5));
    let context = context("file", "42");
    let terms = TicketTerms::new("writer", "app:photos", DeviceOperation::UnsealDataKey, &context);
    let ticket = minting.ticket(&terms.uses(2).seconds(60).with_more_context()).await.unwrap();
    assert_eq!(ticket.id, "t-1");
    assert_eq!(peer.requests(), ["/api/v1/enrolment-tokens", "/api/v1/keys/app:photos/tickets"]);
    let document = peer.request_to("/tickets");
    assert_eq!(
        document,
        serde_json::json!({
            "subject": "writer", "operations": ["UnsealDataKey"], "context": { "file": "42" },
            "context_exact": false, "device": null, "uses": 2, "expires_in_s": 60,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_or_impossible_ticket_is_an_error() {
    let (peer, minting) = minting();
    let context = context("file", "42");
    let terms = |key| TicketTerms::new("writer", key, DeviceOperation::DeliverDataKey, &context);
    assert_eq!(code(minting.ticket(&terms("a/b")).await), "invalid_argument");
    peer.be(Mood::Refusing(403, "access_denied"));
    assert_eq!(code(minting.ticket(&terms("photos")).await), "access_denied");
}

#[tokio::test(start_paused = true)]
async fn a_program_may_mint_for_a_device_of_its_own() {
    let (peer, minting) = minting();
    let enrol = || async {
        let token = minting.enrolment_token("worker", None).await.map_err(SourceError::new)?;
        Credential::new(token.text).map_err(SourceError::new)
    };
    let (endpoint, store) = (peer.endpoint(), MemoryStore::default());
    let device = Device::open(&endpoint, &store, &Enrol::new(), enrol).await.unwrap();
    let id = device.id();
    let tickets = minting.for_subject("worker");
    let client = Client::with_device(&endpoint, device, tickets, Limits::default()).unwrap();
    let message = client.encrypt("app:photos", &context("file", "42"), b"data").await.unwrap();
    let document = peer.request_to("/tickets");
    assert_eq!(document["subject"], "worker");
    assert_eq!(document["device"], id.to_string());
    assert_eq!((&document["context_exact"], &document["uses"]), (&true.into(), &1.into()));
    assert_eq!(client.decrypt(&message, &context("file", "42")).await.unwrap(), b"data");
}

#[tokio::test(start_paused = true)]
async fn a_source_without_tickets_and_a_ticket_that_is_spent_are_errors() {
    let (peer, _) = minting();
    let device = super::device(&peer).await;
    let limits = Limits::default();
    let away = |_| std::future::ready(Err(SourceError::new("the backend is away")));
    let client = Client::with_device(&peer.endpoint(), device.clone(), away, limits).unwrap();
    let refused = client.encrypt("photos", &context("file", "42"), b"").await;
    assert_eq!(code(refused), "ticket_source_failed");
    let never = |_| std::future::pending();
    let client = Client::with_device(&peer.endpoint(), device.clone(), never, limits).unwrap();
    assert_eq!(code(client.encrypt("photos", &context("file", "42"), b"").await), "network_failed");
    let same = |_| std::future::ready(Credential::new("ticket").map_err(SourceError::new));
    let client = Client::with_device(&peer.endpoint(), device, same, limits).unwrap();
    client.encrypt("photos", &context("file", "42"), b"").await.unwrap();
    let refused = client.encrypt("photos", &context("file", "43"), b"").await;
    assert_eq!(code(refused), "ticket_spent");
}
