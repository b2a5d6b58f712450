//! Reading `entries.jsonl` line by line, however long the file is.
//!
//! A line is looked at only as far as its index: what an entry means is for whoever reads it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use serde::Deserialize;

use super::error::EntryProblem;

/// The longest entry, in bytes. No request can be large enough to make one.
/// Without a bound, a file without a line feed would be read into memory whole.
pub(super) const LONGEST: u64 = 16 * 1024 * 1024;

/// How many bytes before an entry are near it.
/// Reading so much is faster than one more step of the search.
const NEAR: u64 = 64 * 1024;

/// Goes through the lines of a file.
pub(super) struct Lines {
    /// Opened for reading alone.
    file: BufReader<File>,
    /// Counted from where it was opened, line feeds included.
    bytes: u64,
}

impl Lines {
    /// From a byte of the file on.
    pub(super) fn open(path: &Path, from: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Self { file: BufReader::with_capacity(256 * 1024, file), bytes: 0 })
    }

    /// From a line not far before the entry with an index, and that line's number, counted from 0. Only a
    /// few lines are read on the way: entries stand in order of their index.
    /// Not found is no error: then it is the end of the file, or the beginning.
    pub(super) fn near(path: &Path, index: u64) -> io::Result<(Self, u64)> {
        let (mut low, mut line) = (0, 0);
        let mut high = std::fs::metadata(path)?.len();
        while high.saturating_sub(low) > NEAR {
            let middle = low.midpoint(high);
            let mut lines = Self::open(path, middle)?;
            // The rest of the line that the middle lies in.
            let skipped = lines.next_line()?.is_some();
            let start = middle.saturating_add(lines.bytes());
            let found = if skipped { lines.next_line()? } else { None };
            match found.and_then(Result::ok).as_deref().and_then(index_of) {
                // `found` is the line's number too, as long as the file is whole. It is used for
                // messages alone.
                Some(found) if found <= index && start < high => (low, line) = (start, found),
                // Beyond the entry, or not readable: what is before is near enough.
                _ => high = middle,
            }
        }
        Ok((Self::open(path, low)?, line))
    }

    /// How many bytes the lines up to here have.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line without its newline, and what is wrong with it as a line; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read. A line that is wrong is no such error, and the next one can be
    /// asked for.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Result<Vec<u8>, EntryProblem>>> {
        let mut line = Vec::with_capacity(1024);
        // One byte more for the newline.
        let read = self.file.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line)?;
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(read);
        if line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(Some(Ok(line)));
        }
        match read {
            0 => Ok(None),
            1..=LONGEST => Ok(Some(Err(EntryProblem::Torn))),
            _ => {
                self.file.skip_until(b'\n')?;
                Ok(Some(Err(EntryProblem::TooLong)))
            }
        }
    }
}

/// What every entry has. Other fields are passed over without being kept.
#[derive(Deserialize)]
struct Head {
    index: u64,
}

/// An entry's index, if it is an entry.
fn index_of(entry: &[u8]) -> Option<u64> {
    serde_json::from_slice(entry).ok().map(|Head { index }| index)
}

/// Checks that a line is the entry with this index.
/// Used on what goes into the file and on what comes out of it, so one is never stricter than the
/// other.
pub(super) fn check(entry: &[u8], index: u64) -> Result<(), EntryProblem> {
    // INVARIANT: an entry is one line. A raw newline is no part of canonical JSON.
    if entry.contains(&b'\n') {
        return Err(EntryProblem::NotAnEntry);
    }
    if u64::try_from(entry.len()).is_ok_and(|length| length > LONGEST) {
        return Err(EntryProblem::TooLong);
    }
    match serde_json::from_slice(entry) {
        Ok(Head { index: found }) if found == index => Ok(()),
        Ok(Head { index: found }) => Err(EntryProblem::OtherIndex(found)),
        Err(_) => Err(EntryProblem::NotAnEntry),
    }
}
