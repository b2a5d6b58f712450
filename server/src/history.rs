//! The audit log as the API reads it: the log's files, and after them what the store has committed and
//! the sequencer has not moved there yet.
//!
//! An entry is in the store alone until the sequencer appends it to the files, in both until it is
//! signed, and in the files alone from then on. Readers see one log, without gaps, up to the last
//! commit before they asked. What is read is not verified: that is `keyhaven audit verify`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use keyhaven_engine::port::store::{Store, StoreError};
use keyhaven_shared::operation::Operation;
use keyhaven_wire::{AuditFuture, AuditReader, AuditUnavailable};
use serde_json::Value;

use crate::audit;

/// Entries move while they are read; after so many surprises something is wrong.
/// One more look is the usual case: it finds in the files what had just left the store.
const ATTEMPTS: usize = 4;

/// How many entries are looked at together.
/// The bound is on memory.
const PAGE: usize = 1000;

/// How long after one look for news the next one comes.
const LOOK: Duration = Duration::from_millis(250);

/// Files and store together.
pub(crate) struct History {
    /// The log's folder, whose files the sequencer writes.
    folder: PathBuf,
    /// Holds the newest entries.
    store: Arc<dyn Store>,
}

impl History {
    /// Nothing is opened yet.
    pub(crate) fn new(folder: PathBuf, store: Arc<dyn Store>) -> Self {
        Self { folder, store }
    }

    /// Whether anybody but the server itself has ever shown a credential that holds.
    ///
    /// # Errors
    /// [`AuditUnavailable`], also when an entry cannot be understood: in doubt the answer must not
    /// be no.
    pub(crate) async fn shows_a_credential(&self) -> Result<bool, AuditUnavailable> {
        let mut from = 0;
        loop {
            let page = self.page(from, PAGE).await?;
            let Some(last) = page.last() else { return Ok(false) };
            // An entry without `via`, or with one that is not known here, counts as somebody's.
            let by_itself = |via: &Value| via == "system" || via == "unknown";
            if !page.iter().all(|entry| entry.get("via").is_some_and(by_itself)) {
                return Ok(true);
            }
            let index = last.get("index").and_then(Value::as_u64).ok_or(AuditUnavailable)?;
            from = index.saturating_add(1);
        }
    }

    /// Up to `limit` entries from index `from` on, of both.
    ///
    /// # Errors
    /// [`AuditUnavailable`], with the reason in the server's log: a caller need not learn of files
    /// and disks.
    async fn page(&self, from: u64, limit: usize) -> Result<Vec<Value>, AuditUnavailable> {
        let mut entries = Vec::new();
        for _ in 0..ATTEMPTS {
            let next = from.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
            let missing = limit.saturating_sub(entries.len());
            // Files first: what the sequencer moves to them meanwhile shows as a gap below, and is
            // read the next time round.
            entries.extend(self.read_files(next, missing).await?);
            let next = from.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
            let missing = limit.saturating_sub(entries.len());
            if missing == 0 {
                return Ok(entries);
            }
            let tail = self.store.entries(next, missing).await.map_err(unreadable)?;
            // A gap means that the sequencer moved entries to the files in between: they are there now.
            // Perhaps it moved all of them.
            let moved = match tail.first() {
                Some((index, _)) => *index != next,
                None => self.store.next_index().await.map_err(unreadable)? > next,
            };
            if moved {
                continue;
            }
            let tail = tail.iter().map(|(_, entry)| serde_json::from_slice(entry));
            entries.extend(tail.collect::<Result<Vec<_>, _>>().map_err(|_| AuditUnavailable)?);
            return Ok(entries);
        }
        Err(AuditUnavailable)
    }

    /// Looks again and again until something else than a reading of the log was recorded.
    async fn until_news(&self, mut from: u64) -> Result<(), AuditUnavailable> {
        loop {
            let entries = self.page(from, PAGE).await?;
            let reading = |entry: &Value| {
                entry.get("operation").and_then(Value::as_str) == Some(Operation::ReadAudit.name())
            };
            if !entries.iter().all(reading) {
                return Ok(());
            }
            from = from.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads the files, on a thread that may block.
    async fn read_files(&self, from: u64, limit: usize) -> Result<Vec<Value>, AuditUnavailable> {
        let folder = self.folder.clone();
        let read = move || audit::read(&folder, from)?.take(limit).collect::<Result<Vec<_>, _>>();
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| AuditUnavailable)?;
        read.map_err(|error| {
            tracing::error!(%error, "the audit log cannot be read");
            AuditUnavailable
        })
    }
}

/// Logs why the store did not answer.
fn unreadable(error: StoreError) -> AuditUnavailable {
    tracing::error!(%error, "the audit log's newest entries cannot be read");
    AuditUnavailable
}

impl AuditReader for History {
    fn read(&self, from: u64, limit: usize) -> AuditFuture<'_, Vec<Value>> {
        Box::pin(self.page(from, limit))
    }

    fn end(&self) -> AuditFuture<'_, u64> {
        Box::pin(async { self.store.next_index().await.map_err(unreadable) })
    }

    fn news(&self, from: u64, patience: Duration) -> AuditFuture<'_, ()> {
        Box::pin(async move {
            // Either way the caller looks for itself.
            tokio::time::timeout(patience, self.until_news(from)).await.unwrap_or(Ok(()))
        })
    }
}

#[cfg(test)]
mod tests;
