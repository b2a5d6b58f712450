//! `keyhaven audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use keyhaven_shared::api::audit::AuditPage;
use serde_json::{Value, json};

use super::{
    client::Client,
    error::CliError,
    output::{Output, table, time},
};
use crate::audit::{self as log, Filter};

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Show who did what: keyhaven audit show --operation Decrypt --decision refused
    Show(ShowArgs),
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

#[derive(Args)]
pub(super) struct ShowArgs {
    /// Read this data folder's log files, without a server.
    #[arg(long)]
    data_dir: Option<PathBuf>,
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
    /// Only the newest so many.
    #[arg(long)]
    last: Option<usize>,
}

pub(super) fn run(command: AuditCommand, output: &Output) -> Result<(), CliError> {
    match command {
        AuditCommand::Show(args) => show(&args, output),
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

fn show(args: &ShowArgs, output: &Output) -> Result<(), CliError> {
    let mut entries = match &args.data_dir {
        Some(folder) => from_files(&folder.join("audit"))?,
        None => from_server()?,
    };
    entries.retain(|entry| wanted(args, entry));
    if let Some(last) = args.last {
        entries = entries.split_off(entries.len().saturating_sub(last));
    }
    let page = AuditPage { entries, next: None };
    output.show(&page, |page| entry_table(&page.entries))
}

fn from_files(folder: &std::path::Path) -> Result<Vec<Value>, CliError> {
    let reader = log::read(folder, Filter::default()).map_err(CliError::new)?;
    reader.collect::<Result<_, _>>().map_err(CliError::new)
}

fn from_server() -> Result<Vec<Value>, CliError> {
    let client = Client::from_environment()?;
    let (mut entries, mut from) = (vec![], 0);
    loop {
        let page: AuditPage = client.get(&format!("/audit?from={from}&limit=1000"))?;
        entries.extend(page.entries);
        match page.next {
            Some(next) => from = next,
            None => return Ok(entries),
        }
    }
}

fn wanted(args: &ShowArgs, entry: &Value) -> bool {
    let is = |field: &str, wanted: &Option<String>| {
        wanted
            .as_ref()
            .is_none_or(|wanted| entry.get(field).and_then(Value::as_str) == Some(wanted))
    };
    let resource = args.key.as_ref().map(|key| format!("key/{key}"));
    is("principal", &args.principal)
        && is("operation", &args.operation)
        && is("decision", &args.decision)
        && (is("key", &args.key) || is("resource", &resource))
}

fn entry_table(entries: &[Value]) -> String {
    let text = |entry: &Value, field: &str| {
        entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let row = |entry: &Value| {
        let number = |field: &str| entry.get(field).and_then(Value::as_u64);
        let version = number("version").map_or(String::new(), |version| format!(" v{version}"));
        let device: String = text(entry, "device").chars().take(8).collect();
        [
            number("index").unwrap_or_default().to_string(),
            time(number("time_ms").unwrap_or_default() / 1000),
            text(entry, "principal"),
            text(entry, "via"),
            text(entry, "operation"),
            format!("{}{version}", text(entry, "resource")),
            device,
            text(entry, "outcome"),
        ]
    };
    let heads = ["INDEX", "TIME (UTC)", "WHO", "VIA", "WHAT", "WHICH", "DEVICE", "OUTCOME"];
    table(heads, &entries.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> ShowArgs {
        let (data_dir, last) = (None, None);
        let (principal, operation, key, decision) = (None, None, None, None);
        ShowArgs { data_dir, principal, operation, key, decision, last }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn an_entry_is_wanted_when_all_that_was_asked_for_fits() {
        let entry = json!({ "principal": "ann", "operation": "Decrypt", "decision": "refused",
            "key": "id-1", "resource": "key/photos" });
        let both = || ShowArgs { principal: text("ann"), operation: text("Decrypt"), ..none() };
        for (case, (args, expected)) in [
            (none(), true),
            (ShowArgs { principal: text("ann"), ..none() }, true),
            (ShowArgs { principal: text("an"), ..none() }, false),
            (ShowArgs { principal: text("Ann"), ..none() }, false),
            (ShowArgs { principal: text(""), ..none() }, false),
            (ShowArgs { operation: text("Decrypt"), ..none() }, true),
            (ShowArgs { operation: text("decrypt"), ..none() }, false),
            (ShowArgs { decision: text("refused"), ..none() }, true),
            (ShowArgs { decision: text("allowed"), ..none() }, false),
            (ShowArgs { key: text("id-1"), ..none() }, true),
            (ShowArgs { key: text("photos"), ..none() }, true),
            (ShowArgs { key: text("key/photos"), ..none() }, false),
            (ShowArgs { key: text("id-2"), ..none() }, false),
            (both(), true),
            (ShowArgs { decision: text("allowed"), ..both() }, false),
            (ShowArgs { key: text("photo"), ..both() }, false),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(wanted(&args, &entry), expected, "case {case}");
        }
        let bare = json!({ "principal": 7 });
        assert!(wanted(&none(), &bare));
        assert!(!wanted(&ShowArgs { principal: text("7"), ..none() }, &bare));
        assert!(!wanted(&ShowArgs { key: text("photos"), ..none() }, &json!({})));
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
        assert!(from_files(folder.path()).is_err());
        std::fs::write(&file, "{\"index\":0}\n{\"index\":1}\n{\"ind").unwrap();
        assert_eq!(from_files(folder.path()).ok().unwrap().len(), 2);
        std::fs::write(&file, "{\"index\":0}\nrubbish\n").unwrap();
        let error = from_files(folder.path()).err().unwrap().to_string();
        assert_eq!(error, "line 2 of the log is damaged: the line is not a log entry");
    }
}
