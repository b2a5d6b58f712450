//! `keyhaven audit`.
//!
//! `show` asks a server, or reads the files of a data folder without one; it proves nothing.
//! `verify` proves, offline, with the folder and a verifier key.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use keyhaven_shared::api::audit::AuditPage;
use keyhaven_wire::AuditFilter;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    client::Client,
    error::CliError,
    export::{self, ExportArgs, WatchArgs},
    moment::moment,
    output::{Output, table, time},
};
use crate::audit as log;

// Without `--key` the folder vouches for itself: whoever replaced all of it replaced the key as
// well. So the help says that the key is kept from before.
#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Show who did what: keyhaven audit show --operation Decrypt --decision refused
    Show(ShowArgs),
    /// Follow the log as it is written, a line an entry: keyhaven audit watch --decision refused
    Watch(WatchArgs),
    /// Give entries to other systems: keyhaven audit export --format ocsf --state exported.json
    Export(ExportArgs),
    /// Prove the log complete and untouched, offline: keyhaven audit verify --data-dir keyhaven-dev
    Verify {
        /// The server's data folder (its `audit` folder is what is read).
        #[arg(long, default_value = "keyhaven-dev")]
        data_dir: PathBuf,
        /// An audit folder, such as a copy of one, in place of a data folder.
        #[arg(long, conflicts_with = "data_dir")]
        log: Option<PathBuf>,
        /// The log's verifier key, kept from before; else the folder's own `log.vkey`.
        #[arg(long)]
        key: Option<String>,
    },
}

// The same filters as the API's, whether a server applies them or this program does.
#[derive(Args)]
pub(super) struct ShowArgs {
    /// Read this data folder's log files, without a server.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only the newest so many.
    #[arg(long)]
    last: Option<usize>,
}

// Which entries: every command that reads some has these.
#[derive(Args)]
pub(super) struct FilterArgs {
    /// Only since then: `2h` ago (s, m, h, d, w), or a time in UTC such as 2026-11-25 or 2026-11-25T16:02:00Z.
    #[arg(long, value_parser = moment)]
    since: Option<u64>,
    /// Only until then, likewise.
    #[arg(long, value_parser = moment)]
    until: Option<u64>,
    /// Only of this principal.
    #[arg(long)]
    principal: Option<String>,
    /// Only this operation; `keyhaven operations` lists them.
    #[arg(long)]
    operation: Option<String>,
    /// Only of this key: an id, or as the request named it.
    #[arg(long)]
    key: Option<String>,
    /// Only allowed, or only refused.
    #[arg(long, value_parser = ["allowed", "refused"])]
    decision: Option<String>,
    /// Only with this outcome: `ok`, or an error's code such as `access_denied`.
    #[arg(long)]
    outcome: Option<String>,
}

impl FilterArgs {
    /// The filter that the options ask for.
    pub(super) fn filter(&self) -> AuditFilter {
        AuditFilter {
            principal: self.principal.clone(),
            operation: self.operation.clone(),
            key: self.key.clone(),
            decision: self.decision.clone(),
            outcome: self.outcome.clone(),
            since_ms: self.since,
            until_ms: self.until,
        }
    }
}

/// Runs an `audit` command. A log that does not verify makes the command fail.
pub(super) fn run(command: AuditCommand, output: &Output) -> Result<(), CliError> {
    match command {
        AuditCommand::Show(args) => show(&args, output),
        AuditCommand::Watch(args) => export::watch(&args, output),
        AuditCommand::Export(args) => export::export(&args, output),
        AuditCommand::Verify { data_dir, log, key } => {
            let folder = log.unwrap_or_else(|| data_dir.join("audit"));
            let verified = log::verify(&folder, key.as_deref()).map_err(CliError::new)?;
            let document = json!({
                "origin": verified.origin,
                "entries": verified.entries,
                "root": keyhaven_shared::hex::hex(&verified.root),
                "beyond_checkpoint": verified.beyond_checkpoint,
            });
            output.show(&document, |_| {
                let (entries, beyond) = (verified.entries, verified.beyond_checkpoint);
                let mut text = format!("The log is complete and untouched: {entries} entries under a signed checkpoint of {}.", verified.origin);
                if beyond > 0 {
                    text.push_str(&format!("\n{beyond} newer entries are not under a checkpoint yet."));
                }
                text
            })
        }
    }
}

