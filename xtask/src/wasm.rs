//! `cargo xtask wasm`: the SDK crate to Wasm, to JavaScript, to the npm package.

use std::{env, fs, path::Path, path::PathBuf};

use crate::{
    failure::{Failure, Outcome},
    project::Project,
    run::Step,
    setup::{Ready, Toolchain},
    stamp::Stamp,
};

/// A crate that becomes a Wasm module with its JavaScript.
#[derive(Debug)]
pub(crate) struct Module {
    /// The crate.
    pub(crate) krate: &'static str,
    /// Where the module is left.
    pub(crate) folder: PathBuf,
    /// Whether its JavaScript works with [`SHIELD`].
    pub(crate) shielded: bool,
}

impl Module {
    fn name(&self) -> String {
        self.krate.replace('-', "_")
    }

    fn bound(&self) -> PathBuf {
        self.folder.join(format!("{}_bg.wasm", self.name()))
    }
}

/// What the compiler may use, and wasm-opt must be told of: SIMD, and what Rust turns on by itself.
const FEATURES: [&str; 8] = [
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-mutable-globals",
    "--enable-multivalue",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// How wasm-opt is to work. Not `--traps-never-happen`: a panic ends in a trap, and what checks bounds must stay.
const OPTIMISED: [&str; 5] =
    ["-O3", "--converge", "--strip-debug", "--strip-producers", "--strip-target-features"];

/// Builds whatever of `npm/wasm` and `npm/dist` is not up to date.
pub(crate) fn build(project: &Project, ready: &Ready) -> Outcome {
    let folder = project.root.join("npm/wasm");
    let sdk = Module { krate: "keyhaven-sdk", folder, shielded: true };
    build_module(project, ready, &sdk)?;
    package(project, &sdk)
}

/// Builds a module if it is not up to date.
pub(crate) fn build_module(project: &Project, ready: &Ready, module: &Module) -> Outcome {
    let compiled = compile(project, ready.toolchain, module)?;
    bind(project, &ready.bindgen, &compiled, module)
}

fn compile(project: &Project, toolchain: Toolchain, module: &Module) -> Outcome<PathBuf> {
    let folder = project.target.join("wasm");
    let mut cargo = project.cargo();
    cargo
        .args(["build", "--package", module.krate, "--lib", "--profile", "wasm", "--target-dir"])
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(project, toolchain).join("\x1f"));
    toolchain.configure(&mut cargo);
    Step::new(project, &format!("compile {} to Wasm", module.krate)).run(&mut cargo)?;
    Ok(folder.join("wasm32-unknown-unknown/wasm").join(format!("{}.wasm", module.name())))
}

fn flags(project: &Project, toolchain: Toolchain) -> Vec<String> {
    let mut flags = vec![
        "-Ctarget-feature=+simd128".to_owned(),
        // A panic traps at once. Its words would be a tenth of the module.
        "-Zunstable-options".to_owned(),
        "-Cpanic=immediate-abort".to_owned(),
        // Limbs of 32 bits are nearly twice as fast in Wasm as the 64 bits it would choose.
        "--cfg=curve25519_dalek_bits=\"32\"".to_owned(),
        "--cfg=curve25519_dalek_backend=\"serial\"".to_owned(),
    ];
    for (place, name) in machine_paths(project, toolchain) {
        flags.push(format!("--remap-path-prefix={place}={name}"));
    }
    flags
}

/// Places on this machine that panic messages would carry into the module, and what stands for them.
fn machine_paths(project: &Project, toolchain: Toolchain) -> Vec<(String, &'static str)> {
    let cargo_home = env::var("CARGO_HOME").ok();
    let home = env::var("HOME").ok();
    let default_cargo_home = || Some(format!("{}/.cargo", home.as_deref()?));
    let library = toolchain.sysroot(project).map(|root| format!("{root}/lib/rustlib/src/rust"));
    // Of two that match, the compiler takes the later: the wider come first.
    [
        (cargo_home.or_else(default_cargo_home), "/cargo"),
        (library, "/rust"),
        (Some(project.root.display().to_string()), "/keyhaven"),
    ]
    .into_iter()
    .filter_map(|(place, name)| Some((place?, name)))
    .collect()
}

