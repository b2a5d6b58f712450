//! The audit log's entries, as the server lends them: they lie in its files and its store.
//!
//! A port of this crate, because the engine does not read the log: it only writes it. Entries are
//! lent as JSON and given on as they are, so that what a reader sees is what was signed.

use std::{future::Future, pin::Pin, time::Duration};

use serde_json::Value;

/// The audit log could not be read; the reason is in the server's own log. Nothing of the reason is
/// in it: it may name files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditUnavailable;

/// What is read of the log, later.
pub type AuditFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, AuditUnavailable>> + Send + 'a>>;

/// Reads the audit log. Whether the caller may is decided before it is asked.
///
/// Concurrency: any number of calls at once. A call may block for as long as reading files takes.
/// What was committed before a call began is in its answer; an entry that was read once is never
/// different later.
pub trait AuditReader: Send + Sync {
    /// Up to `limit` entries from index `from`, in order of index. Consecutive, without a gap.
    /// Empty when there are none from there on.
    fn read(&self, from: u64, limit: usize) -> AuditFuture<'_, Vec<Value>>;

    /// The index after the newest entry. 0 when the log is empty.
    fn end(&self) -> AuditFuture<'_, u64>;

    /// Waits until there is an entry from index `from` on that says something other than that the log was
    /// read, or for so long. Readers that wait would otherwise wake each other for ever, since each
    /// reading is an entry.
    fn news(&self, from: u64, patience: Duration) -> AuditFuture<'_, ()>;
}

/// Which entries are asked for; what is `None` does not matter. Texts are compared whole, byte by
/// byte. All that is given must fit. It filters what is shown and is no bound on what may be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Who acted: the entry's `principal`. `system` is the server itself, `unknown` whoever proved
    /// nothing.
    pub principal: Option<String>,
    /// What was done: the entry's `operation`. A name of the vocabulary.
    pub operation: Option<String>,
    /// Which key: its id, or as the request named it. `KEYRING:ALIAS` finds what named it so,
    /// whichever key it then was.
    pub key: Option<String>,
    /// The entry's `decision`. `allowed` or `refused`.
    pub decision: Option<String>,
    /// The entry's `outcome`. `ok`, or the code of an error.
    pub outcome: Option<String>,
    /// The first `time_ms`, in milliseconds since the Unix epoch. Entries are not in order of time.
    /// Each has the clock of when it was made, and is ordered when it was committed.
    pub since_ms: Option<u64>,
    /// The `time_ms` after the last.
    pub until_ms: Option<u64>,
}

impl AuditFilter {
    /// Whether an entry is one of those asked for. An entry without a member does not fit what is
    /// asked of it.
    #[must_use]
    pub fn wants(&self, entry: &Value) -> bool {
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        let is = |field: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| text(field) == Some(wanted))
        };
        // Of requests that named a key only: `resource` is a path where no credential held.
        let named =
            |key: &str| text("resource").and_then(|name| name.strip_prefix("key/")) == Some(key);
        let time = entry.get("time_ms").and_then(Value::as_u64);
        is("principal", &self.principal)
            && is("operation", &self.operation)
            && is("decision", &self.decision)
            && is("outcome", &self.outcome)
            && (is("key", &self.key) || self.key.as_deref().is_some_and(named))
            && self.since_ms.is_none_or(|since| time.is_some_and(|time| time >= since))
            // From the first millisecond on, up to but without the second: two stretches that meet
            // share none.
            && self.until_ms.is_none_or(|until| time.is_some_and(|time| time < until))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(change: impl FnOnce(&mut AuditFilter)) -> AuditFilter {
        let mut filter = AuditFilter::default();
        change(&mut filter);
        filter
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn an_entry_is_wanted_when_all_that_was_asked_for_fits() {
        let entry = json!({ "principal": "ann", "operation": "Decrypt", "decision": "refused",
            "outcome": "access_denied", "key": "id-1", "resource": "key/photos", "time_ms": 1000 });
        for (case, (filter, expected)) in [
            (AuditFilter::default(), true),
            (filter(|f| f.principal = text("ann")), true),
            (filter(|f| f.principal = text("an")), false),
            (filter(|f| f.principal = text("Ann")), false),
            (filter(|f| f.principal = text("")), false),
            (filter(|f| f.operation = text("Decrypt")), true),
            (filter(|f| f.operation = text("decrypt")), false),
            (filter(|f| f.decision = text("refused")), true),
            (filter(|f| f.decision = text("allowed")), false),
            (filter(|f| f.outcome = text("access_denied")), true),
            (filter(|f| f.outcome = text("ok")), false),
            (filter(|f| f.key = text("id-1")), true),
            (filter(|f| f.key = text("photos")), true),
            (filter(|f| f.key = text("key/photos")), false),
            (filter(|f| f.key = text("id-2")), false),
            (filter(|f| f.key = text("photo")), false),
            (filter(|f| f.since_ms = Some(1000)), true),
            (filter(|f| f.since_ms = Some(1001)), false),
            (filter(|f| f.until_ms = Some(1001)), true),
            (filter(|f| f.until_ms = Some(1000)), false),
            (filter(|f| (f.principal, f.operation) = (text("ann"), text("Decrypt"))), true),
            (filter(|f| (f.principal, f.operation) = (text("ann"), text("Encrypt"))), false),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(filter.wants(&entry), expected, "case {case}");
        }
    }

    #[test]
    fn what_an_entry_does_not_say_fits_nothing_that_was_asked_for() {
        let bare = json!({ "principal": 7 });
        assert!(AuditFilter::default().wants(&bare));
        for filter in [
            filter(|f| f.principal = text("7")),
            filter(|f| f.key = text("photos")),
            filter(|f| f.since_ms = Some(0)),
            filter(|f| f.until_ms = Some(u64::MAX)),
        ] {
            assert!(!filter.wants(&bare), "{filter:?}");
        }
    }
}
