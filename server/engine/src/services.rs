//! What operations work with: the ports, and what is kept in memory over them.
//!
//! Everything but the ports can be lost: a restart begins with all of it empty. Only the two
//! secrets that are derived from the system's domain key must be there first, which is why
//! [`crate::start`] makes this.

use std::sync::Arc;

use keyhaven_shared::{
    ids::{DeploymentId, KeyId},
    lease_event::LeaseEnd,
    secret::AuditKey,
};

use crate::{
    alarm::Alarms,
    directory::Directory,
    integrity::RowSeal,
    issuer::Issuer,
    keystore::Keystore,
    lease::LeaseBoard,
    permit::Permit,
    port::{
        Ports,
        hsm::HsmKey,
        store::{Kind, Place, Proposal, StoreError, Verdict},
    },
    replay::AcceptedProofs,
    row::Serial,
    ticket::TicketOffice,
};

/// What operations work with.
pub struct Services {
    /// The installation. Bound into all that is sealed or signed.
    pub deployment: DeploymentId,
    /// Whether this is a dev server, which may destroy keys without waiting. Nothing else depends
    /// on it here.
    pub dev: bool,
    /// The ports.
    pub ports: Ports,
    /// Rows in memory.
    pub directory: Arc<Directory>,
    /// What rows are sealed with.
    pub seal: Arc<RowSeal>,
    /// What was found to be tampered with.
    pub alarms: Arc<Alarms>,
    /// Key material in memory.
    pub keystore: Keystore,
    /// Signs and checks tickets.
    pub tickets: TicketOffice,
    /// Device proofs that were used. Not public: only authenticating accepts one.
    pub(crate) proofs: AcceptedProofs,
    /// Keys the audit log's request hashes.
    pub audit_key: AuditKey,
    /// Certifies the node's signing key.
    pub issuer: Issuer,
    /// Tells devices what ended.
    pub leases: LeaseBoard,
}

impl Services {
    /// Services over `ports`, with nothing in memory yet. Calls neither the store nor the HSM.
    #[must_use]
    pub fn new(
        (deployment, dev): (DeploymentId, bool),
        ports: Ports,
        (tickets, audit_key, seal): (TicketOffice, AuditKey, RowSeal),
    ) -> Self {
        let (seal, alarms) = (Arc::new(seal), Arc::<Alarms>::default());
        let store = Arc::clone(&ports.store);
        let directory = Arc::new(Directory::new(store, Arc::clone(&seal), Arc::clone(&alarms)));
        let (hsm, environment) = (Arc::clone(&ports.hsm), Arc::clone(&ports.environment));
        Self {
            deployment,
            dev,
            keystore: Keystore::new(deployment, ports.clone(), Arc::clone(&directory)),
            directory,
            seal,
            alarms,
            tickets,
            proofs: AcceptedProofs::default(),
            audit_key,
            issuer: Issuer::new(deployment, hsm, environment),
            // Numbered from the time of this start, so that a device notices a restart.
            leases: LeaseBoard::new(ports.environment.now()),
            ports,
        }
    }

    /// Seconds since the Unix epoch. The server's clock, which may jump; acts use their permit's
    /// time instead.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.ports.environment.now()
    }

    /// Asks the gate, and remembers how new the store is then: it can never be older again.
    pub(crate) async fn commit(&self, proposal: Proposal) -> Result<Verdict, StoreError> {
        let changes = !proposal.writes.is_empty();
        let verdict = self.ports.store.commit(proposal).await;
        if let Ok(Verdict::Committed { index }) = verdict {
            self.seal.saw_entries(index.saturating_add(1));
            if changes {
                self.seal.saw_change(Serial::of(index));
            }
        }
        verdict
    }

    /// Forgets what a commit changed, and tells devices what ended. After the commit and before the
    /// answer.
    pub(crate) fn settle(&self, written: &[Place], ends: &[LeaseEnd]) {
        // Before the announcement: a device that asks at once must find the new state.
        for place in written {
            self.forget(place);
        }
        self.announce(ends);
    }

    /// Tells devices what ended, or may have: a hint too many costs a request.
    pub(crate) fn announce(&self, ends: &[LeaseEnd]) {
        let at = self.now();
        for end in ends {
            self.leases.announce(*end, at);
        }
    }

    /// Destroys a root that was made and is not used. A failure is no error of the request: such a
    /// root seals nothing, and is in nobody's way.
    pub(crate) async fn discard_root(&self, permit: &Permit, root: HsmKey) {
        if let Err(error) = self.ports.hsm.destroy_root(permit, root).await {
            tracing::warn!(%error, %root, "a root key that nothing uses is left in the HSM");
        }
    }

    /// Forgets a row, and the material of a key whose row it is: both are loaded anew when needed.
    pub(crate) fn forget(&self, place: &Place) {
        self.directory.forget(place);
        if place.kind == Kind::Key
            && let Ok(key) = place.id.parse::<KeyId>()
        {
            self.keystore.forget(key);
        }
        if place.kind == Kind::Keyring {
            self.keystore.forget_domains();
        }
    }
}
