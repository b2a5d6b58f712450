//! How far an export came: kept in a file, with a hash of the last entry, so that a log that was put back
//! or rewritten is not taken for the one that was exported from.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use keyhaven_shared::hex::hex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::source::{Page, Source};
use crate::cli::error::CliError;

/// Where an export goes on.
pub(super) struct Position {
    /// `None` when nothing is remembered beyond this run.
    file: Option<PathBuf>,
    /// The index to read from.
    next: u64,
    /// The last entry that was exported.
    last: Option<Last>,
}

/// An entry that was exported. This is what the file holds, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    index: u64,
    /// SHA-256 of the entry's canonical JSON, in hexadecimal.
    sha256: String,
}

impl Position {
    /// What the file remembers; the beginning of the log when there is none yet.
    ///
    /// # Errors
    /// The file cannot be read, or something else is in it.
    pub(super) fn load(file: Option<&Path>) -> Result<Self, CliError> {
        let start = Self { file: file.map(Path::to_owned), next: 0, last: None };
        let Some(path) = file else { return Ok(start) };
        let content = match fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(start),
            Err(error) => return Err(unusable(path, &error)),
        };
        let last: Last =
            serde_json::from_slice(&content).map_err(|error| unusable(path, &error))?;
        Ok(Self { next: last.index.saturating_add(1), last: Some(last), ..start })
    }

    /// The index to read from.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether the log still has, as it was, the last entry that was exported.
    ///
    /// # Errors
    /// It has not, or cannot be read.
    pub(super) fn check(&self, source: &Source) -> Result<(), CliError> {
        let Some(last) = &self.last else { return Ok(()) };
        match source.at(last.index)? {
            Some(entry) if hash(&entry) == last.sha256 => Ok(()),
            Some(_) => Err(CliError::new(format_args!(
                "the log is not the one that was exported from: entry {} is another one",
                last.index
            ))
            .with_next("was the log put back or rewritten? keyhaven audit verify tells; to export all of this log, give another --state")),
            // Files end with the last checkpoint, and a server tells of entries a moment before it signs them.
            None => Err(CliError::new(format_args!(
                "the log ends before entry {}, which was exported",
                last.index
            ))
            .with_next("a server's files may be a second behind it: try again; if this stays, the log was put back")),
        }
    }

    /// Goes behind a page that was delivered, and remembers that durably.
    ///
    /// # Errors
    /// The file cannot be written. The page will come once more.
    pub(super) fn advance(&mut self, page: &Page) -> Result<(), CliError> {
        self.next = page.next;
        let Some(entry) = page.entries.last() else { return Ok(()) };
        let index = entry.get("index").and_then(Value::as_u64).unwrap_or_default();
        let last = Last { index, sha256: hash(entry) };
        if let Some(path) = &self.file {
            let content = serde_json::to_vec(&last).map_err(CliError::new)?;
            replace(path, &content).map_err(|error| unusable(path, &error))?;
        }
        self.last = Some(last);
        Ok(())
    }
}

/// A hash that tells two entries apart. Members of a JSON object are in order here, as in the log.
fn hash(entry: &Value) -> String {
    hex(&Sha256::digest(entry.to_string()))
}

/// Puts the file there whole, or leaves the old one.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let written = PathBuf::from(name);
    let mut file = File::create(&written)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&written, path)
}

/// The file is not what it should be.
fn unusable(path: &Path, error: &dyn std::fmt::Display) -> CliError {
    CliError::new(format_args!("the state in `{}` cannot be used: {error}", path.display()))
        .with_next("give another file; without its state an export begins with the first entry")
}
