//! The audit log's entries, as the server lends them: they lie in its files and its store.

use std::{future::Future, pin::Pin};

use serde_json::Value;

/// The audit log could not be read; the reason is in the server's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditUnavailable;

/// A page of entries, later.
pub type AuditFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<Value>, AuditUnavailable>> + Send + 'a>>;

/// Reads the audit log. Whether the caller may is decided before it is asked.
pub trait AuditReader: Send + Sync {
    /// Up to `limit` entries from index `from`, in order of index.
    fn read(&self, from: u64, limit: usize) -> AuditFuture<'_>;
}
