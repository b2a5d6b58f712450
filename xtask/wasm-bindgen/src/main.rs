//! Writes the JavaScript and TypeScript face of a Wasm module: `keyhaven-wasm-bindgen IN.wasm OUT_DIR`.
//!
//! `wasm-bindgen-cli` would do the same, but it brings a test runner with an HTTP server and about a
//! hundred crates, and its lock file names a release that registries no longer serve.

use std::{env, error::Error, process::ExitCode};

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    match generate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&*error);
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let (Some(module), Some(folder), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: keyhaven-wasm-bindgen IN.wasm OUT_DIR".into());
    };
    // `web`: one ES module whose `init` takes a URL, bytes or a compiled module, so that the npm
    // package can load it in each kind of runtime without a second copy.
    Bindgen::new().web(true)?.typescript(true).input_path(module).generate(folder)?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a command line tells its caller what went wrong")]
fn report(error: &dyn Error) {
    eprintln!("{error:?}");
}
