//! The audit log.

use super::documents;

documents! {
    /// A page of audit entries.
    AuditPage {
        /// Entries as they stand in the log, in order of index.
        entries: Vec<serde_json::Value>,
        /// Ask again with `from` set to this for the next page. A page may be short, or empty, and have one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
        /// Of the newest entries: ask again with `before` set to this for those before them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous: Option<u64>,
    }
}