/// Entries of a server or of a folder, oldest first.
fn show(args: &ShowArgs, output: &Output) -> Result<(), CliError> {
    let filter = args.filter.filter();
    let entries = match &args.data_dir {
        Some(folder) => from_files(&folder.join("audit"), (&filter, args.last))?,
        None => from_server((&filter, args.last))?,
    };
    let page = AuditPage { entries, next: None, previous: None };
    output.show(&page, |page| entry_table(&page.entries))
}

/// Reads the whole file and keeps what is wanted, at most the newest `last` entries at a time.
///
/// # Errors
/// The first damaged line ends it, and is named: a table with a gap would look whole.
fn from_files(
    folder: &Path,
    (filter, last): (&AuditFilter, Option<usize>),
) -> Result<Vec<Value>, CliError> {
    let mut entries = VecDeque::new();
    for entry in log::read(folder, 0).map_err(CliError::new)? {
        let entry = entry.map_err(CliError::new)?;
        if filter.wants(&entry) {
            entries.push_back(entry);
        }
        // Dropped as it goes, so that `--last 10` of a long log needs no memory for the rest.
        if last.is_some_and(|last| entries.len() > last) {
            entries.pop_front();
        }
    }
    Ok(entries.into())
}

/// The server looks through its log; what it sends is what is shown.
///
/// Without `last` it goes from the first entry to the newest. With it, backwards from the newest,
/// until there are enough or no older ones: a page may hold fewer than were asked for, because the
/// filter passes over the rest.
fn from_server((filter, last): (&AuditFilter, Option<usize>)) -> Result<Vec<Value>, CliError> {
    let client = Client::from_environment()?;
    let filter = filter_query(filter);
    let (mut entries, mut part) = (VecDeque::new(), first_part(last));
    while let Some(asked) = part {
        let page: AuditPage = client.get(&format!("/audit?{asked}{filter}"))?;
        part = match last {
            None => page.next.map(|next| format!("from={next}&limit={PAGE}")),
            Some(last) => {
                let missing = last.saturating_sub(entries.len()).saturating_sub(page.entries.len());
                let previous = page.previous.filter(|_| missing > 0);
                previous.map(|before| format!("last={}&before={before}", missing.min(PAGE)))
            }
        };
        match last {
            None => entries.extend(page.entries),
            // Each page is in order, and each comes before the last one.
            Some(_) => page.entries.into_iter().rev().for_each(|entry| entries.push_front(entry)),
        }
    }
    Ok(entries.into())
}

/// Entries asked for at once.
/// The most that the API gives in one answer.
pub(super) const PAGE: usize = 1000;

/// The query of the first page; `None` when nothing is asked for at all.
fn first_part(last: Option<usize>) -> Option<String> {
    match last {
        None => Some(format!("from=0&limit={PAGE}")),
        Some(0) => None,
        Some(last) => Some(format!("last={}", last.min(PAGE))),
    }
}

/// The filter as the end of a query string (RFC 3986 §3.4), each part with its `&`.
pub(super) fn filter_query(filter: &AuditFilter) -> String {
    let texts = [
        ("principal", &filter.principal),
        ("operation", &filter.operation),
        ("key", &filter.key),
        ("decision", &filter.decision),
        ("outcome", &filter.outcome),
    ];
    let texts =
        texts.into_iter().filter_map(|(name, text)| Some((name, query_value(text.as_deref()?))));
    let times = [("since_ms", filter.since_ms), ("until_ms", filter.until_ms)];
    let times = times.into_iter().filter_map(|(name, time)| Some((name, time?.to_string())));
    texts.chain(times).map(|(name, value)| format!("&{name}={value}")).collect()
}

