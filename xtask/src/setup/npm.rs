//! Node, and the npm packages that build and test the SDK.

use std::time::Duration;

use crate::{
    failure::{Failure, Outcome},
    project::Project,
    run::{self, Step},
    stamp::Stamp,
};

/// What builds the package, and what tests it: each in a folder of its own, so that the package stays lean.
pub(super) const FOLDERS: [&str; 6] =
    ["npm", "npm/docs", "tests/browser", "tests/interop", "tests/package", "tests/runtimes"];

const OLDEST_NODE: u32 = 20;

/// Node is the one thing setup does not install: Debian's own is too old.
pub(super) fn check_node(project: &Project) -> Outcome {
    let version = run::output(project.command("node").arg("--version")).unwrap_or_default();
    match major(&version) {
        Some(major) if major >= OLDEST_NODE => Ok(()),
        Some(_) => Err(Failure::new(format!("node is {version}, but {OLDEST_NODE} is needed"))),
        None => Err(Failure::new("there is no node on the PATH")),
    }
    .map_err(|failure| failure.advise("install Node 20 or later, from https://nodejs.org"))
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// `npm ci` in a folder that has a lock file, if that changed since the last time.
pub(crate) fn install(project: &Project, folder: &str) -> Outcome {
    let path = project.root.join(folder);
    let lock = path.join("package-lock.json");
    if !lock.is_file() {
        return Ok(());
    }
    // Inside node_modules, so that deleting that folder deletes the note with it.
    let note = path.join("node_modules/.keyhaven-stamp");
    let stamp = Stamp::new(note, &[&lock, &path.join("package.json")], &[])?;
    if stamp.is_fresh() {
        return Ok(());
    }
    Step::new(project, &format!("npm ci in {folder}"))
        .limit(Duration::from_mins(15))
        .advice("does npm reach its registry?")
        .run(project.command("npm").args(["ci", "--no-fund", "--no-audit"]).current_dir(&path))?;
    stamp.set()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_node_prints() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major(""), None);
    }
}
