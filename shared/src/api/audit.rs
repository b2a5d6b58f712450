//! The audit log.

use super::documents;

documents! {
    /// A page of audit entries.
    AuditPage {
        /// Entries as they stand in the log, in order of index.
        entries: Vec<serde_json::Value>,
        /// Ask again with `from` set to this for the next page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    }
}
