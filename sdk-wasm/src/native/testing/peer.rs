//! A server with one key, played by the shared crate: so that a test can make it lie, stall and replay.

mod answers;

pub(crate) use self::answers::signed_message;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use futures_util::{StreamExt, future::pending, stream};
use http::{Request, Response};
use keyhaven_shared::{
    context::EncryptionContext,
    device::DevicePublicKeys,
    ids::{DeploymentId, DeviceId, KeyId, KeyringId, Version},
    issuer::{NodeClaims, NodeSigner},
    lease_event::{LeaseEnd, LeaseEvent, StreamNonce},
    secret::SigningSeed,
};
use serde_json::Value;
use tokio::sync::mpsc;

use super::hands::{HandClock, START};
use crate::native::{
    credential::Credential,
    endpoint::Endpoint,
    error::{SourceError, TransportError},
    lock::locked,
    tickets::TicketRequest,
    transport::{Body, BoxFuture, Transport},
};

/// How the server answers.
#[derive(Clone)]
pub(crate) enum Mood {
    Honest,
    /// With this status and code.
    Refusing(u16, &'static str),
    /// Never.
    Stalling,
    /// With a head, the beginning of a body, and then nothing.
    StallingAmid,
    /// The connection breaks amid the body.
    Breaking,
    /// No connection.
    Away,
    /// With this status and these bytes.
    Saying(u16, Vec<u8>),
    /// With what it answered last.
    Replaying,
    /// With its answer, changed.
    Changing(Arc<dyn Fn(&mut Value) + Send + Sync>),
}

/// The server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Peer(Arc<Mutex<State>>);

struct State {
    clock: HandClock,
    signer: NodeSigner,
    /// What new data keys are encrypted under.
    place: (KeyId, Version),
    mood: Mood,
    enrolled: HashMap<DeviceId, DevicePublicKeys>,
    spent: HashSet<String>,
    /// Proofs dated before it are refused.
    floor: u64,
    tickets: u64,
    /// Paths and documents.
    requests: Vec<(String, Value)>,
    last_answer: Vec<u8>,
    delay: Duration,
    events: Events,
}

/// The stream of lease events.
#[derive(Default)]
struct Events {
    listeners: Vec<Listener>,
    /// What was told so far, and when: the event of serial 1, 2, …
    told: Vec<(LeaseEnd, u64)>,
    /// The queries of those who came to listen.
    queries: Vec<String>,
    refusing: bool,
    mute: bool,
}

/// One who listens, to a stream of its own.
struct Listener {
    sender: mpsc::UnboundedSender<Bytes>,
    stream: StreamNonce,
    /// Number of its next event.
    number: u64,
}

impl Listener {
    /// Tells an event, signed for this stream; gives it.
    fn hear(
        &mut self,
        (kind, serial): (&str, usize),
        (end, at): (LeaseEnd, u64),
        signer: &NodeSigner,
    ) -> String {
        let event = LeaseEvent { number: self.number, serial: serial as u64, end, at };
        self.number += 1;
        let signed = Base64::encode_string(&event.sign(&self.stream, signer).encode());
        let text = format!("event: {kind}\ndata: {signed}\n\n");
        drop(self.sender.send(text.clone().into()));
        text
    }
}

/// A context of one pair.
pub(crate) fn context(key: &str, value: &str) -> EncryptionContext {
    EncryptionContext::from_pairs([(key.to_owned(), value.to_owned())]).unwrap()
}

impl Peer {
    pub(crate) const KEY: KeyId = KeyId::from_bytes([6; 16]);
    pub(crate) const KEYRING: KeyringId = KeyringId::from_bytes([5; 16]);
    pub(crate) const DEPLOYMENT: DeploymentId = DeploymentId::from_bytes([1; 16]);
    pub(crate) const TOKEN: &str = "kh1.token";

    /// A server whose clock is right.
    pub(crate) fn new(clock: &HandClock) -> Self {
        Self(Arc::new(Mutex::new(State {
            clock: clock.clone(),
            signer: signer(2),
            place: (Self::KEY, Version::FIRST),
            mood: Mood::Honest,
            enrolled: HashMap::new(),
            spent: HashSet::new(),
            floor: 0,
            tickets: 0,
            requests: Vec::new(),
            last_answer: Vec::new(),
            delay: Duration::ZERO,
            events: Events::default(),
        })))
    }

    /// How to reach it.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let clock = locked(&self.0).clock.clone();
        Endpoint::new("https://keys.example", self.clone(), clock).unwrap()
    }

