//! Reading entries back, however many there are, with filters. What is read is not verified.

use std::{io, path::Path};

use serde_json::Value;

use super::{error::EntryProblem, files::ENTRIES, scan::Lines};

/// Which entries are asked for; what is `None` does not matter. Texts are compared whole, byte by byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who acted: the entry's `principal`.
    pub principal: Option<String>,
    /// What was done: the entry's `operation`.
    pub operation: Option<String>,
    /// Which key: the entry's `key` or `resource`.
    pub key: Option<String>,
    /// The entry's `decision`.
    pub decision: Option<String>,
    /// The first index.
    pub since_index: Option<u64>,
    /// The index after the last.
    pub until_index: Option<u64>,
    /// The first `time_ms`, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// The `time_ms` after the last. Times need not be in order, so all entries are looked at.
    pub until_ms: Option<u64>,
    /// How many entries at most.
    pub limit: Option<u64>,
}

impl Filter {
    /// Whether an entry is one of those asked for; `limit` aside.
    #[must_use]
    pub fn wants(&self, entry: &Value) -> bool {
        let text = |field: &str, wanted: &Option<String>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| entry.get(field).and_then(Value::as_str) == Some(wanted))
        };
        let number = |field: &str, since: Option<u64>, until: Option<u64>| {
            let found = entry.get(field).and_then(Value::as_u64);
            since.is_none_or(|since| found.is_some_and(|found| found >= since))
                && until.is_none_or(|until| found.is_some_and(|found| found < until))
        };
        text("principal", &self.principal)
            && text("operation", &self.operation)
            && (text("key", &self.key) || text("resource", &self.key))
            && text("decision", &self.decision)
            && number("index", self.since_index, self.until_index)
            && number("time_ms", self.since_ms, self.until_ms)
    }
}

/// Why an entry could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The file is not readable.
    #[error("the log's entries cannot be read: {0}")]
    File(String),
    /// A line is no entry. The lines after it are still read.
    #[error("line {line} of the log is damaged: {problem}")]
    Damaged {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: EntryProblem,
    },
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::File(error.to_string())
    }
}

/// Reads the entries of the log in a folder, one after the other.
///
/// # Errors
/// [`ReadError::File`].
pub fn read(folder: &Path, filter: Filter) -> Result<Reader, ReadError> {
    let lines = Lines::open(&folder.join(ENTRIES), 0)?;
    Ok(Reader { lines, left: filter.limit, filter, line: 0, done: false })
}

/// The wanted entries, in order.
pub struct Reader {
    lines: Lines,
    filter: Filter,
    left: Option<u64>,
    line: u64,
    done: bool,
}

impl Reader {
    /// The next wanted entry, or what is wrong with a line that might be one.
    fn find(&mut self) -> Result<Option<Value>, ReadError> {
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            let Some(line) = self.lines.next_line()? else {
                return Ok(None);
            };
            self.line = self.line.saturating_add(1);
            let damaged = |problem| ReadError::Damaged { line: self.line, problem };
            let line = match line {
                Ok(line) => line,
                // A running server is about to write the rest.
                Err(EntryProblem::Torn) => return Ok(None),
                Err(problem) => return Err(damaged(problem)),
            };
            let entry = serde_json::from_slice::<Value>(&line).ok().filter(Value::is_object);
            let entry = entry.ok_or_else(|| damaged(EntryProblem::NotAnEntry))?;
            if self.filter.wants(&entry) {
                self.left = self.left.map(|left| left.saturating_sub(1));
                return Ok(Some(entry));
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Value, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let found = self.find().transpose();
        self.done = matches!(found, None | Some(Err(ReadError::File(_))));
        found
    }
}
