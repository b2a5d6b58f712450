//! A small installation for tests: an engine, a clock, an admin, users and devices.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use keyhaven_shared::{
    context::EncryptionContext,
    delivery::UsageFlags,
    device::DevicePublicKeys,
    hpke::{MlKemPrivateKey, SealingPublicKey, SealingSuite},
    http_signature::{ContentDigest, SignatureParams, signature_base, signature_header},
    key_spec::{Distribution, KeySpec},
    operation::Operation,
    secret::{MlKemSeed, SealingPrivateKey},
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use zeroize::Zeroizing;

use crate::{
    authenticate::{Presented, Proof, authenticate},
    caller::{Caller, RequestInfo},
    conformance::{
        memory_environment::MemoryEnvironment, memory_hsm::MemoryHsm, memory_store::MemoryStore,
    },
    engine::Engine,
    error::Error,
    name::KeyName,
    op::{
        crypt::{Decrypt, Encrypt},
        data_key::{DeliverDataKey, SealedDataKey, UnsealDataKey, Wish},
        device::EnrolDevice,
        key::CreateKey,
        policy::PutPolicy,
        principal::CreatePrincipal,
        ticket::{MintEnrolmentToken, MintTicket},
        token::IssueToken,
    },
    port::{Ports, store::Store},
    record::Key,
    start::start,
};

pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) hsm: Arc<MemoryHsm>,
    pub(crate) environment: Arc<MemoryEnvironment>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) admin_token: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let hsm = Arc::new(MemoryHsm::new(1));
        let environment = Arc::new(MemoryEnvironment::at(NOW));
        let ports = Ports {
            store: Arc::clone(&store) as Arc<dyn Store>,
            hsm: Arc::clone(&hsm) as _,
            environment: Arc::clone(&environment) as _,
        };
        let started = start(ports, true).await.unwrap();
        let admin_token = started.admin_token.unwrap().to_string();
        Self { store, hsm, environment, engine: Arc::new(started.engine), admin_token }
    }

    pub(crate) fn ports(&self) -> Ports {
        Ports {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            hsm: Arc::clone(&self.hsm) as _,
            environment: Arc::clone(&self.environment) as _,
        }
    }

    pub(crate) async fn caller(&self, presented: Presented<'_>) -> Result<Caller, Error> {
        authenticate(self.engine.services(), presented, request()).await
    }

    pub(crate) async fn admin(&self) -> Caller {
        self.caller(Presented::Token(&self.admin_token)).await.unwrap()
    }

    /// A principal with a token.
    pub(crate) async fn user(&self, name: &str) -> Caller {
        let token = self.user_token(name).await;
        self.caller(Presented::Token(&token)).await.unwrap()
    }

    /// The token of a new principal.
    pub(crate) async fn user_token(&self, name: &str) -> String {
        let admin = self.admin().await;
        let create = CreatePrincipal { name: name.into(), groups: vec!["users".into()] };
        self.engine.execute(&admin, &create).await.unwrap();
        let issue = IssueToken { principal: name.into(), expires_in_days: 1 };
        self.engine.execute(&admin, &issue).await.unwrap().token.to_string()
    }

    pub(crate) async fn policy(&self, name: &str, text: &str) -> Result<(), Error> {
        let put = PutPolicy { name: name.into(), text: text.into() };
        self.engine.execute(&self.admin().await, &put).await.map(|_| ())
    }

    pub(crate) async fn key(&self, alias: &str) -> Key {
        let create = CreateKey {
            keyring: "default".into(),
            alias: Some(alias.into()),
            spec: KeySpec::Aes256Gcm,
            distribution: Distribution::DataKeys,
            max_offline_grace_s: 60,
            tags: BTreeMap::new(),
        };
        self.engine.execute(&self.admin().await, &create).await.unwrap()
    }

    pub(crate) async fn encrypt(&self, caller: &Caller, alias: &str) -> Result<Vec<u8>, Error> {
        let plaintext = Zeroizing::new(b"secret".to_vec());
        let encrypt =
            Encrypt { key: alias_of(alias), plaintext, context: context("about", "test") };
        self.engine.execute(caller, &encrypt).await.map(|encrypted| encrypted.ciphertext)
    }

    pub(crate) async fn decrypt(
        &self,
        caller: &Caller,
        (alias, ciphertext): (&str, &[u8]),
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (key, ciphertext) = (alias_of(alias), ciphertext.to_vec());
        let decrypt = Decrypt { key, ciphertext, context: context("about", "test") };
        self.engine.execute(caller, &decrypt).await.map(|decrypted| decrypted.plaintext)
    }

    pub(crate) async fn ticket(
        &self,
        subject: &str,
        change: impl FnOnce(&mut MintTicket),
    ) -> String {
        let mut mint = MintTicket {
            key: alias_of("photos"),
            subject: subject.into(),
            operations: vec![Operation::DeliverDataKey, Operation::UnsealDataKey],
            context: BTreeMap::from([("file".into(), "1".into())]),
            context_exact: true,
            device: None,
            uses: 1,
            expires_in_s: 300,
        };
        change(&mut mint);
        self.engine.execute(&self.admin().await, &mint).await.unwrap().token
    }

    pub(crate) async fn enrolment(&self, subject: &str, origin: Option<&str>) -> String {
        let (subject, origin) = (subject.into(), origin.map(Into::into));
        let mint = MintEnrolmentToken { subject, origin, expires_in_s: 300 };
        self.engine.execute(&self.admin().await, &mint).await.unwrap().token
    }

    pub(crate) async fn enrol(&self, device: &Device, token: &str) -> Result<(), Error> {
        let headers = device.sign(b"body", self.engine.services().now());
        let presented = Presented::Enrolment(token, headers.proof(b"body"), &device.keys);
        let caller = self.caller(presented).await?;
        let origin = Some("https://app.example".to_owned());
        let enrol = EnrolDevice { keys: device.keys.clone(), origin, name: None };
        self.engine.execute(&caller, &enrol).await.map(|_| ())
    }

    /// A device that is enrolled for a user.
    pub(crate) async fn device(&self, byte: u8, owner: &str) -> Device {
        let device = Device::new(byte);
        let token = self.enrolment(owner, None).await;
        self.enrol(&device, &token).await.unwrap();
        device
    }

    pub(crate) async fn by_ticket(&self, device: &Device, ticket: &str) -> Result<Caller, Error> {
        let headers = device.sign(b"", self.engine.services().now());
        self.caller(Presented::Ticket(ticket, headers.proof(b""))).await
    }

    pub(crate) async fn deliver(
        &self,
        device: &Device,
        ticket: &str,
        change: impl FnOnce(&mut DeliverDataKey),
    ) -> Result<SealedDataKey, Error> {
        let caller = self.by_ticket(device, ticket).await?;
        let mut deliver =
            DeliverDataKey { key: alias_of("photos"), context: context("file", "1"), wish: wish() };
        change(&mut deliver);
        self.engine.execute(&caller, &deliver).await
    }

    pub(crate) async fn unseal(
        &self,
        device: &Device,
        (ticket, encrypted_data_key): (&str, &[u8]),
    ) -> Result<SealedDataKey, Error> {
        let caller = self.by_ticket(device, ticket).await?;
        let unseal = UnsealDataKey {
            key: alias_of("photos"),
            encrypted_data_key: encrypted_data_key.to_vec(),
            context: context("file", "1"),
            wish: wish(),
        };
        self.engine.execute(&caller, &unseal).await
    }

    /// The audit entries as they stand in the store.
    pub(crate) async fn audit(&self) -> Vec<serde_json::Value> {
        let entries = self.store.entries(0, usize::MAX).await.unwrap();
        entries.iter().map(|(_, entry)| serde_json::from_slice(entry).unwrap()).collect()
    }

    pub(crate) async fn last_audit(&self) -> serde_json::Value {
        self.audit().await.pop().unwrap()
    }
}

