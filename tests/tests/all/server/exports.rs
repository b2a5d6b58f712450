//! The audit log given to other systems: their own parsers read it, nothing is lost or told twice, and who does
//! not take entries holds up nobody.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::mpsc,
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    harness::{Server, complaint, keyhaven, until},
    tour::{blocks, shell},
};

/// A server with some entries, one of them of a refusal.
fn server() -> Server {
    let server = Server::start();
    server.must(&["key", "create", "photos"]);
    server.must(&["principal", "create", "ann"]);
    server.call("GET", "/api/v1/keys/nothing", None);
    server
}

/// Index, operation and principal of each entry, as the API tells them.
fn entries(server: &Server) -> Vec<Value> {
    let page = server.json(&["audit", "show"]);
    page["entries"].as_array().unwrap().clone()
}

fn essence(entry: &Value) -> Value {
    serde_json::json!([entry["index"], entry["operation"], entry["principal"]])
}

/// What others' parsers make of an export.
fn read_by_others(format: &str, file: &Path) -> Vec<Value> {
    let python = std::env::var("KEYHAVEN_TEST_PYTHON")
        .expect("KEYHAVEN_TEST_PYTHON is not set: run the tests with `cargo xtask test`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/read_export.py");
    let output = Command::new(python).arg(script).arg(format).arg(file).output().unwrap();
    assert!(output.status.success(), "{format}: {}", complaint(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn other_peoples_parsers_read_every_entry() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let before = entries(&server);
    for format in ["syslog", "ocsf", "otlp", "jsonl", "cloudtrail"] {
        let file = folder.path().join(format);
        server.must(&["audit", "export", "--format", format, "--to", file.to_str().unwrap()]);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{format}");
        let read: Vec<Value> = match format {
            "jsonl" => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            "cloudtrail" => {
                let page: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
                let records = page["Records"].as_array().unwrap().iter();
                records.map(|record| record["additionalEventData"].clone()).collect()
            }
            _ => read_by_others(format, &file),
        };
        let expected: Vec<Value> = match format {
            "jsonl" | "cloudtrail" => before.clone(),
            _ => before.iter().map(essence).collect(),
        };
        // Reading the log is itself recorded, so an export has some more.
        assert_eq!(read.get(..expected.len()), Some(&expected[..]), "{format}");
    }
}

#[test]
fn an_export_goes_on_where_it_stopped_and_notices_a_log_that_was_put_back() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let [file, state, copy] = ["out", "state", "copy"].map(|name| folder.path().join(name));
    let [out, state] = [&file, &state].map(|path| path.to_str().unwrap());
    let data = server.folder().to_str().unwrap().to_owned();
    let from_server = ["audit", "export", "--to", out, "--state", state];
    let indexes = || -> Vec<u64> {
        let text = fs::read_to_string(&file).unwrap();
        let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        entries.map(|entry| entry["index"].as_u64().unwrap()).collect()
    };
    server.must(&from_server);
    let once = indexes().len();
    fs::copy(server.folder().join("audit/checkpoint"), &copy).unwrap();
    server.must(&["key", "disable", "photos"]);
    server.must(&from_server);
    let all = indexes();
    assert!(all.len() > once);
    assert_eq!(all, (0..).take(all.len()).collect::<Vec<u64>>(), "each once, and in order");

    // The same folder without asking the server, and then one of another installation.
    let offline = ["audit", "export", "--to", out, "--state", state, "--data-dir", &data];
    until(|| keyhaven(&offline).status.success());
    let other = Server::start();
    let other_data = other.folder().to_str().unwrap();
    let refused =
        keyhaven(&["audit", "export", "--to", out, "--state", state, "--data-dir", other_data]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(complaint(&refused).contains("ends before entry"));
    fs::write(state, r#"{"index":0,"sha256":"00"}"#).unwrap();
    assert!(server.refused(&from_server).contains("entry 0 is another one"));
}

#[test]
fn a_sink_that_is_away_holds_up_nobody_and_is_caught_up_with() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let state = folder.path().join("state");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to = format!("tcp://{address}");
    let state = state.to_str().unwrap();
    let arguments = ["audit", "export", "--format", "syslog", "--to", &to, "--state", state];
    // Nobody listens: it fails and remembers nothing, and the server goes on.
    assert!(server.refused(&arguments).contains("does not take entries"));
    server.must(&["key", "disable", "photos"]);
    let follower = server.background(&[&arguments[..], &["--follow"]].concat());
    let listener = TcpListener::bind(address).unwrap();
    let (sender, messages) = mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            counted(&mut BufReader::new(connection.unwrap()), &sender);
        }
    });
    let first = messages.recv().unwrap();
    assert!(first.starts_with("<109>1 ") && first.contains(" keyhaven - Initialise "), "{first}");
    server.must(&["key", "enable", "photos"]);
    until(|| messages.recv().unwrap().contains(" EnableKey "));
    drop(follower);
}

