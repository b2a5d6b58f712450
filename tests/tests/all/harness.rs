//! The real binary on a temporary folder, and what tests do with it: its command line and its HTTP API.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use ureq::{
    Agent, Body,
    http::{Request, Response},
    tls::{Certificate, RootCerts, TlsConfig},
};

const DEADLINE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    let set = env::var_os("KEYHAVEN_BIN");
    set.expect("KEYHAVEN_BIN is not set: run the tests with `cargo xtask test`").into()
}

/// Runs the binary without a server's environment.
pub(crate) fn keyhaven(arguments: &[&str]) -> Output {
    command(arguments).stdin(Stdio::null()).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for name in ["KEYHAVEN_ADDR", "KEYHAVEN_CACERT", "KEYHAVEN_TOKEN", "SOFTHSM2_CONF", "RUST_LOG"]
    {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// What a process wrote to standard error.
pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running `keyhaven dev`. Dropping it kills it.
pub(crate) struct Server {
    process: Child,
    folder: PathBuf,
    /// Standard output and error, in that order.
    logs: [PathBuf; 2],
    environment: Vec<(String, String)>,
    agent: Agent,
    temporary: Option<TempDir>,
}

impl Server {
    /// A server on a new folder, which goes away with it.
    pub(crate) fn start() -> Self {
        let temporary = TempDir::new().unwrap();
        let mut server = Self::start_on(&temporary.path().join("data"));
        server.temporary = Some(temporary);
        server
    }

    /// A server on a folder that stays.
    pub(crate) fn start_on(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// A server with more arguments.
    pub(crate) fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        let folder_text = folder.to_str().unwrap();
        let address = folder.join("address");
        // An earlier server that was killed left its own.
        drop(fs::remove_file(&address));
        let logs = ["out", "err"].map(|name| folder.with_extension(name));
        let mut dev = command(&["dev", "--data-dir", folder_text, "--listen", "127.0.0.1:0"]);
        let [out, err] = logs.each_ref().map(|log| fs::File::create(log).unwrap());
        let dev = dev.args(arguments).stdin(Stdio::null()).stdout(out).stderr(err);
        let mut process = dev.spawn().unwrap();
        until(|| {
            if let Some(status) = process.try_wait().unwrap() {
                panic!("the server ended: {status}: {}", fs::read_to_string(&logs[1]).unwrap());
            }
            address.exists()
        });
        let environment = exports(folder);
        let agent = agent(&environment);
        let server =
            Self { process, folder: folder.into(), logs, environment, agent, temporary: None };
        until(|| server.call("GET", "/readyz", None).0 == 200);
        server
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A variable that `keyhaven env` prints.
    pub(crate) fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("`keyhaven env` prints no {name}")).1
    }

    /// What the server wrote: standard output, then standard error.
    pub(crate) fn log(&self) -> String {
        self.logs.iter().map(|log| fs::read_to_string(log).unwrap()).collect()
    }

    /// Runs a command against this server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, &[])
    }

    /// Runs a command against this server, with standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = command(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that refuses early does not read its input.
        drop(child.stdin.take().unwrap().write_all(input));
        child.wait_with_output().unwrap()
    }

    /// Starts a command against this server that goes on for a while.
    pub(crate) fn background(&self, arguments: &[&str]) -> Background {
        let mut command = command(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Background(command.spawn().unwrap())
    }

    /// Runs a command that must succeed; gives its standard output.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "keyhaven {arguments:?}: {}", complaint(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must succeed, with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.must(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Runs a command that must be refused; gives what it says.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "keyhaven {arguments:?} was not refused");
        complaint(&output)
    }

    /// Calls the HTTP API as the admin; gives the status and the document.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.call_as(self.variable("KEYHAVEN_TOKEN"), (method, path), body)
    }

    /// Calls the HTTP API with another token.
    pub(crate) fn call_as(
        &self,
        token: &str,
        method_and_path: (&str, &str),
        body: Option<&Value>,
    ) -> (u16, Value) {
        let text = body.map(Value::to_string);
        let headers = [("authorization", format!("Bearer {token}"))];
        let answer = self.send(method_and_path, &headers, text.as_deref());
        let Ok(mut answer) = answer else { return (0, Value::Null) };
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Sends a request with these headers; the answer's body is still to be read.
    pub(crate) fn send(
        &self,
        (method, path): (&str, &str),
        headers: &[(&str, String)],
        body: Option<&str>,
    ) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.variable("KEYHAVEN_ADDR")))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        match body {
            Some(body) => self.agent.run(request.body(body).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        }
    }

    /// Tells the server to end, and waits.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.process.wait().unwrap()
    }

    /// Sends a signal, such as `-KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A command that runs beside the test. Dropping it kills it.
pub(crate) struct Background(Child);

impl Background {
    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// What it wrote to standard output until its end.
    pub(crate) fn output(mut self) -> String {
        std::io::read_to_string(self.0.stdout.take().unwrap()).unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Waits until something is so, looking often; fails when it takes too long.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "not so after {} s", DEADLINE.as_secs());
        thread::sleep(Duration::from_millis(20));
    }
}

fn exports(folder: &Path) -> Vec<(String, String)> {
    let output = keyhaven(&["env", "--json", "--data-dir", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{}", complaint(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let pairs = document.as_object().unwrap().iter();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn agent(environment: &[(String, String)]) -> Agent {
    let (_, ca) = environment.iter().find(|(name, _)| name == "KEYHAVEN_CACERT").unwrap();
    let root = Certificate::from_pem(&fs::read(ca).unwrap()).unwrap();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(vec![root])))
        .unversioned_rustls_crypto_provider(
            Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        );
    Agent::config_builder()
        .tls_config(tls.build())
        .http_status_as_error(false)
        .timeout_global(Some(DEADLINE))
        .proxy(None)
        .build()
        .new_agent()
}
