//! `keyhaven fsck`.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    error::CliError,
    output::{Output, table},
};
use crate::fsck::{self, Report, Subject};

#[derive(Args)]
pub(super) struct FsckArgs {
    /// The data folder of a dev server, which may be running or not.
    #[arg(long, default_value = "keyhaven-dev")]
    data_dir: PathBuf,
    /// The configuration file of another server, in place of a data folder.
    #[arg(long, conflicts_with = "data_dir")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: FsckArgs, output: &Output) -> Result<(), CliError> {
    let subject = args.config.map_or(Subject::DevFolder(args.data_dir), Subject::Config);
    let mut bar = Bar::new(io::stderr().is_terminal());
    let report = fsck::run(&subject, &mut |done, all| bar.show(done, all));
    bar.clear();
    let report = report.map_err(CliError::new)?;
    output.show(&report, told)?;
    match report.findings.len() {
        0 => Ok(()),
        1 => Err(CliError::new("something was tampered with").with_next(NEXT)),
        many => Err(CliError::new(format!("{many} things were tampered with")).with_next(NEXT)),
    }
}

const NEXT: &str = "stop the server, find out who had access to the data folder, restore a backup";

fn told(report: &Report) -> String {
    let rows = report.rows;
    if report.findings.is_empty() {
        return format!("All {rows} rows are as the server wrote them.");
    }
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|finding| [finding.what.clone(), finding.text.clone()])
        .collect();
    table(["WHAT", "WHAT IS WRONG"], &found)
}

/// A bar on standard error, for people who wait.
struct Bar {
    visible: bool,
    drawn: Option<Instant>,
}

/// How often it is drawn anew at most.
const PACE: Duration = Duration::from_millis(100);
const WIDTH: u64 = 40;

impl Bar {
    const fn new(visible: bool) -> Self {
        Self { visible, drawn: None }
    }

    fn show(&mut self, done: u64, all: u64) {
        if self.visible && self.drawn.is_none_or(|drawn| drawn.elapsed() >= PACE) {
            self.drawn = Some(Instant::now());
            // A bar that cannot be drawn is no reason to stop.
            let _ = write!(io::stderr().lock(), "\r{}", line(done, all));
        }
    }

    fn clear(&self) {
        if self.drawn.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn line(done: u64, all: u64) -> String {
    let all = all.max(1);
    let done = done.min(all);
    let filled = usize::try_from(done.saturating_mul(WIDTH) / all).unwrap_or_default();
    let width = usize::try_from(WIDTH).unwrap_or_default();
    let percent = done.saturating_mul(100) / all;
    format!("[{:width$}] {percent:3} %  {done} of {all}", "#".repeat(filled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsck::Finding;

    #[test]
    fn the_bar_fills_from_left_to_right_and_never_overflows() {
        assert_eq!(line(0, 0), format!("[{}]   0 %  0 of 1", " ".repeat(40)));
        assert_eq!(
            line(50, 200),
            format!("[{}{}]  25 %  50 of 200", "#".repeat(10), " ".repeat(30))
        );
        assert_eq!(line(9, 7), format!("[{}] 100 %  7 of 7", "#".repeat(40)));
        assert!(line(u64::MAX, u64::MAX).contains("] "));
    }

    #[test]
    fn a_report_names_each_finding_or_says_that_all_is_well() {
        let whole = Report { rows: 7, findings: vec![] };
        assert_eq!(told(&whole), "All 7 rows are as the server wrote them.");
        let finding = |what: &str, text: &str| Finding {
            what: what.to_owned(),
            fault: "changed",
            text: text.to_owned(),
        };
        let findings =
            vec![finding("key 1", "it was changed"), finding("alias a/b", "it was deleted")];
        let text = told(&Report { rows: 7, findings });
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("alias a/b  it was deleted"), "{text}");
    }
}
