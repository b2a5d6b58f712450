//! `cargo xtask demo`: the whole story, to play with or played in a real browser.

use std::os::unix::process::CommandExt;

use crate::{
    failure::Outcome,
    project::Project,
    run::cannot_start,
    setup::{self, Options},
    test::build_server,
    wasm,
};

/// Plays the story in Chromium, prints it as a table, leaves screenshots in `target/demo/`.
const STORY: &str = "tests/browser/story.mjs";
/// Starts `keyhaven dev` and the example web app, prints the address, ends both on Ctrl-C.
const LAUNCHER: &str = "examples/web-app/demo.mjs";

/// Sets up, builds, and becomes the program that shows it.
pub(crate) fn run(project: &Project, options: Options, headless: bool) -> Outcome {
    let ready = setup::run(project, options)?;
    wasm::build(project, &ready)?;
    build_server(project)?;
    let mut node = project.command("node");
    node.arg(if headless { STORY } else { LAUNCHER });
    project.tell(&mut node);
    // In place of this process, so that Ctrl-C and the exit code are the program's own.
    let error = node.exec();
    Err(cannot_start(&node, &error))
}
