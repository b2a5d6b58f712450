//! The wasm-bindgen generator: built once for its version, kept in the cache.

use std::{fs, path::PathBuf};

use crate::{
    failure::{Failure, Outcome},
    project::Project,
    run::Step,
    stamp::Stamp,
};

const NAME: &str = "keyhaven-wasm-bindgen";

/// Builds the generator if the cache lacks it, and returns where it is.
pub(super) fn install(project: &Project) -> Outcome<PathBuf> {
    let manifest = project.root.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|error| Failure::file(&manifest, &error))?;
    let Some(version) = pinned(&text) else {
        return Err(Failure::new("Cargo.toml does not pin wasm-bindgen")
            .advise("write `wasm-bindgen = \"=X.Y.Z\"` under [workspace.dependencies]"));
    };
    let folder = project.cache.join(format!("wasm-bindgen-{version}"));
    let program = folder.join(NAME);
    let source = project.root.join("xtask/wasm-bindgen/src");
    // The place of the checkout is no input: all checkouts share this tool.
    let main = source.join("main.rs");
    let main = fs::read_to_string(&main).map_err(|error| Failure::file(&main, &error))?;
    let stamp = Stamp::new(folder.join("stamp"), &[], &[version, &main])?;
    if stamp.is_fresh() && program.is_file() {
        return Ok(program);
    }
    Step::new(project, &format!("build the wasm-bindgen {version} generator")).run(
        project
            .cargo()
            .args(["build", "--locked", "--profile", "tool", "--package", NAME, "--target-dir"])
            .arg(project.target.join("tools")),
    )?;
    let built = project.target.join("tools/tool").join(NAME);
    fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, &error))?;
    // Copied beside and renamed, so that a second checkout never runs half a program.
    let beside = folder.join(format!("{NAME}.{}", std::process::id()));
    fs::copy(&built, &beside).map_err(|error| Failure::file(&built, &error))?;
    fs::rename(&beside, &program).map_err(|error| Failure::file(&program, &error))?;
    stamp.set()?;
    Ok(program)
}

/// The exact version of the `wasm-bindgen` crate in the workspace's manifest.
fn pinned(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("wasm-bindgen = \"="))?;
    line.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_pin() {
        assert_eq!(pinned("a = \"1\"\nwasm-bindgen = \"=0.2.130\"\n"), Some("0.2.130"));
        assert_eq!(pinned("wasm-bindgen = \"0.2\"\n"), None);
    }

    #[test]
    fn the_manifest_pins_crate_and_generator_alike() {
        let manifest = include_str!("../../../Cargo.toml");
        let version = pinned(manifest).unwrap();
        assert!(manifest.contains(&format!("\nwasm-bindgen-cli-support = \"={version}\"\n")));
    }
}