/// Reads messages with their length in front, to the end of a connection.
fn counted(stream: &mut BufReader<TcpStream>, messages: &mpsc::Sender<String>) {
    loop {
        let mut length = Vec::new();
        stream.read_until(b' ', &mut length).unwrap();
        let Some((b' ', digits)) = length.split_last() else { return };
        let length: usize = str::from_utf8(digits).unwrap().parse().unwrap();
        let mut message = vec![0; length];
        stream.read_exact(&mut message).unwrap();
        // The test may be over.
        let _ = messages.send(String::from_utf8(message).unwrap());
    }
}

#[test]
fn a_collector_gets_otlp_and_what_it_rejects_is_not_taken_for_exported() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let state = folder.path().join("state");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("http://{}/v1/logs", listener.local_addr().unwrap());
    let collector = thread::spawn(move || {
        let answers = ["{\"partialSuccess\":{\"rejectedLogRecords\":\"3\"}}", "{}"];
        answers.map(|answer| {
            let (mut stream, _) = listener.accept().unwrap();
            let body = request(&stream);
            let length = answer.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            )
            .unwrap();
            body
        })
    });
    let state_text = state.to_str().unwrap();
    let arguments = ["audit", "export", "--format", "otlp", "--to", &to, "--state", state_text];
    assert!(server.refused(&arguments).contains("it rejected"));
    assert!(!state.exists());
    server.run(&arguments);
    let [first, second] = collector.join().unwrap();
    let records = |body: &Value| {
        let records = body.pointer("/resourceLogs/0/scopeLogs/0/logRecords").unwrap();
        records.as_array().unwrap().len()
    };
    assert!(records(&second) >= records(&first) && records(&first) > 3);
    for (to, why) in [
        ("http://192.0.2.1/v1/logs", "without TLS"),
        ("https://127.0.0.1/v1/logs", "which authority"),
        ("ftp://127.0.0.1", "no sink"),
        ("tcp://127.0.0.1", "no HOST:PORT"),
    ] {
        let said = server.refused(&["audit", "export", "--format", "otlp", "--to", to]);
        assert!(said.contains(why) && said.contains("next:"), "{said}");
    }
}

/// The JSON body of one HTTP request.
fn request(stream: &TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn who_watches_sees_entries_as_they_come() {
    let server = server();
    let mut watcher = server.background(&[
        "audit",
        "watch",
        "--last",
        "0",
        "--operation",
        "DisableKey",
        "--count",
        "2",
    ]);
    until(|| {
        server.must(&["key", "disable", "photos"]);
        server.must(&["key", "enable", "photos"]);
        watcher.ended()
    });
    let shown = watcher.output();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(
        shown.lines().all(|line| line.contains("DisableKey") && line.contains("admin")),
        "{shown}"
    );
}

#[test]
fn every_command_of_the_document_works() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let mut script = shell(&blocks("docs/audit.md", "audit"), folder.path());
    for name in ["KEYHAVEN_ADDR", "KEYHAVEN_CACERT", "KEYHAVEN_TOKEN"] {
        script.env(name, server.variable(name));
    }
    let output = script.env("KEYHAVEN_DATA_DIR", server.folder()).output().unwrap();
    assert!(output.status.success(), "{}", complaint(&output));
    let exported = fs::read_to_string(folder.path().join("entries.jsonl")).unwrap();
    assert!(exported.contains("Initialise") && folder.path().join("otlp.jsonl").exists());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("not_found") && shown.contains("API Activity"), "{shown}");
}
