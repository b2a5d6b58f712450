//! `keyhaven login` at an identity provider that is not ours: npm's oidc-provider.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
};

use super::{Authority, Machine, Site};
use crate::harness::{binary, complaint};

/// A provider as a process. Dropping it kills it.
struct Provider {
    process: Child,
    browser: ChildStdin,
    /// It says more at times, and ends when nobody listens.
    _notices: BufReader<ChildStdout>,
    issuer: String,
}

impl Provider {
    fn start(authority: &Authority, machine: &Machine) -> Self {
        let [key, certificate] = ["idp.key", "idp-leaf.pem"].map(|name| machine.path(name));
        authority.issue(&key, &certificate);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/identity-provider.mjs");
        let mut process = Command::new("node")
            .args([&script, &key, &certificate])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let browser = process.stdin.take().unwrap();
        let (mut issuer, mut told) =
            (String::new(), BufReader::new(process.stdout.take().unwrap()));
        told.read_line(&mut issuer).unwrap();
        assert!(issuer.starts_with("https://"), "no provider: is `npm ci` done in tests/interop?");
        Self { process, browser, _notices: told, issuer: issuer.trim().to_owned() }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A person at a terminal, with a home of their own.
struct Person<'a> {
    site: &'a Site,
    home: PathBuf,
}

impl Person<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let ca = self.site.machine.path("person.pem");
        // No certificate is looked at over plain HTTP on loopback, but the command line asks for one.
        fs::write(&ca, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").unwrap();
        let mut command = Command::new(binary());
        command.args(arguments).stdin(Stdio::null());
        command.env_remove("KEYHAVEN_TOKEN").env_remove("XDG_CONFIG_HOME").env("HOME", &self.home);
        command.env("KEYHAVEN_ADDR", &self.site.address).env("KEYHAVEN_CACERT", ca);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn refused(&self, command: &mut Command) -> String {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", complaint(&output));
        complaint(&output)
    }

    /// Logs in; whoever has a browser does there, with the code, what `enter` says. Gives the exit status
    /// and all that was printed.
    fn logs_in(
        &self,
        provider: &mut Provider,
        enter: impl Fn(&str) -> String,
    ) -> (Option<i32>, String) {
        let ca = self.site.machine.path("idp.pem");
        let arguments = ["login", "--issuer", &provider.issuer, "--client-id", "keyhaven-cli"];
        let mut command = self.command(&arguments);
        command.args(["--resource", "urn:keyhaven", "--ca"]).arg(ca);
        let mut login = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(login.stderr.take().unwrap());
        let mut printed = String::new();
        let code = loop {
            let mut line = String::new();
            assert!(told.read_line(&mut line).unwrap() > 0, "no code was shown: {printed}");
            printed.push_str(&line);
            // A code is eight letters, in the form XXXX-XXXX.
            let word = line.trim();
            if word.len() == 9 && word.get(4..5) == Some("-") {
                break word.to_owned();
            }
        };
        assert!(printed.contains(&format!("{}/device", provider.issuer)), "{printed}");
        writeln!(provider.browser, "{}", enter(&code)).unwrap();
        told.read_to_string(&mut printed).unwrap();
        login.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        (login.wait().unwrap().code(), printed)
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_person_logs_in_by_a_code_and_the_token_is_kept_for_that_server_and_that_person() {
    let machine = Machine::new();
    let authority = Authority::new(&machine.path("idp.pem"));
    let mut provider = Provider::start(&authority, &machine);
    let site = Site::believing(machine, &[&provider.issuer]);
    site.must(&["principal", "create", "ann", "--group", "administrators"]);
    site.bind("ann", &provider.issuer, "7f3c");
    let person = Person { site: &site, home: site.machine.path("home") };
    let said = person.refused(&mut person.command(&["key", "list"]));
    assert!(
        said.contains("KEYHAVEN_TOKEN is not set") && said.contains("keyhaven login"),
        "{said}"
    );

    let (status, printed) = person.logs_in(&mut provider, |code| format!("{code} 7f3c"));
    assert_eq!(status, Some(0), "{printed}");
    assert!(printed.contains("as subject 7f3c"), "{printed}");
    let file = person.home.join(".config/keyhaven/login.json");
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let token = kept["token"].as_str().unwrap();
    assert!(token.split('.').count() == 3 && !printed.contains(token), "the token is not shown");

    let listed = person.run(&["key", "list"]);
    assert!(listed.status.success(), "{}", complaint(&listed));
    let entries = site.must(&["audit", "show", "--principal", "ann"]);
    assert_eq!(entries["entries"][0]["via"], "oidc", "{entries}");

    // What is set wins, good or not; and no other server is sent the token.
    let set = person.refused(person.command(&["key", "list"]).env("KEYHAVEN_TOKEN", "kh1.none"));
    assert!(set.contains("unauthenticated"), "{set}");
    let mut elsewhere = person.command(&["key", "list"]);
    let elsewhere = person.refused(elsewhere.env("KEYHAVEN_ADDR", "http://127.0.0.1:1"));
    assert!(elsewhere.contains("KEYHAVEN_TOKEN is not set"), "{elsewhere}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let shared = person.refused(&mut person.command(&["key", "list"]));
    assert!(shared.contains("others may read"), "{shared}");

    assert!(person.run(&["logout"]).status.success());
    assert!(!file.exists());
    let out = person.refused(&mut person.command(&["key", "list"]));
    assert!(out.contains("KEYHAVEN_TOKEN is not set"), "{out}");
    assert!(person.run(&["logout"]).status.success(), "twice is no mistake");
    assert!(site.server.terminate());
}

#[test]
fn a_login_that_is_refused_in_the_browser_keeps_nothing() {
    let machine = Machine::new();
    let authority = Authority::new(&machine.path("idp.pem"));
    let mut provider = Provider::start(&authority, &machine);
    let site = Site::believing(machine, &[&provider.issuer]);
    let person = Person { site: &site, home: site.machine.path("home") };
    let (status, printed) = person.logs_in(&mut provider, |code| format!("! {code}"));
    assert_eq!(status, Some(1), "{printed}");
    assert!(printed.contains("access_denied"), "{printed}");
    assert!(!person.home.exists(), "nothing is kept");
    assert!(site.server.terminate());
}
