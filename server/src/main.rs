//! The program `keyhaven`.

use std::process::ExitCode;

fn main() -> ExitCode {
    keyhaven_server::cli::main()
}
