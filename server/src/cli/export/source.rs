//! Where entries are read from: a server, or the files of a data folder.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use keyhaven_shared::api::audit::AuditPage;
use keyhaven_wire::AuditFilter;
use serde_json::Value;

use crate::{
    audit as log,
    cli::{
        audit::{PAGE, filter_query},
        client::Client,
        error::CliError,
    },
};

/// How many seconds a server may wait for news before it answers.
const WAIT: u64 = 25;
/// How long after one look into a folder the next one comes.
const POLL: Duration = Duration::from_secs(1);

/// Some entries, and where to go on behind them.
pub(super) struct Page {
    /// In order of index. Empty when there is nothing newer.
    pub(super) entries: Vec<Value>,
    /// The index to read from the next time.
    pub(super) next: u64,
}

/// A log to read, and which of its entries.
pub(super) struct Source {
    log: Log,
    filter: AuditFilter,
}

/// The two places of a log.
enum Log {
    Server(Client),
    Folder(PathBuf),
}

impl Source {
    /// The log of a data folder, or of the server that the environment names.
    ///
    /// # Errors
    /// The environment names none.
    pub(super) fn open(data_dir: Option<&Path>, filter: AuditFilter) -> Result<Self, CliError> {
        let log = match data_dir {
            Some(folder) => Log::Folder(folder.join("audit")),
            None => Log::Server(Client::from_environment()?),
        };
        Ok(Self { log, filter })
    }

    /// The index after the newest entry that a server has now; `None` of a folder, whose end is
    /// found by reading.
    ///
    /// # Errors
    /// The server does not answer.
    pub(super) fn end(&self) -> Result<Option<u64>, CliError> {
        let Log::Server(client) = &self.log else { return Ok(None) };
        let page: AuditPage = client.get("/audit?last=1")?;
        Ok(Some(page.entries.last().map_or(0, |entry| index(entry).saturating_add(1))))
    }

    /// Some entries that fit the filter, from an index on; none when there is nothing newer, or
    /// nothing yet. Who follows the log waits for news; asking again and again would fill it, since
    /// each reading is recorded.
    ///
    /// # Errors
    /// The log cannot be read, or is damaged there.
    pub(super) fn page(&self, from: u64, follow: bool) -> Result<Page, CliError> {
        match &self.log {
            Log::Server(client) => {
                let wait = if follow { WAIT } else { 0 };
                let filter = filter_query(&self.filter);
                let asked = format!("/audit?from={from}&limit={PAGE}&wait={wait}{filter}");
                let page: AuditPage = client.get(&asked)?;
                let next = page.next.unwrap_or(from);
                Ok(Page { entries: page.entries, next })
            }
            Log::Folder(folder) => {
                let page = from_folder(folder, &self.filter, from)?;
                if follow && page.entries.is_empty() {
                    thread::sleep(POLL);
                }
                Ok(page)
            }
        }
    }

    /// The newest entries that fit, at most so many, from what a server looks through at once; and
    /// what comes after them.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub(super) fn newest(&self, last: usize) -> Result<(Vec<Value>, u64), CliError> {
        let Log::Server(client) = &self.log else { return Ok((Vec::new(), 0)) };
        // First and without the filter: what is committed meanwhile comes in the next page.
        let next = self.end()?.unwrap_or_default();
        let asked = format!("last={}&before={next}", last.min(PAGE));
        let page: Option<AuditPage> = if last == 0 || next == 0 {
            None
        } else {
            Some(client.get(&format!("/audit?{asked}{}", filter_query(&self.filter)))?)
        };
        Ok((page.map(|page| page.entries).unwrap_or_default(), next))
    }

    /// One entry, whatever the filter says; `None` if the log does not go so far.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub(super) fn at(&self, wanted: u64) -> Result<Option<Value>, CliError> {
        let all = AuditFilter::default();
        let entries = match &self.log {
            Log::Server(client) => {
                let page: AuditPage = client.get(&format!("/audit?from={wanted}&limit=1"))?;
                page.entries
            }
            Log::Folder(folder) => from_folder(folder, &all, wanted)?.entries,
        };
        Ok(entries.into_iter().next().filter(|entry| index(entry) == wanted))
    }
}

/// Reads on until a page is full, or to the end.
fn from_folder(folder: &Path, filter: &AuditFilter, from: u64) -> Result<Page, CliError> {
    let (mut entries, mut next) = (Vec::new(), from);
    for entry in log::read(folder, from).map_err(CliError::new)? {
        let entry = entry.map_err(CliError::new)?;
        next = index(&entry).saturating_add(1);
        if filter.wants(&entry) {
            entries.push(entry);
        }
        if entries.len() == PAGE {
            break;
        }
    }
    Ok(Page { entries, next })
}

/// An entry's place in the log.
fn index(entry: &Value) -> u64 {
    entry.get("index").and_then(Value::as_u64).unwrap_or_default()
}
