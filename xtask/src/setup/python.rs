//! The Python environment of the tests against vendors' clients.

use std::{fs, time::Duration};

use crate::{
    failure::{Failure, Outcome},
    project::Project,
    run::Step,
    stamp::Stamp,
};

/// Makes `target/venv` from `tests/interop/requirements.txt`, if that changed since the last time.
pub(super) fn install(project: &Project) -> Outcome {
    let requirements = project.root.join("tests/interop/requirements.txt");
    if !requirements.is_file() {
        return Ok(());
    }
    let venv = project.target.join("venv");
    let stamp = Stamp::new(venv.join(".keyhaven-stamp"), &[&requirements], &[])?;
    if stamp.is_fresh() && project.python().exists() {
        return Ok(());
    }
    // From scratch: a changed list must not leave the old packages behind.
    if venv.exists() {
        fs::remove_dir_all(&venv).map_err(|error| Failure::file(&venv, &error))?;
    }
    Step::new(project, "make the Python environment")
        .run(project.command("python3").args(["-m", "venv"]).arg(&venv))?;
    Step::new(project, "install the Python clients")
        .limit(Duration::from_mins(15))
        .advice("does pip reach PyPI?")
        .run(
            project
                .command(project.python())
                .args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"])
                .arg(&requirements),
        )?;
    stamp.set()
}
