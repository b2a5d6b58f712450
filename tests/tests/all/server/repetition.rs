//! A connection that breaks between the server's commit and its answer.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::harness::{Server, binary, complaint};

/// Stands between a client and the server, and passes bytes on. Of the first connection it passes on no
/// answer that comes when `is_done`, and breaks it.
fn breaking_proxy(
    server: &str,
    is_done: impl Fn() -> bool + Send + Sync + 'static,
) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (server, accepted) = (server.to_owned(), Arc::new(AtomicUsize::new(0)));
    let (count, is_done) = (Arc::clone(&accepted), Arc::new(is_done));
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            let upstream = TcpStream::connect(&server).unwrap();
            let (up, down) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            thread::spawn(move || pass_on(up, down, || false));
            let is_done = Arc::clone(&is_done);
            thread::spawn(move || pass_on(upstream, client, || first && is_done()));
        }
    });
    (port, accepted)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, breaks: impl Fn() -> bool) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if breaks() || to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

#[test]
fn a_client_whose_connection_broke_past_the_commit_sends_again_and_makes_one_key() {
    let server = Arc::new(Server::start());
    let address = server.variable("KEYHAVEN_ADDR").trim_start_matches("https://").to_owned();
    let asked = Arc::clone(&server);
    let is_done = move || asked.call("GET", "/api/v1/keys/raced", None).0 == 200;
    let (port, accepted) = breaking_proxy(&address, is_done);
    let mut command = Command::new(binary());
    for name in ["KEYHAVEN_CACERT", "KEYHAVEN_TOKEN"] {
        command.env(name, server.variable(name));
    }
    command.env("KEYHAVEN_ADDR", format!("https://localhost:{port}"));
    let output = command.args(["key", "create", "raced", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", complaint(&output));
    assert_eq!(accepted.load(Ordering::SeqCst), 2, "one that broke, and one that did not");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys = server.json(&["key", "list"]);
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!((keys.len(), &keys[0]["id"]), (1, &told["id"]));
    let (_, log) = server.call("GET", "/api/v1/audit?limit=1000", None);
    let told_again = log["entries"].as_array().unwrap();
    let told_again = told_again.iter().filter(|entry| entry.get("repeats").is_some());
    assert_eq!(told_again.map(|entry| &entry["operation"]).collect::<Vec<_>>(), ["CreateKey"]);
}
