//! cargo-deny, kept in the cache: it takes minutes to build.

use std::path::PathBuf;

use crate::{failure::Outcome, project::Project, run::Step};

const VERSION: &str = "0.20.2";

/// Builds cargo-deny if the cache lacks it.
pub(super) fn install(project: &Project) -> Outcome {
    if program(project).is_file() {
        return Ok(());
    }
    // Unoptimised it takes half the time to build, and two seconds more to run. Without a target folder
    // named, cargo builds in a temporary one, which leaves nothing behind.
    Step::new(project, &format!("build cargo-deny {VERSION} (some minutes, once)")).run(
        project
            .cargo()
            .env_remove("CARGO_TARGET_DIR")
            .args(["install", "--locked", "--debug", "--version", VERSION, "cargo-deny", "--root"])
            .arg(folder(project)),
    )
}

/// Checks licences, sources and banned crates against `deny.toml`.
pub(crate) fn check(project: &Project) -> Outcome {
    install(project)?;
    Step::new(project, "cargo-deny").advice("deny.toml says what is allowed, and why").run(
        project.command(program(project)).args([
            "--workspace",
            "check",
            "bans",
            "licenses",
            "sources",
        ]),
    )
}

fn folder(project: &Project) -> PathBuf {
    project.cache.join(format!("cargo-deny-{VERSION}"))
}

fn program(project: &Project) -> PathBuf {
    folder(project).join("bin/cargo-deny")
}
