//! Running a long command: its output to a log, one line of progress for the person who waits.

use std::{
    fs::{self, File},
    io::{self, IsTerminal, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    failure::{Failure, Outcome},
    project::Project,
};

const POLL: Duration = Duration::from_millis(100);
/// Without a terminal, a sign of life this often.
const HEARTBEAT: Duration = Duration::from_secs(30);
const SHOWN_LOG_LINES: usize = 25;

/// A step with a name, a log and a line of progress.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    project: &'a Project,
    name: &'a str,
    limit: Option<Duration>,
    advice: Option<&'a str>,
}

impl<'a> Step<'a> {
    /// A step with no time limit.
    pub(crate) fn new(project: &'a Project, name: &'a str) -> Self {
        Self { project, name, limit: None, advice: None }
    }

    /// The command is ended after this long.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// What to do if the command fails.
    pub(crate) fn advice(mut self, advice: &'a str) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, command: &mut Command) -> Outcome {
        self.run_logged(command).map(drop)
    }

    /// Runs the command to its end; gives the file with all that it printed.
    pub(crate) fn run_logged(&self, command: &mut Command) -> Outcome<PathBuf> {
        let path = self.project.notes().join("logs").join(format!("{}.log", slug(self.name)));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
        }
        let log = File::create(&path).map_err(|error| Failure::file(&path, &error))?;
        let both = log.try_clone().map_err(|error| Failure::file(&path, &error))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(both)
            .spawn()
            .map_err(|error| cannot_start(command, &error))?;

        let mut progress = Progress::start(self.name);
        let status = self.wait(&mut child, &mut progress, &path)?;
        let ok = status.is_some_and(|status| status.success());
        progress.finish(ok);
        if ok { Ok(path) } else { Err(self.failure(status, &path)) }
    }

    /// The exit status, or nothing if the time limit ended the command.
    fn wait(
        &self,
        child: &mut Child,
        progress: &mut Progress,
        log: &Path,
    ) -> Outcome<Option<ExitStatus>> {
        let lost = |error: io::Error| Failure::new(format!("{}: {error}", self.name));
        loop {
            if let Some(status) = child.try_wait().map_err(lost)? {
                return Ok(Some(status));
            }
            if self.limit.is_some_and(|limit| progress.started.elapsed() > limit) {
                child.kill().map_err(lost)?;
                child.wait().map_err(lost)?;
                return Ok(None);
            }
            progress.tick(log);
            thread::sleep(POLL);
        }
    }

    fn failure(&self, status: Option<ExitStatus>, path: &Path) -> Failure {
        let why = match status {
            Some(status) => status.to_string(),
            None => "took too long".to_owned(),
        };
        let log = fs::read(path).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let mut lines: Vec<&str> = log.lines().rev().take(SHOWN_LOG_LINES).collect();
        lines.reverse();
        let advice = self.advice.unwrap_or("mend what the log says, then run the command again");
        Failure::new(format!("{} failed ({why})\n{}", self.name, indent(&lines)))
            .advise(format!("{advice}; the whole log is {}", path.display()))
    }
}

/// What a command prints, if it can be run and succeeds.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The failure to start a program at all.
pub(crate) fn cannot_start(command: &Command, error: &io::Error) -> Failure {
    Failure::new(format!("cannot start {}: {error}", command.get_program().display()))
        .advise("`cargo xtask setup` installs what is missing")
}

fn indent(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("    {line}\n")).collect()
}

fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

struct Progress {
    name: String,
    started: Instant,
    terminal: bool,
    next: Duration,
}

impl Progress {
    fn start(name: &str) -> Self {
        let terminal = io::stderr().is_terminal();
        if !terminal {
            eprintln!("· {name} …");
        }
        let next = if terminal { Duration::ZERO } else { HEARTBEAT };
        Self { name: name.to_owned(), started: Instant::now(), terminal, next }
    }

    fn tick(&mut self, log: &Path) {
        let elapsed = self.started.elapsed();
        if elapsed < self.next {
            return;
        }
        let doing = last_line(log).unwrap_or_default();
        if self.terminal {
            let line = format!("· {} {} s  {doing}", self.name, elapsed.as_secs());
            let line: String = line.chars().take(100).collect();
            eprint!("\r\x1b[2K{line}");
            // The progress line is a courtesy: a closed terminal must not end the work.
            io::stderr().flush().ok();
            self.next = elapsed + Duration::from_secs(1);
        } else {
            eprintln!("  … {} {} s  {doing}", self.name, elapsed.as_secs());
            self.next = elapsed + HEARTBEAT;
        }
    }

    fn finish(&self, ok: bool) {
        let start_of_line = if self.terminal { "\r\x1b[2K" } else { "" };
        let mark = if ok { "✓" } else { "✗" };
        let seconds = self.started.elapsed().as_secs_f32();
        eprintln!("{start_of_line}{mark} {} ({seconds:.1} s)", self.name);
    }
}

/// The last whole line of a log that is still being written.
fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(300))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    let line = tail.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).collect())
}
