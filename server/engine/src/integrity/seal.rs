//! The MACs, and what the newest state is that this process knows of.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use hmac::{Hmac, Mac};
use keyhaven_shared::{
    encoding::{Label, Transcript},
    ids::DeploymentId,
};
use sha2::Sha256;

use crate::row::{Serial, StoredRow};

/// Why something in the database is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its MAC does not hold: it was edited, or written by somebody else.
    #[error("it was changed")]
    Changed,
    /// It holds, but is not the newest.
    #[error("it is an older copy")]
    Outdated,
    /// It is listed, and not there.
    #[error("it was deleted")]
    Deleted,
    /// It is there, and not listed.
    #[error("it was inserted")]
    Inserted,
    /// The register itself was changed here.
    #[error("the register was changed where it is listed")]
    Register,
    /// The register's root or the log's end is older than what was seen before: so is the whole database.
    #[error("the database was put back to an older state")]
    RolledBack,
}

impl Fault {
    /// One word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Outdated => "outdated",
            Self::Deleted => "deleted",
            Self::Inserted => "inserted",
            Self::Register => "register",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// Makes and checks the MACs of one installation, and remembers how new its database has been.
pub struct RowSeal {
    deployment: DeploymentId,
    /// It zeroizes.
    mac: Hmac<Sha256>,
    /// The serial of the newest change of a row that was seen.
    changed: AtomicU64,
    /// How many log entries are known to be there.
    recorded: AtomicU64,
}

impl fmt::Debug for RowSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowSeal").finish_non_exhaustive()
    }
}

impl RowSeal {
    /// A seal that has seen nothing yet. `mac` is HMAC-SHA-256 that has taken in its key.
    #[must_use]
    pub const fn new(deployment: DeploymentId, mac: Hmac<Sha256>) -> Self {
        let (changed, recorded) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { deployment, mac, changed, recorded }
    }

    /// A seal for the suites in [`crate::conformance`], which test stores without an engine: always the
    /// same but for what it has seen.
    #[cfg(any(test, feature = "conformance"))]
    #[must_use]
    pub fn for_conformance() -> std::sync::Arc<Self> {
        Self::for_conformance_of([0; 16])
    }

    /// The same of another installation.
    #[cfg(any(test, feature = "conformance"))]
    #[must_use]
    pub fn for_conformance_of(deployment: [u8; 16]) -> std::sync::Arc<Self> {
        let deployment = DeploymentId::from_random(deployment);
        let mac = <Hmac<Sha256> as hmac::KeyInit>::new(&[0; 64].into());
        std::sync::Arc::new(Self::new(deployment, mac))
    }

    /// The serial of the newest change that was seen. Whatever is read after this call is at least as new.
    #[must_use]
    pub fn newest(&self) -> Serial {
        Serial(self.changed.load(Ordering::Acquire))
    }

    /// How many entries the log is known to have had.
    #[must_use]
    pub fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Acquire)
    }

    /// Notes that a change with this serial is durable.
    pub fn saw_change(&self, serial: Serial) {
        self.changed.fetch_max(serial.0, Ordering::AcqRel);
    }

    /// Notes that the log has so many entries.
    pub fn saw_entries(&self, count: u64) {
        self.recorded.fetch_max(count, Ordering::AcqRel);
    }

    /// The MAC of a row, as of its epoch and serial.
    pub(super) fn row_mac(&self, row: &StoredRow) -> [u8; 32] {
        let transcript = Transcript::new(Label::ROW)
            .field(self.deployment.as_bytes())
            .field(row.place.kind.word().as_bytes())
            .field(row.place.id.as_bytes())
            .number(row.epoch.0)
            .number(row.serial.0)
            .field(&row.body);
        self.mac(&transcript.finish())
    }

    /// The MAC of the register's root.
    pub(super) fn root_mac(&self, root: &[u8]) -> [u8; 32] {
        let transcript = Transcript::new(Label::REGISTER);
        self.mac(&transcript.field(self.deployment.as_bytes()).field(root).finish())
    }

    fn mac(&self, bytes: &[u8]) -> [u8; 32] {
        self.mac.clone().chain_update(bytes).finalize().into_bytes().into()
    }
}
