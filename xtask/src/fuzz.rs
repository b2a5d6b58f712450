//! `cargo xtask fuzz`: each parser under the fuzzer, for a while.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    failure::{Failure, Outcome},
    project::Project,
    run::Step,
    setup,
};

/// How long each target runs when nothing is said.
pub(crate) const DEFAULT_SECONDS: u32 = 60;
/// One input that takes longer is a finding.
const SLOW_S: u32 = 10;
/// Memory beyond this is a finding.
const MEMORY_MB: u32 = 1024;

/// Where the fuzzer is, and where it keeps things.
struct Fuzzer<'a> {
    project: &'a Project,
    program: PathBuf,
    seconds: u32,
}

/// Runs these targets, or all; true if nothing was found.
pub(crate) fn run(project: &Project, targets: &[String], seconds: u32) -> Outcome<bool> {
    let all = names(&project.root.join("tests/fuzz/runner/fuzz_targets"))?;
    if let Some(unknown) = targets.iter().find(|name| !all.contains(name)) {
        return Err(Failure::new(format!("there is no target `{unknown}`"))
            .advise(format!("the targets are {}", all.join(", "))));
    }
    let program = setup::install_fuzzer(project)?;
    let fuzzer = Fuzzer { project, program, seconds };
    Step::new(project, "build the fuzz targets").run(&mut fuzzer.command("build"))?;
    let chosen = if targets.is_empty() { &all } else { targets };
    let mut clean = true;
    for target in chosen {
        match fuzzer.fuzz(target) {
            Ok(runs) => println!("{target}: nothing found in {runs}"),
            Err(failure) => {
                eprintln!("error: {failure}");
                clean = false;
            }
        }
    }
    Ok(clean)
}

impl Fuzzer<'_> {
    /// A command of cargo-fuzz. Without a sanitizer: there is no unsafe code of ours to watch, and so the
    /// stable compiler does, twice as fast.
    fn command(&self, name: &str) -> Command {
        let mut command = self.project.command(&self.program);
        command
            .args(["fuzz", name, "--fuzz-dir", "tests/fuzz/runner", "--sanitizer", "none"])
            .env("CARGO_TARGET_DIR", self.folder());
        command
    }

    fn folder(&self) -> PathBuf {
        self.project.target.join("fuzz")
    }

    /// One target; gives what the fuzzer says of its runs.
    fn fuzz(&self, target: &str) -> Outcome<String> {
        // What the fuzzer learns is kept apart from the seeds, which are the project's.
        let corpus = self.folder().join("corpus").join(target);
        let findings = self.folder().join("findings").join(target);
        for folder in [&corpus, &findings] {
            fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
        }
        let log = Step::new(self.project, &format!("fuzz {target}"))
            .advice("the input is named above: mend the code, and keep the input as a seed")
            .run_logged(
                self.command("run")
                    .arg(target)
                    .arg(corpus)
                    .arg(self.project.root.join("tests/fuzz/seeds").join(target))
                    .arg("--")
                    .arg(format!("-max_total_time={}", self.seconds))
                    .args([format!("-timeout={SLOW_S}"), format!("-rss_limit_mb={MEMORY_MB}")])
                    .args(["-print_final_stats=1", "-verbosity=0", "-print_funcs=0"])
                    .arg(format!("-artifact_prefix={}/", findings.display())),
            )?;
        let said = fs::read_to_string(&log).map_err(|error| Failure::file(&log, &error))?;
        Ok(runs(&said))
    }
}

/// `N runs`, as the fuzzer's last statistics tell.
fn runs(said: &str) -> String {
    let mut number =
        said.lines().filter_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    format!("{} runs", number.next_back().map_or("an unknown number of", str::trim))
}

/// The targets: one file each.
fn names(folder: &Path) -> Outcome<Vec<String>> {
    let files = fs::read_dir(folder).map_err(|error| Failure::file(folder, &error))?;
    let mut names: Vec<String> = files
        .flatten()
        .filter_map(|file| Some(file.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_runs_is_read_from_what_the_fuzzer_says() {
        let said = "Done\nstat::number_of_executed_units: 4711\nstat::peak_rss_mb: 40\n";
        assert_eq!(runs(said), "4711 runs");
        assert_eq!(runs(""), "an unknown number of runs");
    }

    #[test]
    fn targets_are_named_after_their_files() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/runner/fuzz_targets");
        let names = names(&folder).unwrap();
        assert!(names.is_sorted() && names.contains(&"message_body".to_owned()));
    }
}
