//! `keyhaven serve`, over a SoftHSM2 token that an operator made.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::harness::{binary, complaint, until};

const PIN: &str = "canary-pin-0815";

/// A machine with a token, and a configuration for it.
pub(super) struct Machine {
    folder: TempDir,
}

impl Machine {
    pub(super) fn new() -> Self {
        let machine = Self { folder: TempDir::new().unwrap() };
        let tokens = machine.path("tokens");
        fs::create_dir(&tokens).unwrap();
        let text =
            format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
        fs::write(machine.path("softhsm2.conf"), text).unwrap();
        let init =
            ["--init-token", "--free", "--label", "keyhaven", "--so-pin", "12345678", "--pin", PIN];
        let conf = machine.path("softhsm2.conf");
        let made = Command::new("softhsm2-util").args(init).env("SOFTHSM2_CONF", conf).output();
        assert!(made.unwrap().status.success(), "softhsm2-util");
        fs::write(machine.path("pin"), format!("{PIN}\n")).unwrap();
        machine
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a configuration, changed as the test wants.
    pub(super) fn configure(&self, change: impl Fn(String) -> String) -> PathBuf {
        let text = format!(
            "listen = \"127.0.0.1:0\"\ndata_dir = \"{}\"\ntls = \"off\"\n\n[hsm]\nmodule = \
             \"/usr/lib/softhsm/libsofthsm2.so\"\ntoken_label = \"keyhaven\"\npin_file = \"{}\"\n\n\
             [host.files]\nreadable = [\"{}\"]\nwritable = [\"{}\"]\n",
            self.path("data").display(),
            self.path("pin").display(),
            self.path("softhsm2.conf").display(),
            self.path("tokens").display(),
        );
        let path = self.path("keyhaven.toml");
        fs::write(&path, change(text)).unwrap();
        path
    }

    pub(super) fn command(&self, config: &Path) -> Command {
        let mut command = Command::new(binary());
        command.args(["serve", "--config"]).arg(config).stdin(Stdio::null()).env_remove("RUST_LOG");
        command.env("SOFTHSM2_CONF", self.path("softhsm2.conf"));
        command
    }

    fn refused(&self, change: impl Fn(String) -> String) -> String {
        let output: Output = self.command(&self.configure(change)).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = complaint(&output) + &String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("canary") && !said.contains("panicked"), "{said}");
        said
    }

    /// Starts the server; gives it and its address.
    fn serve(&self) -> (Serving, String) {
        let config = self.configure(|text| text);
        self.serve_by(&mut self.command(&config))
    }

    /// Starts the server by this command.
    pub(super) fn serve_by(&self, command: &mut Command) -> (Serving, String) {
        let [out, err] = ["out", "err"].map(|name| fs::File::create(self.path(name)).unwrap());
        let child = Serving(command.stdout(out).stderr(err).spawn().unwrap());
        let mut address = None;
        until(|| {
            address = fs::read_to_string(self.path("err")).unwrap().lines().find_map(|line| {
                let entry: serde_json::Value = serde_json::from_str(line).ok()?;
                Some(entry.get("address")?.as_str()?.to_owned())
            });
            address.is_some()
        });
        (child, format!("http://{}", address.unwrap()))
    }

    pub(super) fn keyhaven(&self, address: &str, token: &str, arguments: &[&str]) -> Output {
        // No certificate is looked at over plain HTTP on loopback, but the command line asks for one.
        let pem = self.path("ca.pem");
        fs::write(&pem, CERTIFICATE).unwrap();
        let mut command = Command::new(binary());
        let env = [("KEYHAVEN_ADDR", address), ("KEYHAVEN_TOKEN", token)];
        command.args(arguments).envs(env).env("KEYHAVEN_CACERT", pem).output().unwrap()
    }
}

/// Killed when dropped.
pub(super) struct Serving(Child);

