//! `keyhaven audit export` and `keyhaven audit watch`: the audit log for people who follow it and for other
//! systems.
//!
//! Both read the log as any reader does, so no system that takes entries can hold up the server: one
//! that is slow or away is behind, and catches up. With `--state` an export goes on where it
//! stopped; an entry counts as exported when the other side has taken it, so after a crash some
//! entries may come twice, and none is left out.

mod cloudtrail;
mod format;
mod ocsf;
mod otlp;
mod position;
mod sink;
mod source;
mod syslog;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, thread, time::Duration};

use clap::Args;
use serde_json::Value;

use self::{
    format::Format,
    position::Position,
    sink::{Delivery, Sink},
    source::Source,
};
use super::{
    audit::{FilterArgs, entry_row},
    error::CliError,
    output::Output,
};

/// The first wait before another attempt at a sink that does not take entries.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

// Addresses are arguments; what proves who exports is not, since every user of a machine can read them.
#[derive(Args)]
pub(super) struct ExportArgs {
    /// The form that the entries are given.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// Where to: `-` (standard output), a file to append to, `tcp://HOST:PORT` or `tls://HOST:PORT` (lines; syslog
    /// messages with their length in front, RFC 6587 and 5425), or for OTLP `https://HOST/v1/logs` (`http` to this machine only).
    /// An `Authorization` header is taken from KEYHAVEN_EXPORT_AUTHORIZATION.
    #[arg(long, default_value = "-", verbatim_doc_comment)]
    to: String,
    /// The authority (PEM) that signed the certificate of a `tls` or `https` sink.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Remember in this file what was exported, and go on from there the next time.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Go on when the newest entry was exported, and try again when the sink is away.
    #[arg(long)]
    follow: bool,
    /// Read this data folder's log files, without a server.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Args)]
pub(super) struct WatchArgs {
    /// Begin with the newest so many.
    #[arg(long, default_value_t = 10)]
    last: usize,
    /// End when so many were shown.
    #[arg(long)]
    count: Option<usize>,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Runs `audit export`, to the end of the log or for ever.
///
/// # Errors
/// The log cannot be read, or is not the one that was exported from before; without `--follow` also
/// when the sink does not take entries.
pub(super) fn export(args: &ExportArgs, output: &Output) -> Result<(), CliError> {
    let mut position = Position::load(args.state.as_deref())?;
    let source = Source::open(args.data_dir.as_deref(), args.filter.filter())?;
    let mut sink = Sink::open(&args.to, args.ca.as_deref(), args.format)?;
    // A log that is shorter than what was exported of it, or another, must not pass for one
    // without news.
    position.check(&source)?;
    // What is there now: each reading is itself an entry, so the end is never reached by reading.
    let end = if args.follow { None } else { Some(source.end()?) };
    let mut exported: u64 = 0;
    loop {
        let page = source.page(position.next(), args.follow)?;
        let count = u64::try_from(page.entries.len()).unwrap_or(u64::MAX);
        if count > 0 && deliver(&mut sink, &page.entries, (args, output))? == Delivery::Closed {
            return Ok(());
        }
        exported = exported.saturating_add(count);
        position.advance(&page)?;
        let done = match end {
            None => false,
            Some(Some(end)) => position.next() >= end,
            Some(None) => count == 0,
        };
        if done {
            output.remark(&format!("{exported} entries exported"));
            return Ok(());
        }
    }
}

/// Gives a page to the sink; with `--follow`, until it has taken it.
fn deliver(
    sink: &mut Sink,
    entries: &[Value],
    (args, output): (&ExportArgs, &Output),
) -> Result<Delivery, CliError> {
    let mut wait = FIRST_WAIT;
    loop {
        match sink.deliver(entries) {
            Ok(delivery) => return Ok(delivery),
            Err(error) if !args.follow => return Err(error),
            Err(error) => output.remark(&format!("{error}; trying again in {} s", wait.as_secs())),
        }
        thread::sleep(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Runs `audit watch`: a line an entry, as they come.
///
/// # Errors
/// The log cannot be read.
pub(super) fn watch(args: &WatchArgs, output: &Output) -> Result<(), CliError> {
    let source = Source::open(None, args.filter.filter())?;
    let mut left = args.count.unwrap_or(usize::MAX);
    let (mut entries, mut next) = source.newest(args.last)?;
    loop {
        for entry in entries.iter().take(left) {
            output.line(entry, || entry_row(entry))?;
        }
        left = left.saturating_sub(entries.len());
        if left == 0 {
            return Ok(());
        }
        let page = source.page(next, true)?;
        (entries, next) = (page.entries, page.next);
    }
}
