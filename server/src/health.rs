//! Whether the server can do its work: asked of the parts it needs, and told in general words.
//!
//! Nobody need show a credential to ask, so the answer names parts and no reasons; those are in the
//! server's log. It says nothing of the policies or keys of anybody.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use keyhaven_engine::{
    alarm::Alarms,
    port::{hsm::Hsm, store::Store},
};
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use crate::audit::Sequencer;

/// How long a part may take to answer.
/// For each of the two that are asked, one after the other.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long an answer is good for. Asking writes to the disk, and anybody may ask.
const FRESH: Duration = Duration::from_secs(1);

/// What `/readyz` tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Readiness {
    /// Whether all parts answer.
    pub(crate) ready: bool,
    /// Those that do not: `store`, `hsm`, `audit log`.
    pub(crate) waiting_for: Vec<&'static str>,
    /// How many rows are refused because somebody tampered with them; the others are served.
    pub(crate) quarantined: usize,
    /// Whether the store was put back to an older state, so that nothing is served.
    pub(crate) rolled_back: bool,
}

/// Asks the parts.
pub(crate) struct Health {
    store: Arc<dyn Store>,
    hsm: Arc<dyn Hsm>,
    audit: Arc<Sequencer>,
    alarms: Arc<Alarms>,
    /// Held while the parts are asked: those who come meanwhile wait and hear the same answer.
    last: Mutex<Option<(Instant, Readiness)>>,
}

impl Health {
    /// Nothing is asked before the first reader comes.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        hsm: Arc<dyn Hsm>,
        audit: Arc<Sequencer>,
        alarms: Arc<Alarms>,
    ) -> Self {
        Self { store, hsm, audit, alarms, last: Mutex::default() }
    }

    /// Whether the server is ready, as of at most a second ago.
    pub(crate) async fn readiness(&self) -> Readiness {
        let mut last = self.last.lock().await;
        if let Some((at, readiness)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return readiness.clone();
        }
        let readiness = self.ask().await;
        *last = Some((Instant::now(), readiness.clone()));
        readiness
    }

    /// Asks each part anew.
    async fn ask(&self) -> Readiness {
        let store = timeout(DEADLINE, self.store.ping()).await;
        let hsm = timeout(DEADLINE, self.hsm.ping()).await;
        let parts = [
            ("store", matches!(store, Ok(Ok(())))),
            ("hsm", matches!(hsm, Ok(Ok(())))),
            // Not asked but looked up: the sequencer works by itself and knows.
            ("audit log", self.audit.trouble().is_none()),
        ];
        let waiting_for: Vec<_> =
            parts.into_iter().filter(|(_, well)| !well).map(|(part, _)| part).collect();
        if !waiting_for.is_empty() {
            // At most once a second, however many ask.
            tracing::warn!(?waiting_for, "not ready");
        }
        let (quarantined, rolled_back) = (self.alarms.quarantined(), self.alarms.rolled_back());
        let ready = waiting_for.is_empty() && !rolled_back;
        Readiness { ready, waiting_for, quarantined, rolled_back }
    }
}
