//! The audit log as the API reads it: the log's files, and after them what the store has committed and
//! the sequencer has not moved there yet.

use std::{path::PathBuf, sync::Arc};

use keyhaven_engine::port::store::{Store, StoreError};
use keyhaven_wire::{AuditFuture, AuditReader, AuditUnavailable};
use serde_json::Value;

use crate::audit;

/// Entries move while they are read; after so many surprises something is wrong.
const ATTEMPTS: usize = 4;

/// How many entries are looked at together.
const PAGE: usize = 1000;

/// Files and store together.
pub(crate) struct History {
    folder: PathBuf,
    store: Arc<dyn Store>,
}

impl History {
    pub(crate) fn new(folder: PathBuf, store: Arc<dyn Store>) -> Self {
        Self { folder, store }
    }

    /// Whether anybody but the server itself has ever shown a credential that holds.
    pub(crate) async fn shows_a_credential(&self) -> Result<bool, AuditUnavailable> {
        let mut from = 0;
        loop {
            let page = self.page(from, PAGE).await?;
            let Some(last) = page.last() else { return Ok(false) };
            let by_itself = |via: &Value| via == "system" || via == "unknown";
            if !page.iter().all(|entry| entry.get("via").is_some_and(by_itself)) {
                return Ok(true);
            }
            let index = last.get("index").and_then(Value::as_u64).ok_or(AuditUnavailable)?;
            from = index.saturating_add(1);
        }
    }

    async fn page(&self, from: u64, limit: usize) -> Result<Vec<Value>, AuditUnavailable> {
        let mut entries = Vec::new();
        for _ in 0..ATTEMPTS {
            let next = from.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
            let missing = limit.saturating_sub(entries.len());
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
}

#[cfg(test)]
mod tests;
