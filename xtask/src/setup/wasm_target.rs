//! How this machine compiles to Wasm: by rustup's target, else by Debian's second compiler.

use std::{env, fs, path::Path, path::PathBuf, process::Command, time::Duration};

use crate::{
    failure::Outcome,
    project::{self, Project},
    run::{self, Step},
};

const TARGET: &str = "wasm32-unknown-unknown";
/// Forces the choice (`rustup` or `debian`), to try the other way on a machine that has both.
const CHOICE: &str = "KEYHAVEN_WASM_TOOLCHAIN";
/// Long enough for 30 MB on a slow line; a machine that is cut off fails much earlier.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(3);

/// A way to compile to Wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The compiler in use has the target.
    Rustup,
    /// Debian's `rustc-web`, which builds the standard library from its source.
    Debian,
}

/// What was found without installing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// This way was chosen: the target is there, or an earlier run could not add it.
    Found(Toolchain),
    /// No way yet.
    Missing,
}

/// Looks, and reads the note of an earlier run.
pub(super) fn search(project: &Project) -> Search {
    let choice = env::var(CHOICE).unwrap_or_default();
    if choice == "debian" {
        return Search::Found(Toolchain::Debian);
    }
    if has_target(project) {
        return Search::Found(Toolchain::Rustup);
    }
    let noted = fs::read_to_string(note(project)).unwrap_or_default();
    if choice != "rustup" && noted.trim() == "debian" {
        return Search::Found(Toolchain::Debian);
    }
    Search::Missing
}

/// Adds the target by rustup. Where that fails, notes that Debian's compiler is the way.
pub(super) fn add(project: &Project) -> Outcome<Toolchain> {
    let added = Step::new(project, "rustup target add wasm32-unknown-unknown")
        .limit(DOWNLOAD_LIMIT)
        .run(project.command("rustup").args(["target", "add", TARGET]));
    if added.is_ok() && has_target(project) {
        return Ok(Toolchain::Rustup);
    }
    eprintln!("  rustup cannot add the Wasm target here: using Debian's compiler for it");
    project::write(&note(project), "debian\n")?;
    Ok(Toolchain::Debian)
}

fn has_target(project: &Project) -> bool {
    let mut command = project.command("rustc");
    command.args(["--print", "target-libdir", "--target", TARGET]);
    run::output(&mut command).is_some_and(|folder| Path::new(&folder).is_dir())
}

fn note(project: &Project) -> PathBuf {
    project.notes().join("wasm-toolchain")
}

impl Toolchain {
    /// Makes a `cargo build` one for Wasm.
    pub(crate) fn configure(self, build: &mut Command) {
        build.args(["--target", TARGET]);
        match self {
            Self::Rustup => {}
            Self::Debian => {
                // RUSTC_BOOTSTRAP: building the standard library is still an unstable flag of cargo.
                build
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "/usr/bin/rust-lld")
                    .arg("-Zbuild-std=std,panic_abort");
            }
        }
    }

    /// Where this compiler has its own library's source: a path that must not end up in the Wasm.
    pub(crate) fn sysroot(self, project: &Project) -> Option<String> {
        let rustc = match self {
            Self::Rustup => "rustc",
            Self::Debian => "/usr/bin/rustc",
        };
        run::output(project.command(rustc).args(["--print", "sysroot"]))
    }
}
