//! Runs the AWS Encryption SDK's published decrypt test vectors: `decrypt-vectors FOLDER`, or a file of message format
//! v2 vectors. Fails if a vector does, or if none was decrypted.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

use std::{path::Path, process::ExitCode};

use keyhaven_tests::vectors;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!(
            "error: say where the vectors are: a folder with a manifest.json, or a .json file"
        );
        return ExitCode::FAILURE;
    };
    match vectors::run(Path::new(&path)) {
        Ok(totals) => {
            println!("{totals}");
            ExitCode::from(u8::from(!totals.failed.is_empty() || totals.decrypted == 0))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