/// Everything but letters and digits is escaped, so no text can end its value and begin another.
fn query_value(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The columns of `audit show`. Fields are read by name and may be missing: the log may come from
/// another version, and showing it must not fail.
fn entry_table(entries: &[Value]) -> String {
    table(HEADS, &entries.iter().map(cells).collect::<Vec<_>>())
}

/// What stands over the columns.
const HEADS: [&str; 8] =
    ["INDEX", "TIME (UTC)", "WHO", "VIA", "WHAT", "WHICH", "DEVICE", "OUTCOME"];

/// An entry as a line by itself.
pub(super) fn entry_row(entry: &Value) -> String {
    cells(entry).join("  ")
}

/// The columns of an entry.
fn cells(entry: &Value) -> [String; 8] {
    let text =
        |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |field: &str| entry.get(field).and_then(Value::as_u64);
    let version = number("version").map_or(String::new(), |version| format!(" v{version}"));
    // The first characters tell devices apart; the whole id is in the JSON form.
    let device: String = text("device").chars().take(8).collect();
    [
        number("index").unwrap_or_default().to_string(),
        time(number("time_ms").unwrap_or_default() / 1000),
        text("principal"),
        text("via"),
        text("operation"),
        format!("{}{version}", text("resource")),
        device,
        text("outcome"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_asked_of_the_server() {
        assert_eq!(filter_query(&AuditFilter::default()), "");
        let text = |text: &str| Some(text.to_owned());
        let filter = AuditFilter {
            principal: text("ann & bob"),
            key: text("app:photos"),
            outcome: text("ok"),
            since_ms: Some(7),
            ..AuditFilter::default()
        };
        assert_eq!(
            filter_query(&filter),
            "&principal=ann%20%26%20bob&key=app%3Aphotos&outcome=ok&since_ms=7"
        );
        let parts = [None, Some(0), Some(7), Some(5000)].map(first_part);
        let expected = [text("from=0&limit=1000"), None, text("last=7"), text("last=1000")];
        assert_eq!(parts, expected);
    }

    #[test]
    fn entries_are_shown_one_a_line_and_what_is_missing_is_empty() {
        let whole = json!({ "index": 7, "time_ms": 86_400_999, "principal": "ann", "via": "ticket",
            "operation": "DeliverDataKey", "resource": "key/photos", "version": 2,
            "device": "0123456789abcdef", "outcome": "ok" });
        let shown = entry_table(&[whole, json!({}), json!(null)]);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines.len(), 4);
        for cell in
            ["7 ", "1970-01-02 00:00:00", "ann", "ticket", "key/photos v2", "  01234567  ", "ok"]
        {
            assert!(lines[1].contains(cell), "{cell:?} in {}", lines[1]);
        }
        assert!(!lines[1].contains("012345678"), "{}", lines[1]);
        assert!(lines[2].starts_with("0 ") && lines[2].ends_with("00:00:00"), "{}", lines[2]);
    }

    #[test]
    fn files_are_read_without_a_server_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("entries.jsonl");
        let all = AuditFilter::default();
        let from_files = |last| from_files(folder.path(), (&all, last));
        assert!(from_files(None).is_err());
        std::fs::write(&file, "{\"index\":0}\n{\"index\":1}\n{\"ind").unwrap();
        assert_eq!(from_files(None).ok().unwrap().len(), 2);
        assert_eq!(from_files(Some(1)).ok().unwrap(), [json!({ "index": 1 })]);
        assert!(from_files(Some(0)).ok().unwrap().is_empty());
        std::fs::write(&file, "{\"index\":0}\nrubbish\n").unwrap();
        let error = from_files(None).err().unwrap().to_string();
        assert_eq!(error, "line 2 of the log is damaged: the line is not a log entry");
    }
}
