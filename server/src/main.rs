//! The program `keyhaven`.

use std::process::ExitCode;

/// Each request makes and drops many small things. With the C library's allocator the server needs about
/// a fifth more processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// All of the program is in the library, so that tests reach it.
fn main() -> ExitCode {
    keyhaven_server::cli::main()
}
