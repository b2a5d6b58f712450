//! `cargo xtask test`: every test there is; the last line is `N passed, M failed`.

mod tally;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    failure::{Failure, Outcome},
    project::Project,
    run::{Step, cannot_start},
    setup::{self, Options},
    wasm,
};
use tally::{Counts, Dialect, Tally};

/// Sets up, builds what the tests run, runs them all, prints the sum. True if none failed.
pub(crate) fn run(project: &Project, options: Options) -> Outcome<bool> {
    let counts = match prepare(project, options) {
        Ok(()) => runners(project).into_iter().map(|runner| runner.run(project)).sum(),
        Err(failure) => {
            eprintln!("error: {failure}");
            Counts::ONE_FAILED
        }
    };
    println!("{} passed, {} failed", counts.passed, counts.failed);
    Ok(counts.failed == 0)
}

fn prepare(project: &Project, options: Options) -> Outcome {
    let ready = setup::run(project, options)?;
    wasm::build(project, &ready)?;
    build_server(project)
}

/// Builds the server that tests and demo start.
pub(crate) fn build_server(project: &Project) -> Outcome {
    Step::new(project, "build keyhaven").run(project.cargo().args([
        "build",
        "--package",
        "keyhaven-server",
    ]))
}

/// One program that runs tests and says how many.
struct Runner {
    name: &'static str,
    dialect: Dialect,
    command: Command,
}

/// Folders with tests that Node runs.
const NODE_TESTS: [(&str, &str); 4] = [
    ("package tests", "tests/package"),
    ("interoperability tests", "tests/interop"),
    ("runtime tests", "tests/runtimes"),
    ("browser tests", "tests/browser"),
];

fn runners(project: &Project) -> Vec<Runner> {
    let mut cargo = project.cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    let mut runners = vec![Runner { name: "cargo test", dialect: Dialect::Cargo, command: cargo }];

    let npm = project.root.join("npm");
    if has_test_script(&npm.join("package.json")) {
        let mut command = project.command("npm");
        command.args(["test", "--silent"]).current_dir(npm);
        runners.push(Runner { name: "npm test", dialect: Dialect::Node, command });
    }

    for (name, folder) in NODE_TESTS {
        let files = test_files(&project.root.join(folder));
        if !files.is_empty() {
            let mut command = project.command("node");
            command.arg("--test").args(files);
            runners.push(Runner { name, dialect: Dialect::Node, command });
        }
    }
    runners
}

impl Runner {
    fn run(mut self, project: &Project) -> Counts {
        eprintln!("· {}", self.name);
        project.tell(&mut self.command);
        match self.stream() {
            Ok(counts) => counts,
            Err(failure) => {
                eprintln!("error: {failure}");
                Counts::ONE_FAILED
            }
        }
    }

    /// Passes the output on while it counts.
    fn stream(&mut self) -> Outcome<Counts> {
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| cannot_start(&self.command, &error))?;
        let lost = |error| Failure::new(format!("{}: {error}", self.name));
        let mut tally = Tally::new(self.dialect);
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.map_err(lost)?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                tally.line(&line);
            }
        }
        let status = child.wait().map_err(lost)?;
        Ok(tally.finish(status.success()))
    }
}

/// True if the package has tests to run; the file's layout is npm's own, one script a line.
fn has_test_script(package: &Path) -> bool {
    fs::read_to_string(package)
        .is_ok_and(|text| text.lines().any(|line| line.trim_start().starts_with("\"test\":")))
}

fn test_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    files
}
