//! `cargo xtask bench`: the release build, measured.

use std::{ffi::OsString, os::unix::process::CommandExt};

use crate::{
    failure::Outcome,
    project::Project,
    run::{Step, cannot_start},
    setup::{self, Options},
};

/// Measures the server; the results go to `target/bench/server.json`.
pub(crate) fn server(project: &Project, options: Options, arguments: Vec<OsString>) -> Outcome {
    setup::run(project, Options { bench: true, ..options })?;
    Step::new(project, "build keyhaven for release").run(project.cargo().args([
        "build",
        "--release",
        "--package",
        "keyhaven-server",
    ]))?;
    Step::new(project, "build the benchmark").run(project.cargo().args([
        "build",
        "--release",
        "--package",
        "keyhaven-tests",
        "--bin",
        "bench-server",
    ]))?;
    let mut bench = project.command(project.target.join("release/bench-server"));
    bench.args(arguments);
    project.tell(&mut bench);
    bench.env("KEYHAVEN_BIN", project.target.join("release/keyhaven"));
    let error = bench.exec();
    Err(cannot_start(&bench, &error))
}
