//! What is wrong right now with a part that works in the background.
//!
//! Texts may name files and causes. They are for operators: health pages show that there is
//! trouble, and the log says which.

use std::sync::{Arc, Mutex, PoisonError};

/// Shared by a background part, which sets it, and whoever answers for the server's health.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status(Arc<Mutex<Option<String>>>);

impl Status {
    /// What is wrong; `None` when all is well.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what is wrong, or with `None` that all is well again. Each change is logged once.
    pub(crate) fn set(&self, part: &'static str, trouble: Option<String>) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == trouble {
            return;
        }
        // Only changes: a disk that is full for an hour is one line in the log and not thousands.
        match &trouble {
            Some(trouble) => tracing::error!(part, trouble, "not working"),
            None => tracing::info!(part, "working again"),
        }
        *current = trouble;
    }
}