/// Runs wasm-bindgen and wasm-opt on a module that changed.
fn bind(project: &Project, bindgen: &Path, compiled: &Path, module: &Module) -> Outcome {
    let (name, bound, folder) = (module.name(), module.bound(), &module.folder);
    let optimiser = project.root.join("npm/node_modules/binaryen/package.json");
    let inputs = [compiled, bindgen, &optimiser];
    let settings: Vec<&str> = FEATURES.into_iter().chain(OPTIMISED).chain([SHIELD]).collect();
    let stamp = Stamp::new(project.notes().join(format!("{name}.stamp")), &inputs, &settings)?;
    if stamp.is_fresh() && bound.is_file() {
        return Ok(());
    }
    remove(folder)?;
    Step::new(project, "wasm-bindgen").run(project.command(bindgen).arg(compiled).arg(folder))?;
    if module.shielded {
        shield(&folder.join(format!("{name}.js")))?;
    }
    Step::new(project, "wasm-opt").run(
        project
            .command("npm/node_modules/.bin/wasm-opt")
            .args(OPTIMISED)
            .args(FEATURES)
            .arg(&bound)
            .arg("-o")
            .arg(&bound),
    )?;
    refuse_machine_paths(project, &bound)?;
    stamp.set()
}

/// What the generated JavaScript sees in place of the globals of these names: the functions that
/// `npm/src/platform.ts` took when the package was loaded, whatever the page replaced since.
const SHIELD: &str = "import { MemoryView as Uint8Array, fetch, scope as globalThis, \
                      webAssembly as WebAssembly } from '../dist/platform.js';\n";

/// Puts [`SHIELD`] below the first line, which tells Deno where the types are.
fn shield(script: &Path) -> Outcome {
    let generated = fs::read_to_string(script).map_err(|error| Failure::file(script, &error))?;
    let (first, rest) = generated.split_once('\n').unwrap_or(("", &generated));
    let shielded = [first, "\n", SHIELD, rest].concat();
    fs::write(script, shielded).map_err(|error| Failure::file(script, &error))
}

/// The package is built in public: it must not tell where, nor differ by where.
fn refuse_machine_paths(project: &Project, module: &Path) -> Outcome {
    let bytes = fs::read(module).map_err(|error| Failure::file(module, &error))?;
    let places = [Some(project.root.display().to_string()), env::var("HOME").ok()];
    for place in places.into_iter().flatten().filter(|place| place.len() > 1) {
        let place = format!("{place}/");
        if bytes.windows(place.len()).any(|window| window == place.as_bytes()) {
            return Err(Failure::new(format!("{} contains the path {place}", module.display()))
                .advise("find who embeds it (`env!`, `file!`), and add it to xtask/src/wasm.rs"));
        }
    }
    Ok(())
}

/// Makes the package of sources that changed.
fn package(project: &Project, sdk: &Module) -> Outcome {
    let npm = project.root.join("npm");
    let dist = npm.join("dist");
    let inputs = [
        "src",
        "scripts",
        "tsconfig.json",
        "package.json",
        "package-lock.json",
        "wasm/keyhaven_sdk.d.ts",
    ]
    .map(|name| npm.join(name));
    let bound = sdk.bound();
    let inputs: Vec<&Path> = inputs.iter().chain([&bound]).map(PathBuf::as_path).collect();
    let stamp = Stamp::new(project.notes().join("package.stamp"), &inputs, &[])?;
    let made = ["integrity.json", "page/index.js", "wasm/inline.js"].map(|name| npm.join(name));
    if stamp.is_fresh() && dist.is_dir() && made.iter().all(|file| file.is_file()) {
        return Ok(());
    }
    remove(&dist)?;
    remove(&npm.join("page"))?;
    Step::new(project, "compile the npm package")
        .run(project.command("npm").args(["run", "build", "--silent"]).current_dir(&npm))?;
    stamp.set()
}

fn remove(folder: &Path) -> Outcome {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    }
    Ok(())
}
