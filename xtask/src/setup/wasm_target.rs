//! How this machine compiles to Wasm: with the library's source by rustup, else by Debian's second compiler.

use std::{env, fs, path::Path, path::PathBuf, process::Command, time::Duration};

use crate::{
    failure::Outcome,
    project::{self, Project},
    run::{self, Step},
};

const TARGET: &str = "wasm32-unknown-unknown";
/// Forces the choice (`rustup` or `debian`), to try the other way on a machine that has both.
const CHOICE: &str = "KEYHAVEN_WASM_TOOLCHAIN";
/// What building the standard library needs.
const SOURCE: &str = "rust-src";
/// Long enough for 30 MB on a slow line; a machine that is cut off fails much earlier.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(3);

/// A way to compile to Wasm. Either builds the standard library too: a ready one brings the words of panics, and all
/// that formats them, which nobody reads in a page and everybody would load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The compiler in use, with its library's source.
    Rustup,
    /// Debian's `rustc-web`, which brings its own.
    Debian,
}

/// What was found without installing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// This way was chosen: the source is there, or an earlier run could not add it.
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
    if has_source(project) {
        return Search::Found(Toolchain::Rustup);
    }
    let noted = fs::read_to_string(note(project)).unwrap_or_default();
    if choice != "rustup" && noted.trim() == "debian" {
        return Search::Found(Toolchain::Debian);
    }
    Search::Missing
}

/// Adds the source by rustup. Where that fails, notes that Debian's compiler is the way.
pub(super) fn add(project: &Project) -> Outcome<Toolchain> {
    let added = Step::new(project, "rustup component add rust-src")
        .limit(DOWNLOAD_LIMIT)
        .run(project.command("rustup").args(["component", "add", SOURCE]));
    if added.is_ok() && has_source(project) {
        return Ok(Toolchain::Rustup);
    }
    eprintln!("  rustup cannot add the library's source here: using Debian's compiler for it");
    project::write(&note(project), "debian\n")?;
    Ok(Toolchain::Debian)
}

fn has_source(project: &Project) -> bool {
    let root = Toolchain::Rustup.sysroot(project);
    root.is_some_and(|root| {
        Path::new(&root).join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file()
    })
}

fn note(project: &Project) -> PathBuf {
    project.notes().join("wasm-toolchain")
}

impl Toolchain {
    /// Makes a `cargo build` one for Wasm.
    pub(crate) fn configure(self, build: &mut Command) {
        // RUSTC_BOOTSTRAP: building the standard library is still an unstable flag of cargo.
        build.args(["--target", TARGET, "-Zbuild-std=std,panic_abort"]).env("RUSTC_BOOTSTRAP", "1");
        if self == Self::Debian {
            build
                .env("RUSTC", "/usr/bin/rustc")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "/usr/bin/rust-lld");
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
