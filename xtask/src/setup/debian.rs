//! Debian packages: which are missing, and installing them.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::wasm_target::{Search, Toolchain};
use crate::{
    failure::{Failure, Outcome},
    project::Project,
    run::{self, Step},
};

/// How to see that a package's content is there, whoever installed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// A program on the PATH.
    Program(&'static str),
    /// A file at its Debian place.
    File(&'static str),
    /// A package, by dpkg's word: its files could be another version's.
    Package(&'static str),
    /// A Python that can make virtual environments; Debian splits that off.
    PythonVenv,
}

/// One thing the project needs from the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) package: &'static str,
    pub(super) why: &'static str,
    probe: Probe,
}

const fn need(package: &'static str, probe: Probe, why: &'static str) -> Need {
    Need { package, why, probe }
}

/// Needed on every machine.
pub(super) const ALWAYS: [Need; 9] = [
    need(
        "softhsm2",
        Probe::File("/usr/lib/softhsm/libsofthsm2.so"),
        "the HSM of dev mode and tests",
    ),
    need("chromium", Probe::File("/usr/bin/chromium"), "the browser of demo and tests"),
    need(
        "firefox-esr",
        Probe::File("/usr/bin/firefox-esr"),
        "the tests run the SDK in a second browser engine",
    ),
    need("strace", Probe::Program("strace"), "the tests make the disk under a server fail"),
    need("python3-venv", Probe::PythonVenv, "for the vendors' Python clients in the tests"),
    need("gcc", Probe::Program("cc"), "compiles SQLite and aws-lc"),
    need("libc6-dev", Probe::File("/usr/include/stdio.h"), "compiles SQLite and aws-lc"),
    need("make", Probe::Program("make"), "compiles SQLite and aws-lc"),
    need("cmake", Probe::Program("cmake"), "compiles aws-lc"),
];

/// Needed only to measure.
pub(super) const BENCH: [Need; 1] =
    [need("wrk", Probe::Program("wrk"), "the load of the benchmark")];

/// Needed where rustup cannot add its library's source: a second compiler with its standard library's source.
pub(super) const WASM: [Need; 4] = [
    need("rustc-web", Probe::Package("rustc-web"), "compiles to Wasm"),
    need("rust-web-src", Probe::Package("rust-web-src"), "the standard library for Wasm"),
    need("rust-web-llvm", Probe::Package("rust-web-llvm"), "links Wasm"),
    need("lld-22", Probe::Package("lld-22"), "links Wasm"),
];

/// What this machine must have, given how Wasm is compiled and whether it is to measure.
pub(super) fn needs(search: &Search, bench: bool) -> Vec<Need> {
    let wasm: &[Need] = match search {
        Search::Found(Toolchain::Debian) => &WASM,
        Search::Found(Toolchain::Rustup) | Search::Missing => &[],
    };
    let bench: &[Need] = if bench { &BENCH } else { &[] };
    ALWAYS.iter().chain(wasm).chain(bench).copied().collect()
}

/// Those that are not there.
pub(super) fn missing(needs: &[Need], is_there: &dyn Fn(Probe) -> bool) -> Vec<Need> {
    needs.iter().filter(|need| !is_there(need.probe)).copied().collect()
}

/// Looks on this machine.
pub(super) fn is_there(probe: Probe) -> bool {
    match probe {
        Probe::File(path) => Path::new(path).exists(),
        Probe::Package(name) => {
            let mut query = Command::new("dpkg-query");
            query.args(["--show", "--showformat=${db:Status-Status}", name]);
            run::output(&mut query).is_some_and(|status| status == "installed")
        }
        Probe::Program(name) => std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
        }),
        Probe::PythonVenv => {
            run::output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_some()
        }
    }
}

/// True for the user that needs no sudo.
pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Installs the packages; the package lists are updated only if there is something to install.
pub(super) fn install(project: &Project, packages: &[Need]) -> Outcome {
    if packages.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = packages.iter().map(|need| need.package).collect();
    if !is_there(Probe::Program("apt-get")) {
        return Err(Failure::new(format!("there is no apt-get to install {}", names.join(", ")))
            .advise("install their counterparts with your system's package manager"));
    }
    log_in_to_sudo()?;
    let network = "is this machine online, and may you install packages?";
    Step::new(project, "apt-get update")
        .limit(Duration::from_mins(5))
        .advice(network)
        .run(apt(project).arg("update"))?;
    // --no-remove: a package that conflicts with one of the user's is the user's to decide on.
    Step::new(project, "apt-get install").advice(network).run(
        apt(project)
            .args(["install", "--yes", "--no-remove", "--no-install-recommends"])
            .args(&names),
    )
}

/// Lets sudo ask its password here, where no progress line writes over the question.
fn log_in_to_sudo() -> Outcome {
    if is_root() {
        return Ok(());
    }
    let mut command = Command::new("sudo");
    let status = command.arg("-v").stdin(Stdio::inherit()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) | Err(_) => Err(Failure::new(
            "installing packages needs root, and sudo did not allow it",
        )
        .advise(
            "run `cargo xtask setup` once as root, or let root install the packages named above",
        )),
    }
}

fn apt(project: &Project) -> Command {
    let mut command = if is_root() {
        project.command("env")
    } else {
        let mut sudo = project.command("sudo");
        sudo.args(["-n", "env"]);
        sudo
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(search: &Search, there: &dyn Fn(Probe) -> bool) -> Vec<&'static str> {
        missing(&needs(search, false), there).iter().map(|need| need.package).collect()
    }

    #[test]
    fn a_machine_that_has_everything_misses_nothing() {
        assert!(names(&Search::Found(Toolchain::Debian), &|_| true).is_empty());
    }

    #[test]
    fn a_bare_machine_misses_all_but_not_the_fallback_compiler() {
        let found = names(&Search::Found(Toolchain::Rustup), &|_| false);
        assert_eq!(found.len(), ALWAYS.len());
        assert!(!found.contains(&"rustc-web"));
    }

    #[test]
    fn the_load_generator_is_needed_only_to_measure() {
        let there = |probe| probe != Probe::Program("wrk");
        let search = Search::Found(Toolchain::Rustup);
        assert!(missing(&needs(&search, false), &there).is_empty());
        assert_eq!(missing(&needs(&search, true), &there), BENCH);
    }

    #[test]
    fn the_fallback_compiler_is_looked_for_where_it_is_used() {
        let there = |probe| probe != Probe::Package("rustc-web");
        assert_eq!(names(&Search::Found(Toolchain::Debian), &there), ["rustc-web"]);
        assert!(names(&Search::Missing, &there).is_empty());
    }

    #[test]
    fn a_python_without_ensurepip_misses_its_venv_package() {
        let there = |probe| probe != Probe::PythonVenv;
        assert_eq!(names(&Search::Missing, &there), ["python3-venv"]);
    }
}
