//! The audit log's files.
