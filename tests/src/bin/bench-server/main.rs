//! `cargo xtask bench server`: how much of a bare HTTPS server's speed is left when each request is
//! authorised, worked on with a key and durably recorded before it is answered.
//!
//! At each number of connections the same generator measures a bare JSON echo ([`echo`]) and then
//! Keyhaven's operations, so that a noisy machine disturbs both alike: what counts is the ratio. Run by
//! itself with `bench-server [--seconds N]`; `bench-server echo` is the echo, a process of its own.

mod api;
mod device;
mod echo;
mod generator;
mod process;
mod report;
mod request;
mod subject;

use std::{error::Error, io::Write, process::ExitCode, time::Duration};

use report::{Report, Row};
use subject::{Echo, Keyhaven};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How many clients ask at once.
const CONNECTIONS: [usize; 4] = [1, 8, 64, 256];
/// Seconds that each measurement takes, after a second of warm-up.
const SECONDS: u64 = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["echo"] => echo::serve(),
        [] => measure(SECONDS),
        ["--seconds", seconds] => seconds.parse().map_err(Into::into).and_then(measure),
        _ => Err("usage: bench-server [--seconds N | echo]".into()),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // Nobody is left to tell when standard error is closed too.
    let _ = writeln!(std::io::stderr(), "bench-server: {error}");
    ExitCode::FAILURE
}

fn measure(seconds: u64) -> Outcome<()> {
    let length = Duration::from_secs(seconds);
    let echo = Echo::start()?;
    let keyhaven = Keyhaven::start()?;
    let mut report = Report::new()?;
    for connections in CONNECTIONS {
        let bare = echo.measure(connections, length)?;
        let uses = bare.requests_per_s * (length + generator::WARM_UP).as_secs_f64();
        report.add(Row::new(("echo", "none"), connections, (&bare, &bare)))?;
        for operation in keyhaven.operations(uses)? {
            let measured = keyhaven.measure(&operation, connections, length)?;
            report.add(Row::new((operation.name, "sqlite"), connections, (&measured, &bare)))?;
        }
    }
    report.write()
}