    /// Answers so from now on.
    pub(crate) fn be(&self, mood: Mood) {
        locked(&self.0).mood = mood;
    }

    /// Answers so much later from now on.
    pub(crate) fn delay_answers(&self, delay: Duration) {
        locked(&self.0).delay = delay;
    }

    /// Refuses proofs dated sooner than so many seconds from now, as a server does that has just begun anew.
    pub(crate) fn refuse_proofs_before(&self, seconds: u64) {
        let mut state = locked(&self.0);
        state.floor = state.now() + seconds;
    }

    /// The paths that were asked for, but not that of events.
    pub(crate) fn requests(&self) -> Vec<String> {
        locked(&self.0).requests.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The newest document that was sent to a path with this end.
    pub(crate) fn request_to(&self, end: &str) -> Value {
        let state = locked(&self.0);
        let found = state.requests.iter().rfind(|(path, _)| path.ends_with(end));
        found.unwrap().1.clone()
    }

    /// A ticket of this server, good once.
    pub(crate) fn ticket(&self) -> Credential {
        let mut state = locked(&self.0);
        state.tickets += 1;
        Credential::new(format!("ticket-{}", state.tickets)).unwrap()
    }

    /// A source of such tickets.
    pub(crate) fn tickets(
        &self,
    ) -> impl Fn(TicketRequest) -> std::future::Ready<Result<Credential, SourceError>> + use<> {
        let peer = self.clone();
        move |_| std::future::ready(Ok(peer.ticket()))
    }

    /// Tells all listeners, signed, that leases of up to now end; gives what one of them was told.
    pub(crate) fn end(&self, end: LeaseEnd) -> String {
        let mut state = locked(&self.0);
        let told = (end, state.now());
        let State { signer, events, .. } = &mut *state;
        events.told.push(told);
        let serial = events.told.len();
        let texts =
            events.listeners.iter_mut().map(|one| one.hear(("lease", serial), told, signer));
        texts.last().unwrap_or_default()
    }

    /// Rotates the key, and tells.
    pub(crate) fn rotate(&self) {
        let next = locked(&self.0).place.1.next().unwrap();
        locked(&self.0).place.1 = next;
        self.end(LeaseEnd::KeyRotated(Self::KEY, next));
    }

    /// The key's name means another key from now on.
    pub(crate) fn rename(&self) {
        locked(&self.0).place = (KeyId::from_bytes([8; 16]), Version::FIRST);
    }

    /// As [`Self::end`], signed by another deployment's node.
    pub(crate) fn forge(&self, end: LeaseEnd) {
        let mut state = locked(&self.0);
        for listener in &mut state.events.listeners {
            listener.hear(("lease", 1_000_000), (end, u64::MAX), &signer(9));
        }
    }

    /// Loses the next event on its way to each listener.
    pub(crate) fn lose_one(&self) {
        locked(&self.0).events.listeners.iter_mut().for_each(|listener| listener.number += 1);
    }

    /// Says something to all listeners.
    pub(crate) fn tell(&self, text: &str) {
        let text = Bytes::copy_from_slice(text.as_bytes());
        locked(&self.0)
            .events
            .listeners
            .retain(|listener| listener.sender.send(text.clone()).is_ok());
    }

    /// Cuts all listeners' connections.
    pub(crate) fn cut(&self) {
        locked(&self.0).events.listeners.clear();
    }

    /// Refuses listeners, or accepts them again.
    pub(crate) fn refuse_listeners(&self, refusing: bool) {
        locked(&self.0).events.refusing = refusing;
    }

    /// Accepts listeners and says nothing to them.
    pub(crate) fn be_mute(&self) {
        locked(&self.0).events.mute = true;
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        let mut state = locked(&self.0);
        state.events.listeners.retain(|listener| !listener.sender.is_closed());
        state.events.listeners.len()
    }

    /// The queries of those who came to listen.
    pub(crate) fn queries(&self) -> Vec<String> {
        locked(&self.0).events.queries.clone()
    }
}

impl State {
    fn now(&self) -> u64 {
        self.clock.true_time()
    }

