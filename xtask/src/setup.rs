//! `cargo xtask setup`: finds what is missing on this machine, says so, asks, installs it.

mod bindgen;
mod consent;
mod debian;
mod deny;
mod fuzz;
mod npm;
mod python;
mod wasm_target;

pub(crate) use deny::check as check_dependencies;
pub(crate) use fuzz::install as install_fuzzer;
pub(crate) use npm::install as install_npm;
pub(crate) use wasm_target::Toolchain;

use std::path::PathBuf;

use crate::{failure::Outcome, project::Project, run};
use wasm_target::Search;

/// How to set up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Install without asking.
    pub(crate) yes: bool,
    /// Also what only continuous integration needs: rustfmt, clippy, cargo-deny.
    pub(crate) ci: bool,
    /// Also what only measuring needs: the load generator.
    pub(crate) bench: bool,
}

/// What the later commands need to know.
#[derive(Debug)]
pub(crate) struct Ready {
    /// How to compile to Wasm.
    pub(crate) toolchain: Toolchain,
    /// The wasm-bindgen generator.
    pub(crate) bindgen: PathBuf,
}

/// Makes the machine ready; quick when it already is.
pub(crate) fn run(project: &Project, options: Options) -> Outcome<Ready> {
    npm::check_node(project)?;
    let search = wasm_target::search(project);
    let packages = debian::missing(&debian::needs(&search, options.bench), &debian::is_there);
    let components = if options.ci { missing_components(project) } else { Vec::new() };
    consent::ask(&search, &packages, &components, options.yes)?;

    for component in components {
        run::Step::new(project, &format!("rustup component add {component}"))
            .run(project.command("rustup").args(["component", "add", component]))?;
    }
    let (toolchain, packages) = match search {
        Search::Found(toolchain) => (toolchain, packages),
        Search::Missing => {
            let toolchain = wasm_target::add(project)?;
            (
                toolchain,
                debian::missing(
                    &debian::needs(&Search::Found(toolchain), options.bench),
                    &debian::is_there,
                ),
            )
        }
    };
    debian::install(project, &packages)?;
    let bindgen = bindgen::install(project)?;
    for folder in npm::FOLDERS {
        npm::install(project, folder)?;
    }
    python::install(project)?;
    if options.ci {
        deny::install(project)?;
    }
    Ok(Ready { toolchain, bindgen })
}

/// A minimal rustup profile lacks these.
fn missing_components(project: &Project) -> Vec<&'static str> {
    [("rustfmt", "fmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(_, command)| run::output(project.cargo().args([command, "--version"])).is_none())
        .map(|(component, _)| component)
        .collect()
}
