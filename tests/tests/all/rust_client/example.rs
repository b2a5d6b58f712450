//! `examples/rust-backend`, as its README tells a user to run it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::harness::Server;

/// The server, and the folder in which the program runs.
struct Place {
    server: Server,
    folder: TempDir,
    token: String,
}

/// The program as cargo built it beside this test.
fn program() -> PathBuf {
    let test = env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join("records");
    assert!(program.exists(), "`cargo build -p keyhaven-tests --examples` builds {program:?}");
    program
}

impl Place {
    /// Does what the README tells an operator to do.
    fn prepare() -> Self {
        let server = Server::start();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rust-backend");
        let policy = example.join("policy.cedar");
        server.must(&["key", "create", "records", "--distribution", "data-keys"]);
        server.must(&["principal", "create", "backend"]);
        server.must(&["policy", "put", "rust-backend", policy.to_str().unwrap()]);
        let minted = server.json(&["principal", "token", "backend"]);
        let token = minted["token"].as_str().unwrap().to_owned();
        Self { server, folder: TempDir::new().unwrap(), token }
    }

    fn records(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env_remove("RECORDS")
            .env("KEYHAVEN_ADDR", self.server.variable("KEYHAVEN_ADDR"))
            .env("KEYHAVEN_CACERT", self.server.variable("KEYHAVEN_CACERT"))
            .env("KEYHAVEN_TOKEN", &self.token);
        command.output().unwrap()
    }

    /// Runs the program, which must fail; gives its status and its complaint, which must be all it says.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = self.records(arguments);
        assert!(stdout.is_empty());
        (status.code().unwrap(), String::from_utf8(stderr).unwrap())
    }
}

#[test]
fn the_example_stores_ciphertext_and_opens_no_record_under_another_name() {
    let place = Place::prepare();
    let path = |name: &str| place.folder.path().join(name);
    let secret: Vec<u8> = (0_u32..200_000).flat_map(u32::to_be_bytes).collect();
    fs::write(path("invoice.pdf"), &secret).unwrap();

    let put = place.records(&["put", "invoice-7", "invoice.pdf"]);
    assert!(put.status.success(), "{put:?}");
    let stored = fs::read(path("records/invoice-7")).unwrap();
    assert!(!stored.windows(16).any(|window| window == &secret[1000..1016]));
    let got = place.records(&["get", "invoice-7"]);
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    assert!(got.stdout == secret);

    fs::copy(path("records/invoice-7"), path("records/invoice-8")).unwrap();
    let (status, said) = place.refused(&["get", "invoice-8"]);
    assert!(status == 1 && said.starts_with("context_mismatch: "), "{said}");

    place.server.must(&["key", "disable", "records"]);
    let (status, said) = place.refused(&["get", "invoice-7"]);
    assert!(status == 1 && said.starts_with("key_disabled: "), "{said}");
}

#[test]
fn the_example_says_what_is_missing() {
    let place = Place::prepare();
    assert_eq!(place.refused(&["put", "../x", "invoice.pdf"]).0, 2);
    let (status, said) = place.refused(&["put", "invoice-7", "nowhere.pdf"]);
    assert!(status == 1 && said.starts_with("input_failed: "), "{said}");
}
