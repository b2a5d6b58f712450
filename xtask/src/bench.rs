//! `cargo xtask bench`: the release build, measured.

use std::{ffi::OsString, os::unix::process::CommandExt};

use crate::{
    failure::Outcome,
    project::Project,
    run::{Step, cannot_start},
    setup::{self, Options},
    wasm::{self, Module},
};

/// Measures the server; the results go to `target/bench/server.json`.
pub(crate) fn server(project: &Project, options: Options, arguments: Vec<OsString>) -> Outcome {
    setup::run(project, Options { bench: true, ..options })?;
    build_server(project)?;
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

/// Measures the SDK in browser, Node and workerd; the results go to `target/bench/sdk.json`.
pub(crate) fn sdk(project: &Project, options: Options, arguments: Vec<OsString>) -> Outcome {
    let ready = setup::run(project, options)?;
    setup::install_npm(project, "tests/bench-sdk")?;
    wasm::build(project, &ready)?;
    let folder = project.target.join("bench/cipher");
    let cipher = Module { krate: "keyhaven-bench-cipher", folder, shielded: false };
    wasm::build_module(project, &ready, &cipher)?;
    build_server(project)?;
    let mut bench = project.command("node");
    bench.arg("tests/bench-sdk/main.mjs").args(arguments);
    project.tell(&mut bench);
    bench.env("KEYHAVEN_BIN", project.target.join("release/keyhaven"));
    let error = bench.exec();
    Err(cannot_start(&bench, &error))
}

fn build_server(project: &Project) -> Outcome {
    Step::new(project, "build keyhaven for release").run(project.cargo().args([
        "build",
        "--release",
        "--package",
        "keyhaven-server",
    ]))
}
