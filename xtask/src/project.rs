//! Where things are: the checkout, its target folder, the cache shared by all checkouts.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::failure::{Failure, Outcome};

/// The checkout this command was built from.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// Tools that take minutes to build, kept across checkouts and `cargo clean`.
    pub(crate) cache: PathBuf,
}

impl Project {
    /// Finds the folders.
    pub(crate) fn find() -> Outcome<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().unwrap_or(manifest).to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => env::current_dir()
                .map_err(|error| Failure::file(Path::new("."), &error))?
                .join(folder),
            None => root.join("target"),
        };
        let cache = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
            (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
            (_, Some(home)) => PathBuf::from(home).join(".cache"),
            (_, None) => target.join("cache"),
        };
        Ok(Self { root, target, cache: cache.join("keyhaven") })
    }

    /// These commands' own notes and logs.
    pub(crate) fn notes(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// The built development binary of the server.
    pub(crate) fn keyhaven(&self) -> PathBuf {
        self.target.join("debug/keyhaven")
    }

    /// The Python interpreter that has the vendors' clients.
    pub(crate) fn python(&self) -> PathBuf {
        self.target.join("venv/bin/python")
    }

    /// `cargo`, in the checkout, as a person would call it: without what `cargo run` has set for this
    /// command, because build scripts watch some of that and would run again.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.command("cargo");
        command.env("CARGO_TARGET_DIR", &self.target);
        for (name, _) in env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            if set_by_cargo_run(name) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Any program, in the checkout.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// Tells a program where the built and installed things are; tests, demo and benchmarks read these.
    pub(crate) fn tell(&self, command: &mut Command) {
        command
            .env("KEYHAVEN_BIN", self.keyhaven())
            .env("KEYHAVEN_TEST_PYTHON", self.python())
            .env("KEYHAVEN_CHROMIUM", "/usr/bin/chromium")
            .env("KEYHAVEN_FIREFOX", "/usr/bin/firefox-esr")
            .env("KEYHAVEN_NPM_PACKAGE", self.root.join("npm"))
            .env("KEYHAVEN_TARGET", &self.target);
    }
}

fn set_by_cargo_run(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&name)
}

/// Writes a file, making its folder if need be.
pub(crate) fn write(path: &Path, text: &str) -> Outcome {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    }
    fs::write(path, text).map_err(|error| Failure::file(path, &error))
}