    fn hear(
        &mut self,
        request: &Request<Vec<u8>>,
    ) -> Result<Result<Response<Body>, Heard>, TransportError> {
        let mood = self.mood.clone();
        if matches!(mood, Mood::Away) {
            return Err(TransportError::new("no route to host"));
        }
        if request.uri().path() == "/api/v1/lease-events" {
            let (now, query) = (self.now(), request.uri().query().unwrap_or_default());
            if answers::params(request).created < self.floor {
                let problem = br#"{"code":"device_proof_too_old","detail":"","request_id":"r-1"}"#;
                let refused = Response::builder().status(401).body(body(vec![problem.to_vec()]));
                return Ok(Ok(refused.unwrap()));
            }
            return Ok(Ok(self.events.listen(query, now, &self.signer)));
        }
        let document = serde_json::from_slice(request.body()).unwrap();
        self.requests.push((request.uri().path().to_owned(), document));
        let (status, answer) = self.answer(request);
        let answer = serde_json::to_vec(&answer).unwrap();
        let honest = std::mem::replace(&mut self.last_answer, answer.clone());
        Ok(Err(Heard { mood, delay: self.delay, status, answer, honest }))
    }
}

impl Events {
    fn listen(&mut self, query: &str, now: u64, signer: &NodeSigner) -> Response<Body> {
        self.queries.push(query.to_owned());
        if self.refusing {
            return Response::builder().status(503).body(body(Vec::new())).unwrap();
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        let value = |name| query.split('&').find_map(|pair| pair.strip_prefix(name));
        let stream = value("stream=").unwrap().parse().unwrap();
        let mut listener = Listener { sender, stream, number: 0 };
        let after = value("after=").map_or(self.told.len(), |after| after.parse().unwrap());
        for (index, told) in self.told.iter().enumerate().skip(after) {
            listener.hear(("lease", index + 1), *told, signer);
        }
        if !self.mute {
            listener.hear(("hello", self.told.len()), (LeaseEnd::Nothing, now), signer);
        }
        self.listeners.push(listener);
        let pieces = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|piece| (Ok(piece), receiver))
        });
        Response::new(Box::pin(pieces))
    }
}

impl Transport for Peer {
    fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        let heard = locked(&self.0).hear(&request);
        Box::pin(async move {
            let Heard { mood, delay, status, answer, honest } = match heard? {
                Ok(listening) => return Ok(listening),
                Err(heard) => heard,
            };
            tokio::time::sleep(delay).await;
            let (status, body) = match mood {
                Mood::Honest | Mood::Away => (status, body(vec![answer])),
                Mood::Refusing(status, code) => {
                    let problem = serde_json::json!({
                        "code": code, "detail": "because", "request_id": "r-1", "new": true
                    });
                    (status, body(vec![problem.to_string().into_bytes()]))
                }
                Mood::Stalling => pending().await,
                Mood::StallingAmid => {
                    let beginning = body(vec![answer[..10].to_vec()]);
                    (200, Box::pin(beginning.chain(stream::pending())) as Body)
                }
                Mood::Breaking => {
                    let broken = stream::iter([Err(TransportError::new("connection reset"))]);
                    (200, Box::pin(body(vec![answer[..10].to_vec()]).chain(broken)) as Body)
                }
                Mood::Saying(status, bytes) => (status, body(vec![bytes])),
                Mood::Replaying => (200, body(vec![honest])),
                Mood::Changing(change) => {
                    let mut document = serde_json::from_slice(&answer).unwrap();
                    change(&mut document);
                    (status, body(vec![serde_json::to_vec(&document).unwrap()]))
                }
            };
            Ok(Response::builder().status(status).body(body).unwrap())
        })
    }
}

/// A request, and what would be its honest answer.
struct Heard {
    mood: Mood,
    delay: Duration,
    status: u16,
    answer: Vec<u8>,
    /// The answer before.
    honest: Vec<u8>,
}

fn body(pieces: Vec<Vec<u8>>) -> Body {
    Box::pin(stream::iter(pieces.into_iter().map(|piece| Ok(piece.into()))))
}

/// A node of the deployment, certified by the issuer whose seed is all `byte`.
fn signer(byte: u8) -> NodeSigner {
    let seed = SigningSeed::fill_with(|seed| seed.fill(3));
    let claims = NodeClaims {
        deployment: Peer::DEPLOYMENT,
        node_public_key: NodeSigner::public_key(&seed),
        not_before: START - 3600,
        not_after: START + 20 * 3600,
    };
    let issuer = ed25519_dalek::SigningKey::from_bytes(&[byte; 32]);
    let signature = ed25519_dalek::Signer::sign(&issuer, &claims.to_be_signed()).to_bytes();
    NodeSigner::new(&seed, claims.certified(signature)).unwrap()
}

/// The issuer's public key.
pub(crate) fn issuer() -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes()
}

/// Waits in tokio's paused time until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not so after 1000 s");
}
