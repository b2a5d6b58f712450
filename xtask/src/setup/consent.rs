//! Nothing is installed on the machine itself before its owner agreed.

use std::io::{self, BufRead, IsTerminal, Write};

use super::{
    debian::{self, Need},
    wasm_target::Search,
};
use crate::failure::{Failure, Outcome};

/// Says what is missing and asks. With `yes`, or for root without a terminal, saying is enough.
pub(super) fn ask(search: &Search, packages: &[Need], components: &[&str], yes: bool) -> Outcome {
    let plan = describe(search, packages, components);
    if plan.is_empty() {
        return Ok(());
    }
    eprintln!("Missing on this machine, to be installed:\n{plan}");
    if yes {
        return Ok(());
    }
    let terminal = io::stdin().is_terminal();
    match (terminal, debian::is_root()) {
        (true, _) => answer(),
        (false, true) => Ok(()),
        (false, false) => Err(Failure::new("there is no terminal to ask on")
            .advise("run the command again with --yes to install the above (uses sudo)")),
    }
}

fn answer() -> Outcome {
    eprint!("Install? [Y/n] ");
    io::stderr().flush().ok();
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::new(format!("cannot read the answer: {error}")))?;
    // An ended input is not an Enter key.
    if ["\n", "y\n", "yes\n"].contains(&answer.to_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::new("nothing was installed")
        .advise("install the above in your own way, then run the command again"))
}

fn describe(search: &Search, packages: &[Need], components: &[&str]) -> String {
    let mut plan = String::new();
    for need in packages {
        plan.push_str(&format!("  Debian package {:<16} {}\n", need.package, need.why));
    }
    for component in components {
        plan.push_str(&format!("  Rust component {component}\n"));
    }
    if *search == Search::Missing {
        plan.push_str(
            "  The Rust library's source (rust-src), by rustup; if it cannot be downloaded,\n",
        );
        let names: Vec<_> = debian::WASM.iter().map(|need| need.package).collect();
        plan.push_str(&format!("    the Debian packages {}\n", names.join(" ")));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::wasm_target::Toolchain;

    #[test]
    fn a_machine_that_has_everything_is_not_asked() {
        let found = Search::Found(Toolchain::Rustup);
        assert!(ask(&found, &[], &[], false).is_ok());
    }

    #[test]
    fn the_plan_names_each_missing_thing_and_why() {
        let plan = describe(&Search::Missing, &debian::ALWAYS[..1], &["clippy"]);
        for part in ["softhsm2", "HSM", "clippy", "rust-src", "rustc-web"] {
            assert!(plan.contains(part), "{part} is not in\n{plan}");
        }
    }
}
