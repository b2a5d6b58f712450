use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ed25519_dalek::{Signer, SigningKey};
use keyhaven_engine::{
    conformance::memory_store::MemoryStore,
    permit::Permit,
    port::{
        hsm::{Hsm, HsmError, HsmFuture, HsmKey, HsmRole},
        store::{PendingEntry, Proposal, Store},
    },
};
use keyhaven_shared::{ids::DeploymentId, secret::DomainKey};
use tempfile::TempDir;

use super::{
    files::{CHECKPOINT, ENTRIES, VKEY},
    *,
};

mod crash;
mod edits;
mod running;
mod tamper;

const ORIGIN: &str = "keyhaven.example/log";

/// An HSM with a log key and no more.
struct LogHsm {
    key: SigningKey,
    down: AtomicBool,
}

impl LogHsm {
    fn new(seed: u8) -> Arc<Self> {
        let key = SigningKey::from_bytes(&[seed; 32]);
        Arc::new(Self { key, down: AtomicBool::new(false) })
    }
}

fn refused<'a, T>() -> HsmFuture<'a, T> {
    Box::pin(async { Err(HsmError::Refused("a log key only signs".to_owned())) })
}

impl Hsm for LogHsm {
    fn make_key<'a>(&'a self, _: &'a Permit, _: HsmKey) -> HsmFuture<'a, ()> {
        refused()
    }

    fn destroy_root<'a>(&'a self, _: &'a Permit, _: HsmKey) -> HsmFuture<'a, ()> {
        refused()
    }

    fn abandon<'a>(&'a self, _: &'a Permit, _: DeploymentId) -> HsmFuture<'a, ()> {
        refused()
    }

    fn keys(&self, _: DeploymentId) -> HsmFuture<'_, Vec<HsmKey>> {
        refused()
    }

    fn check_key(&self, _: HsmKey) -> HsmFuture<'_, ()> {
        refused()
    }

    fn seal<'a>(
        &'a self,
        _: &'a Permit,
        _: HsmKey,
        _: Vec<u8>,
        _: &'a DomainKey,
    ) -> HsmFuture<'a, Vec<u8>> {
        refused()
    }

    fn open(&self, _: HsmKey, _: Vec<u8>, _: Vec<u8>) -> HsmFuture<'_, DomainKey> {
        refused()
    }

    fn sign(&self, _: HsmKey, message: Vec<u8>) -> HsmFuture<'_, [u8; 64]> {
        Box::pin(async move {
            if self.down.load(Ordering::SeqCst) {
                return Err(HsmError::Unavailable("unplugged".to_owned()));
            }
            Ok(self.key.sign(&message).to_bytes())
        })
    }

    fn public_key(&self, _: HsmKey) -> HsmFuture<'_, [u8; 32]> {
        Box::pin(async { Ok(self.key.verifying_key().to_bytes()) })
    }

    fn ping(&self) -> HsmFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A log's folder, and what it is written from.
struct World {
    folder: TempDir,
    store: Arc<MemoryStore>,
    hsm: Arc<LogHsm>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, store: Arc::new(MemoryStore::new()), hsm: LogHsm::new(1) }
    }

    /// A world whose log has this many entries, all signed.
    async fn with_entries(count: u64) -> Self {
        let world = Self::new();
        world.commit(count).await;
        world.open().await.unwrap();
        world
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    fn log_key() -> HsmKey {
        HsmKey { deployment: DeploymentId::from_random([0; 16]), role: HsmRole::Log }
    }

    async fn commit(&self, count: u64) {
        for _ in 0..count {
            let before = b"{\"decision\":\"allowed\",\"index\":".to_vec();
            let entry = PendingEntry::new(before, b",\"principal\":\"ann\"}".to_vec());
            let proposal = Proposal::for_conformance(vec![], vec![], None, entry);
            self.store.commit(proposal).await.unwrap();
        }
    }

    /// The log, opened as after a start; dropping it is a crash.
    async fn open(&self) -> Result<log::Log, AuditError> {
        let (store, hsm) = (Arc::clone(&self.store), Arc::clone(&self.hsm));
        let ports = log::Ports { store, hsm, log_key: Self::log_key(), folder: self.dir() };
        log::Log::open(ports, ORIGIN).await
    }

    async fn start(&self) -> Result<Sequencer, AuditError> {
        let (store, hsm) = (Arc::clone(&self.store), Arc::clone(&self.hsm));
        Sequencer::start(store, hsm, Self::log_key(), self.dir(), ORIGIN.to_owned()).await
    }

    fn vkey(&self) -> String {
        VerifierKey::new(ORIGIN, self.hsm.key.verifying_key().to_bytes()).unwrap().to_string()
    }

    fn verify(&self) -> Result<Verified, VerifyError> {
        verify(&self.dir(), Some(&self.vkey()))
    }

    /// Asserts that this many entries and no more are there, signed.
    fn assert_signed(&self, entries: u64) {
        let verified = self.verify().unwrap();
        assert_eq!((verified.entries, verified.beyond_checkpoint), (entries, 0));
        assert_eq!(read(&self.dir(), 0).unwrap().count() as u64, entries);
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir().join(ENTRIES)).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    }

    fn set_lines(&self, lines: &[String]) {
        fs::write(self.dir().join(ENTRIES), lines.concat()).unwrap();
    }
}