impl Serving {
    pub(super) fn terminate(mut self) -> bool {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.0.wait().unwrap().success()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_configured_server_shows_the_admins_token_once_and_keeps_it_out_of_its_log() {
    let machine = Machine::new();
    let (server, address) = machine.serve();
    let out = fs::read_to_string(machine.path("out")).unwrap();
    let token = out.lines().find(|line| line.starts_with("kh1.")).unwrap().to_owned();
    let made = machine.keyhaven(&address, &token, &["key", "create", "photos"]);
    assert!(made.status.success(), "{}", complaint(&made));
    let now = machine.keyhaven(&address, &token, &["key", "destroy", "photos", "--now", "--yes"]);
    assert_eq!(now.status.code(), Some(1), "destroying at once is for dev mode");
    assert!(server.terminate());
    let log = fs::read_to_string(machine.path("err")).unwrap();
    assert!(!log.contains(&token) && !log.contains(PIN), "{log}");

    let (server, address) = machine.serve();
    assert!(!fs::read_to_string(machine.path("out")).unwrap().contains("kh1."));
    let listed = machine.keyhaven(&address, &token, &["key", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("photos"));
    assert!(server.terminate());
}

#[test]
fn the_pin_is_in_no_file_argument_or_environment_of_the_server() {
    let machine = Machine::new();
    let (server, address) = machine.serve();
    let process = PathBuf::from(format!("/proc/{}", server.0.id()));
    let token = fs::read_to_string(machine.path("out")).unwrap();
    let token = token.lines().find(|line| line.starts_with("kh1.")).unwrap();
    assert!(machine.keyhaven(&address, token, &["key", "create", "photos"]).status.success());
    let mut files = vec![process.join("cmdline"), process.join("environ")];
    files.extend(["err", "out", "keyhaven.toml"].map(|name| machine.path(name)));
    for folder in ["data", "data/audit"] {
        files.extend(fs::read_dir(machine.path(folder)).unwrap().map(|file| file.unwrap().path()));
    }
    assert!(files.len() > 8, "{files:?}");
    for file in files.iter().filter(|file| !file.is_dir()) {
        let content = fs::read(file).unwrap();
        let found = content.windows(PIN.len()).any(|window| window == PIN.as_bytes());
        assert!(!found, "{}", file.display());
    }
    assert!(server.terminate());
}

#[test]
fn a_production_server_says_what_it_gave_up_and_takes_its_pin_from_a_credential() {
    let machine = Machine::new();
    let config = machine.configure(|text| {
        let (before, rest) = text.split_once("pin_file = ").unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        format!("{before}pin_credential = \"pin\"\n{after}")
    });
    let without = machine.command(&config).output().unwrap();
    assert!(complaint(&without).contains("CREDENTIALS_DIRECTORY"), "{}", complaint(&without));
    let (server, address) = machine
        .serve_by(machine.command(&config).env("CREDENTIALS_DIRECTORY", machine.folder.path()));
    let log = fs::read_to_string(machine.path("err")).unwrap();
    let confined = log.lines().find(|line| line.contains("\"confined\"")).unwrap_or_default();
    let confined: serde_json::Value = serde_json::from_str(confined).unwrap();
    for means in ["files_by_landlock", "calls_by_seccomp"] {
        assert_eq!(confined[means], "on", "{confined}");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", server.0.id())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.0.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    let token = fs::read_to_string(machine.path("out")).unwrap();
    let token = token.lines().find(|line| line.starts_with("kh1.")).unwrap();
    assert!(machine.keyhaven(&address, token, &["key", "create", "photos"]).status.success());
    assert!(server.terminate());
}

#[test]
fn a_first_token_that_nobody_used_can_be_minted_again_and_then_no_more() {
    let machine = Machine::new();
    let config = machine.configure(|text| text);
    let again = || {
        let mut command = Command::new(binary());
        command.args(["first-token", "--config"]).arg(&config);
        command.env("SOFTHSM2_CONF", machine.path("softhsm2.conf")).output().unwrap()
    };
    let none = again();
    assert!(complaint(&none).contains("there is no installation"), "{}", complaint(&none));

    let (server, _) = machine.serve();
    let out = fs::read_to_string(machine.path("out")).unwrap();
    let lost = out.lines().find(|line| line.starts_with("kh1.")).unwrap().to_owned();
    assert!(complaint(&again()).contains("in use by another"), "the server is running");
    assert!(server.terminate());

    let minted = again();
    assert!(minted.status.success(), "{}", complaint(&minted));
    let token = String::from_utf8(minted.stdout).unwrap().trim().to_owned();
    let (server, address) = machine.serve();
    let listed = |token: &str| machine.keyhaven(&address, token, &["key", "list"]);
    assert!(!listed(&lost).status.success(), "the lost one is revoked");
    assert!(listed(&token).status.success());
    assert!(server.terminate());

    let refused = again();
    assert_eq!(refused.status.code(), Some(1));
    assert!(complaint(&refused).contains("was used already"), "{}", complaint(&refused));
}

#[test]
fn what_cannot_work_is_refused_with_what_to_do() {
    let machine = Machine::new();
    fs::write(machine.path("wrong"), "canary-wrong-pin").unwrap();
    type Change = fn(String) -> String;
    let cases: [(&str, Change); 9] = [
        ("refused the PIN", |text| text.replace("/pin\"", "/wrong\"")),
        ("cannot read the PIN file", |text| text.replace("/pin\"", "/no-pin\"")),
        ("no token labelled `other`", |text| text.replace("\"keyhaven\"", "\"other\"")),
        ("cannot load the PKCS#11 module", |text| text.replace("libsofthsm2", "libnone")),
        ("refusing a PIN written in the configuration", |text| {
            text.replace("[hsm]", "[hsm]\npin = \"canary-literal\"")
        }),
        ("refusing to serve unauthenticated", |text| text.replace("127.0.0.1:0", "0.0.0.0:0")),
        ("refusing to serve metrics unauthenticated", |text| {
            text.replace("tls =", "metrics_listen = \"0.0.0.0:0\"\ntls =")
        }),
        ("names a path that cannot be opened", |text| text.replace("/tokens\"]", "/gone\"]")),
        ("unknown field `listne`", |text| text.replace("listen", "listne")),
    ];
    for (expected, change) in cases {
        let said = machine.refused(change);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// Any certificate; nothing is signed by it.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
