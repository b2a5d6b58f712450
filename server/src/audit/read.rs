//! Reading entries back, however many there are. What is read is not verified.
//!
//! It may be read while the server writes: entries are only ever appended, and a last line that is
//! not whole yet is taken for the end.

use std::{io, path::Path};

use serde_json::Value;

use super::{error::EntryProblem, files::ENTRIES, scan::Lines};

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
        /// The number of the last line read, from 1, for what is told of damage.
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

/// Reads the entries of the log in a folder from an index on, one after the other. What comes before is
/// not read, but for some lines to find the place.
///
/// It is fast for a late index: files are searched by halves, since entries stand in order.
///
/// # Errors
/// [`ReadError::File`].
pub fn read(folder: &Path, from: u64) -> Result<Reader, ReadError> {
    let (lines, first) = Lines::near(&folder.join(ENTRIES), from)?;
    Ok(Reader { lines, from, line: first, done: false })
}

/// The entries, in order.
pub struct Reader {
    /// Stands before an entry at or before the one that was asked for.
    lines: Lines,
    /// The first index that is wanted.
    from: u64,
    line: u64,
    /// Set at the end and after an error of the file; a damaged line ends nothing.
    done: bool,
}

impl Reader {
    /// The next entry, or what is wrong with a line that might be one.
    fn find(&mut self) -> Result<Option<Value>, ReadError> {
        loop {
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
            let index = entry.get("index").and_then(Value::as_u64);
            // From the beginning, lines without an index are shown as well: leaving one out would
            // hide it.
            if self.from == 0 || index.is_some_and(|index| index >= self.from) {
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
