//! The servers that are measured, each a process of its own, and what is asked of them.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64ct::{Base64, Encoding};
use keyhaven_tests::device::Device;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Outcome,
    api::{Api, text},
    generator::{self, Measured, Target},
    process::Server,
    request::Request,
};

/// The echo.
pub(crate) struct Echo {
    server: Server,
    address: String,
}

impl Echo {
    pub(crate) fn start() -> Outcome<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command.arg("echo").stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take();
        let server = Server(child);
        let line = output.and_then(|output| BufReader::new(output).lines().next());
        Ok(Self { server, address: line.ok_or("the echo did not start")?? })
    }

    /// The document is of the shape and size of those that Keyhaven gets.
    pub(crate) fn measure(&self, connections: usize, length: Duration) -> Outcome<Measured> {
        let document = decryption(&Base64::encode_string(&[7; 200]));
        let target = Target { address: &self.address, process: self.server.id() };
        generator::measure(&target, &[Request::post("/echo", &document)], connections, length)
    }
}

/// An operation, with the requests that ask for it.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    requests: Vec<Request>,
}

/// Keyhaven in dev mode: SQLite, SoftHSM2; with a key, a backend and a user's device.
pub(crate) struct Keyhaven {
    server: Server,
    api: Api,
    backend_token: String,
    ciphertext: String,
    device: Device,
    _data: TempDir,
}

/// How often a ticket may be used, at most.
const USES: u32 = 1000;

const POLICY: &str = r#"
permit(
    principal == Keyhaven::Principal::"backend",
    action in [Keyhaven::Action::"GenerateDataKey", Keyhaven::Action::"Decrypt"],
    resource
);
permit(
    principal == Keyhaven::Principal::"user",
    action == Keyhaven::Action::"DeliverDataKey",
    resource
);
"#;

impl Keyhaven {
    pub(crate) fn start() -> Outcome<Self> {
        let data = tempfile::tempdir()?;
        let (server, api) = launch(data.path())?;
        let key = json!({ "alias": "bench", "spec": "aes-256-gcm", "distribution": "data-keys" });
        api.post("/api/v1/keys", &key)?;
        for name in ["backend", "user"] {
            api.post("/api/v1/principals", &json!({ "name": name }))?;
        }
        api.put_policy("bench", POLICY)?;
        let issued = api.post("/api/v1/principals/backend/tokens", &json!({}))?;
        let backend_token = text(&issued, "token")?;
        let device = Device::make()?;
        enrol(&api, &device)?;
        let made = api.send(&generation().bearer(&backend_token))?;
        let ciphertext = text(&made, "ciphertext")?;
        Ok(Self { server, api, backend_token, ciphertext, device, _data: data })
    }

    /// What is measured, with deliveries enough for so many requests; each operation is tried once.
    pub(crate) fn operations(&self, uses: f64) -> Outcome<[Operation; 3]> {
        let decrypt = Request::post("/api/v1/keys/bench/decrypt", &decryption(&self.ciphertext));
        let decrypt = decrypt.bearer(&self.backend_token);
        let generate = generation().bearer(&self.backend_token);
        // Each is signed by itself: the same proof is not accepted twice.
        let mut deliver = self.deliveries()?;
        while f64::from(u32::try_from(deliver.len())?) < uses {
            deliver.extend(self.deliveries()?);
        }
        let tried = deliver.pop().ok_or("no delivery was signed")?;
        for request in [&generate, &decrypt, &tried] {
            self.api.send(request)?;
        }
        Ok([
            Operation { name: "generate-data-key", requests: vec![generate] },
            Operation { name: "decrypt", requests: vec![decrypt] },
            Operation { name: "deliver-data-key", requests: deliver },
        ])
    }

    pub(crate) fn measure(
        &self,
        operation: &Operation,
        connections: usize,
        length: Duration,
    ) -> Outcome<Measured> {
        let target = Target { address: &self.api.address, process: self.server.id() };
        generator::measure(&target, &operation.requests, connections, length)
    }

    /// Requests of the device, as many as one ticket is good for.
    fn deliveries(&self) -> Outcome<Vec<Request>> {
        let wanted = json!({
            "subject": "user",
            "operations": ["DeliverDataKey"],
            "context": context(),
            "context_exact": true,
            "device": self.device.keys().thumbprint().to_string(),
            "uses": USES,
            "expires_in_s": 600,
        });
        let ticket = text(&self.api.post("/api/v1/keys/bench/tickets", &wanted)?, "ticket")?;
        let asked = json!({ "nonce": Base64::encode_string(&[7; 32]), "context": context() });
        let request = Request::post("/api/v1/keys/bench/deliver-data-key", &asked);
        let request = request.header("Authorization", format!("Keyhaven-Ticket {ticket}"));
        (0..USES).map(|_| request.clone().signed(&self.device)).collect()
    }
}

fn context() -> Value {
    json!({ "tenant": "bench", "file": "0001" })
}

fn decryption(ciphertext: &str) -> Value {
    json!({ "ciphertext": ciphertext, "context": context() })
}

fn generation() -> Request {
    Request::post("/api/v1/keys/bench/generate-data-key", &json!({ "context": context() }))
}

fn enrol(api: &Api, device: &Device) -> Outcome<()> {
    let minted = api.post("/api/v1/enrolment-tokens", &json!({ "subject": "user" }))?;
    let token = text(&minted, "token")?;
    let keys = json!({ "keys": Base64::encode_string(&device.keys().encode()) });
    let request = Request::post("/api/v1/devices", &keys);
    let request = request.header("Authorization", format!("Keyhaven-Enrolment {token}"));
    api.send(&request.signed(device)?).map(drop)
}

/// Starts the server on an empty folder, and waits until it answers.
fn launch(data: &Path) -> Outcome<(Server, Api)> {
    let program = env::var_os("KEYHAVEN_BIN").map(PathBuf::from);
    let program = program.ok_or("KEYHAVEN_BIN is not set: run `cargo xtask bench server`")?;
    let log = File::create(data.join("bench.log"))?;
    let mut command = Command::new(&program);
    command.args(["dev", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data.join("data"));
    command.stdout(log.try_clone()?).stderr(log);
    let mut server = Server(command.spawn()?);
    let end = Instant::now() + Duration::from_secs(60);
    while !data.join("data/address").exists() {
        server.still_runs()?;
        if Instant::now() > end {
            return Err("the server did not start within a minute".into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let mut command = Command::new(program);
    let exports = command.args(["env", "--data-dir"]).arg(data.join("data")).output()?;
    let exports = String::from_utf8(exports.stdout)?;
    let authority = export(&exports, "KEYHAVEN_CACERT")?;
    let (address, token) =
        (export(&exports, "KEYHAVEN_ADDR")?, export(&exports, "KEYHAVEN_TOKEN")?);
    Ok((server, Api::new(address, Path::new(&authority), token)?))
}

/// One of the shell exports of `keyhaven env`.
fn export(exports: &str, name: &str) -> Outcome<String> {
    let value = exports
        .lines()
        .find_map(|line| line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='));
    let value = value.ok_or_else(|| format!("`keyhaven env` gave no {name}"))?;
    Ok(value.trim_matches(['\'', '"']).to_owned())
}
