//! A server in memory, an admin, users and devices, and how they send requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use keyhaven_engine::{
    conformance::{
        memory_environment::MemoryEnvironment, memory_hsm::MemoryHsm, memory_store::MemoryStore,
    },
    engine::Engine,
    port::{Ports, environment::Environment, hsm::Hsm, store::Store},
    start::start,
};
use keyhaven_shared::{
    device::DevicePublicKeys,
    hpke::{MlKemPrivateKey, SealingPublicKey, SealingSuite},
    http_signature::{ContentDigest, SignatureParams, signature_base, signature_header},
    secret::MlKemSeed,
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use serde_json::{Value, json};

use crate::{
    AuditFuture, AuditReader, AuditUnavailable, Peer, Reply, Settings, Wire,
    native::{
        BASE,
        routes::{Accepts, Route},
    },
};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const PAGE: &str = "https://app.example";

pub(crate) struct World {
    pub(crate) wire: Wire,
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) hsm: Arc<MemoryHsm>,
    pub(crate) environment: Arc<MemoryEnvironment>,
    pub(crate) admin: User,
    devices: AtomicU8,
}

/// Who can send every kind of request.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) device: Device,
}

/// A request to be.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

struct StoreReader(Arc<MemoryStore>);

impl AuditReader for StoreReader {
    fn read(&self, from: u64, limit: usize) -> AuditFuture<'_, Vec<Value>> {
        Box::pin(async move {
            let entries = self.0.entries(from, limit).await.map_err(|_| AuditUnavailable)?;
            Ok(entries.iter().map(|(_, entry)| serde_json::from_slice(entry).unwrap()).collect())
        })
    }

    fn end(&self) -> AuditFuture<'_, u64> {
        Box::pin(async move { self.0.next_index().await.map_err(|_| AuditUnavailable) })
    }

    fn news(&self, _: u64, _: Duration) -> AuditFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let (hsm, environment) = (MemoryHsm::new(1), MemoryEnvironment::at(NOW));
        let (hsm, environment) = (Arc::new(hsm), Arc::new(environment));
        let ports = Ports {
            store: Arc::clone(&store) as Arc<dyn Store>,
            hsm: Arc::clone(&hsm) as Arc<dyn Hsm>,
            environment: Arc::clone(&environment) as Arc<dyn Environment>,
        };
        let started = start(ports, true).await.unwrap();
        let token = started.admin_token.unwrap().to_string();
        let engine = Arc::new(started.engine);
        let settings = Settings {
            allowed_origins: vec![PAGE.to_owned(), "null".to_owned()],
            ..Settings::default()
        };
        let wire =
            Wire::new(Arc::clone(&engine), Arc::new(StoreReader(Arc::clone(&store))), settings);
        let admin = User { name: "admin".to_owned(), token, device: Device::new(1) };
        let devices = AtomicU8::new(2);
        let world = Self { wire, engine, store, hsm, environment, admin, devices };
        world.enrol(&world.admin.name, &world.admin.device).await;
        world
    }

    /// A principal with a token and a device.
    pub(crate) async fn user(&self, name: &str) -> User {
        self.ask("POST", "/principals", json!({ "name": name })).await;
        let token = self.ask("POST", &format!("/principals/{name}/tokens"), json!({})).await;
        let device = self.new_device();
        self.enrol(name, &device).await;
        User { name: name.to_owned(), token: token["token"].as_str().unwrap().to_owned(), device }
    }

    pub(crate) fn new_device(&self) -> Device {
        Device::new(self.devices.fetch_add(1, Ordering::SeqCst))
    }

    async fn enrol(&self, name: &str, device: &Device) {
        let body = json!({ "keys": device.encoded() }).to_string().into_bytes();
        let sample = Sample { target: format!("{BASE}/devices"), body, headers: vec![] };
        let token = self.ask("POST", "/enrolment-tokens", json!({ "subject": name })).await;
        let mut sample = sample.json().signed(device, "POST");
        sample.header(
            "authorization",
            format!("Keyhaven-Enrolment {}", token["token"].as_str().unwrap()),
        );
        assert_eq!(self.send(&Method::POST, &sample).await.status(), 201);
    }

    /// What the admin is answered; panics at a refusal.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        let mut sample = Sample { target: format!("{BASE}{path}"), body, headers: vec![] }.json();
        sample.header("authorization", format!("Bearer {}", self.admin.token));
        let response = self.send(&method.parse().unwrap(), &sample).await;
        let text = String::from_utf8_lossy(response.body()).into_owned();
        assert!(response.status().is_success(), "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The same request, signed anew where a device signs: the same proof is accepted once.
    pub(crate) fn again(&self, route: &Route, user: &User, sample: &Sample) -> Sample {
        match route.accepts {
            Accepts::Token | Accepts::Enrolment => sample.clone(),
            Accepts::Ticket | Accepts::Device => {
                sample.unsigned().signed(&user.device, route.method.as_str())
            }
        }
    }

    /// Adds the credential that the route accepts.
    pub(crate) async fn sign(&self, route: &Route, user: &User, mut sample: Sample) -> Sample {
        let method = route.method.as_str();
        match route.accepts {
            Accepts::Token => sample.header("authorization", format!("Bearer {}", user.token)),
            Accepts::Device => return sample.signed(&user.device, method),
            Accepts::Ticket => {
                let wanted = json!({
                    "subject": user.name, "operations": ["DeliverDataKey", "UnsealDataKey"],
                });
                let minted = self.ask("POST", "/keys/photos/tickets", wanted).await;
                let ticket = minted["ticket"].as_str().unwrap();
                sample.header("authorization", format!("Keyhaven-Ticket {ticket}"));
                return sample.signed(&user.device, method);
            }
            Accepts::Enrolment => {
                let wanted = json!({ "subject": user.name });
                let minted = self.ask("POST", "/enrolment-tokens", wanted).await;
                let token = minted["token"].as_str().unwrap();
                sample.header("authorization", format!("Keyhaven-Enrolment {token}"));
                let device = self.new_device();
                let text = String::from_utf8_lossy(&sample.body);
                sample.body = text.replace("DEVICE KEYS", &device.encoded()).into_bytes();
                return sample.signed(&device, method);
            }
        }
        sample
    }

    pub(crate) async fn reply(&self, method: &Method, sample: &Sample) -> Reply {
        let mut request = Request::builder().method(method).uri(&sample.target);
        for (name, value) in &sample.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Bytes::from(sample.body.clone())).unwrap();
        let peer = Peer { source: "192.0.2.1".into(), request_id: "request-1".into() };
        let mut reply = self.wire.serve(request, peer).await;
        let headers = reply.headers_mut();
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(
            headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
        );
        assert_eq!(headers["x-request-id"], "request-1");
        reply
    }

    /// The response; of a stream only its head.
    pub(crate) async fn send(&self, method: &Method, sample: &Sample) -> Response<Bytes> {
        match self.reply(method, sample).await {
            Reply::Whole(response) => response,
            Reply::Events(feed) => feed.head().clone().map(|()| Bytes::new()),
        }
    }

    /// The status and the code of a refusal, which must be a problem document.
    pub(crate) async fn refusal(&self, method: &Method, sample: &Sample) -> (u16, String) {
        let response = self.send(method, sample).await;
        let status = response.status().as_u16();
        let text = String::from_utf8_lossy(response.body()).into_owned();
        assert!(status >= 400, "{method} {} was done: {status} {text}", sample.target);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], "request-1");
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        (status, problem["code"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn last_audit(&self) -> Value {
        let entries = self.store.entries(0, usize::MAX).await.unwrap();
        serde_json::from_slice(&entries.last().unwrap().1).unwrap()
    }

    pub(crate) async fn audit_size(&self) -> usize {
        self.store.entries(0, usize::MAX).await.unwrap().len()
    }
}

impl Sample {
    pub(crate) fn header(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.push((name, value.into()));
    }

    pub(crate) fn without(&self, name: &str) -> Self {
        let headers = self.headers.iter().filter(|(known, _)| *known != name).cloned();
        Self { headers: headers.collect(), ..self.clone() }
    }

    pub(crate) fn unsigned(&self) -> Self {
        self.without("content-digest").without("signature-input").without("signature")
    }

    /// Says that the body is JSON, if there is one.
    pub(crate) fn json(mut self) -> Self {
        if !self.body.is_empty() {
            self.header("content-type", "application/json");
        }
        self
    }

    pub(crate) fn signed(mut self, device: &Device, method: &str) -> Self {
        let nonce = make_nonce();
        let params = SignatureParams { created: NOW, nonce, device: device.keys.thumbprint() };
        let digest = ContentDigest::of(&self.body);
        let base = signature_base(method, &self.target, &digest, &params).unwrap();
        let signature: Signature = device.signing.sign(base.as_bytes());
        self.header("content-digest", digest.to_string());
        self.header("signature-input", params.signature_input());
        self.header("signature", signature_header(&signature.to_bytes().into()));
        self
    }
}

/// One that no other call gives.
fn make_nonce() -> [u8; 16] {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&MADE.fetch_add(1, Ordering::SeqCst).to_be_bytes());
    nonce
}

/// A device as a browser would be one.
pub(crate) struct Device {
    pub(crate) keys: DevicePublicKeys,
    signing: SigningKey,
}

impl Device {
    fn new(byte: u8) -> Self {
        let signing = SigningKey::from_slice(&[byte; 32]).unwrap();
        let seed = MlKemSeed::fill_with(|bytes| bytes.fill(byte));
        let private = x25519_dalek::StaticSecret::from([byte; 32]);
        let public = x25519_dalek::PublicKey::from(&private).to_bytes();
        let public = [MlKemPrivateKey::from_seed(&seed).public_key(), public.into()].concat();
        let sealing = SealingPublicKey::new(SealingSuite::MlKem768X25519Aes256Gcm, &public);
        let point = signing.verifying_key().to_sec1_point(false);
        let keys = DevicePublicKeys::new(vec![sealing.unwrap()], point.as_bytes()).unwrap();
        Self { keys, signing }
    }

    pub(crate) fn encoded(&self) -> String {
        base64(&self.keys.encode())
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    Base64::encode_string(bytes)
}
