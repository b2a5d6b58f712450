//! cargo-deny, kept in the cache: it takes minutes to build.

use std::path::PathBuf;

use crate::{failure::Outcome, project::Project, run::Step};

const VERSION: &str = "0.20.2";

/// Builds cargo-deny if the cache lacks it.
pub(super) fn install(project: &Project) -> Outcome {
    if program(project).is_file() {
        return Ok(());
    }
    Step::new(
        project,
        &format!("build cargo-deny {VERSION} (some minutes, once)"),
    )
    .run(
        project
            .cargo()
            .args([
                "install",
                "--locked",
                "--quiet",
                "--version",
                VERSION,
                "--root",
            ])
            .arg(folder(project))
            .args(["cargo-deny", "--target-dir"])
            .arg(project.target.join("tools")),
    )
}

/// Checks licences, sources and banned crates against `deny.toml`.
pub(crate) fn check(project: &Project) -> Outcome {
    install(project)?;
    Step::new(project, "cargo-deny")
        .advice("deny.toml says what is allowed, and why")
        .run(project.command(program(project)).args([
            "--workspace",
            "check",
            "bans",
            "licenses",
            "sources",
        ]))
}

fn folder(project: &Project) -> PathBuf {
    project.cache.join(format!("cargo-deny-{VERSION}"))
}

fn program(project: &Project) -> PathBuf {
    folder(project).join("bin/cargo-deny")
}
