//! `cargo xtask bench server`: how much of a bare HTTPS server's speed is left when each request is
//! authorised, worked on with a key and durably recorded before it is answered.
//!
//! At each number of connections the same generator measures a bare JSON echo ([`echo`]) and then
//! Keyhaven's operations, so that a noisy machine disturbs both alike: what counts is the ratio. Run by
//! itself with `bench-server [--seconds N] [--connections N] [--operation NAME]`, where the last two leave
//! out all others; `bench-server echo` is the echo, a process of its own.

mod api;
mod echo;
mod generator;
mod process;
mod report;
mod request;
mod subject;

use std::{error::Error, io::Write, process::ExitCode, time::Duration};

use report::{Report, Row};
use subject::{Echo, Keyhaven, Operation};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How many clients ask at once.
const CONNECTIONS: [usize; 4] = [1, 8, 64, 256];
/// Seconds that each measurement takes, after a second of warm-up.
const SECONDS: u64 = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [word] if word == "echo" => echo::serve(),
        _ => Plan::read(&arguments).and_then(|plan| measure(&plan)),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // Nobody is left to tell when standard error is closed too.
    let _ = writeln!(std::io::stderr(), "bench-server: {error}");
    ExitCode::FAILURE
}

/// What is to be measured.
struct Plan {
    length: Duration,
    connections: Vec<usize>,
    operation: Option<String>,
}

impl Plan {
    fn read(arguments: &[String]) -> Outcome<Self> {
        let length = Duration::from_secs(SECONDS);
        let mut plan = Self { length, connections: CONNECTIONS.to_vec(), operation: None };
        for option in arguments.chunks(2) {
            match option {
                [name, value] if name == "--seconds" => {
                    plan.length = Duration::from_secs(value.parse()?);
                }
                [name, value] if name == "--connections" => plan.connections = vec![value.parse()?],
                [name, value] if name == "--operation" => plan.operation = Some(value.clone()),
                _ => return Err(
                    "usage: bench-server [--seconds N] [--connections N] [--operation NAME] | echo"
                        .into(),
                ),
            }
        }
        Ok(plan)
    }

    fn has(&self, operation: &Operation) -> bool {
        self.operation.as_ref().is_none_or(|name| name == operation.name)
    }
}

fn measure(plan: &Plan) -> Outcome<()> {
    let echo = Echo::start()?;
    let keyhaven = Keyhaven::start()?;
    let mut report = Report::new()?;
    for &connections in &plan.connections {
        let bare = echo.measure(connections, plan.length)?;
        let uses = bare.requests_per_s * (plan.length + generator::WARM_UP).as_secs_f64();
        report.add(Row::new(("echo", "none"), connections, (&bare, &bare)))?;
        for operation in keyhaven.operations(uses)?.iter().filter(|one| plan.has(one)) {
            let measured = keyhaven.measure(operation, connections, plan.length)?;
            report.add(Row::new((operation.name, "sqlite"), connections, (&measured, &bare)))?;
        }
    }
    report.write()
}
