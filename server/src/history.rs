//! The audit log as the API reads it: the log's files, and after them what the store has committed and
//! the sequencer has not moved there yet.

use std::{path::PathBuf, sync::Arc};

use keyhaven_engine::port::store::{Store, StoreError};
use keyhaven_wire::{AuditFuture, AuditReader, AuditUnavailable};
use serde_json::Value;

use crate::audit::{self, Filter};

/// Entries move while they are read; after so many surprises something is wrong.
const ATTEMPTS: usize = 4;

/// Files and store together.
pub(crate) struct History {
    folder: PathBuf,
    store: Arc<dyn Store>,
}

impl History {
    pub(crate) fn new(folder: PathBuf, store: Arc<dyn Store>) -> Self {
        Self { folder, store }
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
        let filter = Filter {
            since_index: Some(from),
            limit: u64::try_from(limit).ok(),
            ..Filter::default()
        };
        let read = move || audit::read(&folder, filter)?.collect::<Result<Vec<_>, _>>();
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
    fn read(&self, from: u64, limit: usize) -> AuditFuture<'_> {
        Box::pin(self.page(from, limit))
    }
}

#[cfg(test)]
mod tests;
