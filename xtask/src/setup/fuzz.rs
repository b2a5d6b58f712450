//! cargo-fuzz, kept in the cache: it takes minutes to build.

use std::path::PathBuf;

use crate::{failure::Outcome, project::Project, run::Step};

const VERSION: &str = "0.13.2";

/// Builds cargo-fuzz if the cache lacks it; gives the program.
pub(crate) fn install(project: &Project) -> Outcome<PathBuf> {
    let folder = project.cache.join(format!("cargo-fuzz-{VERSION}"));
    let program = folder.join("bin/cargo-fuzz");
    if !program.is_file() {
        Step::new(project, &format!("build cargo-fuzz {VERSION} (some minutes, once)")).run(
            project
                .cargo()
                .env_remove("CARGO_TARGET_DIR")
                .args(["install", "--locked", "--debug", "--version", VERSION, "cargo-fuzz"])
                .arg("--root")
                .arg(&folder),
        )?;
    }
    Ok(program)
}
