//! The results: a table to read while it runs, and `bench/server.json` in the target folder.

use std::{
    env, fs,
    io::{self, Write},
    path::PathBuf,
};

use serde::Serialize;

use crate::{Outcome, generator::Measured};

/// One measurement.
#[derive(Serialize)]
pub(crate) struct Row {
    operation: &'static str,
    store: &'static str,
    connections: usize,
    requests_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    server_cpu_us: f64,
    /// Requests a second, as a part of the echo's over as many connections.
    ratio_to_echo: f64,
}

impl Row {
    pub(crate) fn new(
        (operation, store): (&'static str, &'static str),
        connections: usize,
        (measured, echo): (&Measured, &Measured),
    ) -> Self {
        Self {
            operation,
            store,
            connections,
            requests_per_s: rounded(measured.requests_per_s, 1.0),
            p50_ms: measured.p50_ms,
            p99_ms: measured.p99_ms,
            server_cpu_us: rounded(measured.server_cpu_us, 10.0),
            ratio_to_echo: rounded(measured.requests_per_s / echo.requests_per_s, 1000.0),
        }
    }
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// All measurements so far.
pub(crate) struct Report(Vec<Row>);

impl Report {
    pub(crate) fn new() -> Outcome<Self> {
        writeln!(
            io::stdout(),
            "{:<18} {:>11} {:>10} {:>9} {:>9} {:>14} {:>8}",
            "operation",
            "connections",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "server CPU µs",
            "of echo"
        )?;
        Ok(Self(vec![]))
    }

    /// Keeps a measurement, and shows it.
    pub(crate) fn add(&mut self, row: Row) -> Outcome<()> {
        writeln!(
            io::stdout(),
            "{:<18} {:>11} {:>10} {:>9.2} {:>9.2} {:>14.1} {:>8.3}",
            row.operation,
            row.connections,
            row.requests_per_s,
            row.p50_ms,
            row.p99_ms,
            row.server_cpu_us,
            row.ratio_to_echo
        )?;
        self.0.push(row);
        Ok(())
    }

    /// Writes the file.
    pub(crate) fn write(&self) -> Outcome<()> {
        let target = env::var_os("KEYHAVEN_TARGET").map_or_else(|| "target".into(), PathBuf::from);
        let folder = target.join("bench");
        fs::create_dir_all(&folder)?;
        let file = folder.join("server.json");
        fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&self.0)?))?;
        writeln!(io::stdout(), "written to {}", file.display())?;
        Ok(())
    }
}
