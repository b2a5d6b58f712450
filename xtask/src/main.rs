//! The project's own commands: `cargo xtask setup | test | demo | bench | fuzz | wasm | deny`.

mod bench;
mod demo;
mod failure;
mod fuzz;
mod project;
mod run;
mod setup;
mod stamp;
mod test;
mod wasm;

use std::{ffi::OsString, process::ExitCode};

use failure::{Failure, Outcome};
use lexopt::{Arg, Parser, ValueExt};
use project::Project;
use setup::Options;

const HELP: &str = "\
cargo xtask COMMAND [OPTIONS]

  setup           find what is missing on this machine, ask, install it
  test            setup, build, run all tests; the last line is `N passed, M failed`
  demo            setup, build, start a server and the example web app
  demo --headless play the whole story in Chromium instead, and print it as a table
  bench server    measure the release build; arguments after `--` go to the benchmark
  bench sdk       measure the SDK in Chromium, Node and workerd; the same
  fuzz [TARGET]…  run the fuzz targets, each for a minute or for `--seconds N`
  wasm            setup, build the Wasm module and the npm package
  deny            check the dependencies' licences and sources

  --yes           install without asking
  --ci            with setup: also rustfmt, clippy and cargo-deny
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Help,
    Setup,
    Test,
    Demo { headless: bool },
    BenchServer { arguments: Vec<OsString> },
    BenchSdk { arguments: Vec<OsString> },
    Fuzz { targets: Vec<String>, seconds: u32 },
    Wasm,
    Deny,
}

fn main() -> ExitCode {
    let done = parse(Parser::from_env()).and_then(|(task, options)| perform(task, options));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// False if the task ran but what it checked did not hold.
fn perform(task: Task, options: Options) -> Outcome<bool> {
    let project = Project::find()?;
    match task {
        Task::Help => print!("{HELP}"),
        Task::Setup => {
            setup::run(&project, options)?;
            eprintln!("✓ this machine is ready");
        }
        Task::Test => return test::run(&project, options),
        Task::Demo { headless } => demo::run(&project, options, headless)?,
        Task::BenchServer { arguments } => bench::server(&project, options, arguments)?,
        Task::BenchSdk { arguments } => bench::sdk(&project, options, arguments)?,
        Task::Fuzz { targets, seconds } => return fuzz::run(&project, &targets, seconds),
        Task::Wasm => wasm::build(&project, &setup::run(&project, options)?)?,
        Task::Deny => setup::check_dependencies(&project)?,
    }
    Ok(true)
}

fn parse(mut parser: Parser) -> Outcome<(Task, Options)> {
    let mut words: Vec<String> = Vec::new();
    let mut options = Options::default();
    let (mut headless, mut help) = (false, false);
    let mut arguments = Vec::new();
    let mut seconds = fuzz::DEFAULT_SECONDS;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("yes") | Arg::Short('y') => options.yes = true,
            Arg::Long("ci") => options.ci = true,
            Arg::Long("headless") => headless = true,
            Arg::Long("seconds") => seconds = parser.value()?.parse()?,
            Arg::Long("help") | Arg::Short('h') => help = true,
            Arg::Value(word) if words.len() < 2 => words.push(word.string()?),
            // `bench server -- …`: lexopt gives what follows `--` as values.
            Arg::Value(word) => arguments.push(word),
            Arg::Long(_) | Arg::Short(_) => return Err(argument.unexpected().into()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let task = match words.as_slice() {
        _ if help => Task::Help,
        [] | ["help"] => Task::Help,
        ["setup"] => Task::Setup,
        ["test"] => Task::Test,
        ["demo"] => Task::Demo { headless },
        ["bench", "server"] => Task::BenchServer { arguments },
        ["bench", "sdk"] => Task::BenchSdk { arguments },
        ["fuzz", first @ ..] => {
            let more = arguments.into_iter().map(|target| target.string());
            let first = first.iter().map(|target| Ok((*target).to_owned()));
            Task::Fuzz { targets: first.chain(more).collect::<Result<_, _>>()?, seconds }
        }
        ["wasm"] => Task::Wasm,
        ["deny"] => Task::Deny,
        _ => {
            return Err(Failure::new(format!("there is no command `{}`", words.join(" ")))
                .advise("`cargo xtask help` lists the commands"));
        }
    };
    Ok((task, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Outcome<(Task, Options)> {
        parse(Parser::from_args(line.split_whitespace()))
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        for line in ["demo --headless --yes", "--yes demo --headless"] {
            let (task, options) = parsed(line).unwrap();
            assert_eq!(task, Task::Demo { headless: true });
            assert!(options.yes);
        }
    }

    #[test]
    fn a_benchmark_gets_what_follows_the_dashes() {
        let (task, _) = parsed("bench server -- --seconds 3").unwrap();
        let arguments = ["--seconds", "3"].map(OsString::from).to_vec();
        assert_eq!(task, Task::BenchServer { arguments });
    }

    #[test]
    fn fuzzing_takes_any_targets_and_a_time() {
        let (task, _) = parsed("fuzz ids context delivery --seconds 5").unwrap();
        let targets = ["ids", "context", "delivery"].map(String::from).to_vec();
        assert_eq!(task, Task::Fuzz { targets, seconds: 5 });
        let (task, _) = parsed("fuzz").unwrap();
        assert_eq!(task, Task::Fuzz { targets: vec![], seconds: fuzz::DEFAULT_SECONDS });
        assert!(parsed("fuzz --seconds soon").is_err());
    }

    #[test]
    fn an_unknown_command_or_option_says_what_to_do() {
        for line in ["dance", "test --fast"] {
            assert!(parsed(line).unwrap_err().to_string().contains("cargo xtask help"));
        }
    }
}