pub(crate) fn alias_of(alias: &str) -> KeyName {
    KeyName::parse(alias).unwrap()
}

pub(crate) fn context(key: &str, value: &str) -> EncryptionContext {
    EncryptionContext::from_pairs([(key.to_owned(), value.to_owned())]).unwrap()
}

pub(crate) fn wish() -> Wish {
    Wish { nonce: [7; 32], usage: UsageFlags::DECRYPT, lease_s: 300, offline_grace_s: 0 }
}

pub(crate) fn request() -> RequestInfo {
    RequestInfo {
        id: "request".into(),
        source: "127.0.0.1".into(),
        protocol: "test",
        action: "test".into(),
        body_hash: [0; 32],
    }
}

/// A device as a browser would be one.
pub(crate) struct Device {
    pub(crate) keys: DevicePublicKeys,
    pub(crate) sealing: SealingPrivateKey,
    pub(crate) ml_kem: Option<MlKemPrivateKey>,
    signing: SigningKey,
}

impl Device {
    pub(crate) fn new(byte: u8) -> Self {
        let seed = MlKemSeed::fill_with(|bytes| bytes.fill(byte));
        Self::with(byte, Some(MlKemPrivateKey::from_seed(&seed)))
    }

    /// A device that enrolled before the hybrid suite, or chose not to use it.
    pub(crate) fn classical(byte: u8) -> Self {
        Self::with(byte, None)
    }

    fn with(byte: u8, ml_kem: Option<MlKemPrivateKey>) -> Self {
        let sealing = SealingPrivateKey::fill_with(|bytes| bytes.fill(byte));
        let signing = SigningKey::from_slice(&[byte; 32]).unwrap();
        // EXPOSE: the test computes the public key.
        let private = x25519_dalek::StaticSecret::from(*sealing.expose_secret());
        let public = x25519_dalek::PublicKey::from(&private).to_bytes();
        let point = signing.verifying_key().to_sec1_point(false);
        let (suite, public) = match &ml_kem {
            None => (SealingSuite::X25519Aes256Gcm, public.to_vec()),
            Some(key) => {
                (SealingSuite::MlKem768X25519Aes256Gcm, [key.public_key(), public.into()].concat())
            }
        };
        let public = SealingPublicKey::new(suite, &public).unwrap();
        let keys = DevicePublicKeys::new(vec![public], point.as_bytes()).unwrap();
        Self { keys, sealing, ml_kem, signing }
    }

    pub(crate) fn sign(&self, body: &[u8], created: u64) -> Headers {
        let nonce = make_nonce();
        let params = SignatureParams { created, nonce, device: self.keys.thumbprint() };
        let digest = ContentDigest::of(body);
        let base = signature_base("POST", "/test", &digest, &params).unwrap();
        let signature: Signature = self.signing.sign(base.as_bytes());
        Headers {
            digest: digest.to_string(),
            input: params.signature_input(),
            signature: signature_header(&signature.to_bytes().into()),
        }
    }
}

/// One that no other call gives.
fn make_nonce() -> [u8; 16] {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&MADE.fetch_add(1, Ordering::SeqCst).to_be_bytes());
    nonce
}

pub(crate) struct Headers {
    pub(crate) digest: String,
    pub(crate) input: String,
    pub(crate) signature: String,
}

impl Headers {
    pub(crate) fn proof<'a>(&'a self, body: &'a [u8]) -> Proof<'a> {
        Proof {
            method: "POST",
            path_and_query: "/test",
            body,
            content_digest: &self.digest,
            signature_input: &self.input,
            signature: &self.signature,
        }
    }
}
