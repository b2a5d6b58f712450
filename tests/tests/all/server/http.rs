//! What the listener itself answers, before and beside the API.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::Server;

#[test]
fn liveness_readiness_and_counters_answer() {
    let server = Server::start();
    assert_eq!(server.call("GET", "/healthz", None), (200, Value::String("alive\n".into())));
    let (status, ready) = server.call("GET", "/readyz", None);
    let well = json!({ "ready": true, "waiting_for": [], "quarantined": 0, "rolled_back": false });
    assert_eq!((status, ready), (200, well));
    server.must(&["key", "create", "photos"]);
    server.refused(&["key", "create", "photos"]);
    let (_, metrics) = server.call("GET", "/metrics", None);
    let metrics = metrics.as_str().unwrap();
    for line in [
        "keyhaven_requests_total{operation=\"CreateKey\",outcome=\"ok\"} 1",
        "keyhaven_requests_total{operation=\"CreateKey\",outcome=\"conflict\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(!metrics.contains("photos"), "counters name no one's keys");
}

#[test]
fn a_body_of_10_mib_is_refused_with_what_to_do() {
    let server = Server::start();
    let body = json!({ "plaintext": "A".repeat(10 * 1024 * 1024) });
    let (status, problem) = server.call("POST", "/api/v1/keys/photos/encrypt", Some(&body));
    // The server need not read a body that it refuses, so a client may see the connection close instead.
    assert!(status == 413 || status == 0, "{status} {problem}");
    if status == 413 {
        assert_eq!(problem["code"], "body_too_large");
        assert_eq!(problem["request_id"].as_str().unwrap().len(), 22);
    }
    assert_eq!(server.call("GET", "/readyz", None).0, 200);
}

#[test]
fn the_clients_own_request_id_is_not_taken() {
    let server = Server::start();
    let (status, problem) = server.call_as("kh1.no.token", ("GET", "/api/v1/keys"), None);
    assert_eq!(status, 401);
    let (_, again) = server.call_as("kh1.no.token", ("GET", "/api/v1/keys"), None);
    assert_ne!(problem["request_id"], again["request_id"]);
}

#[test]
fn what_is_not_tls_is_cut_off_in_bounded_time() {
    let server = Server::start();
    let address = server.variable("KEYHAVEN_ADDR").trim_start_matches("https://").to_owned();
    let began = Instant::now();
    let mut silent = TcpStream::connect(&address).unwrap();
    let mut talking = TcpStream::connect(&address).unwrap();
    talking.write_all(b"GET /api/v1/keys HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut read = Vec::new();
    for stream in [&mut talking, &mut silent] {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        read.clear();
        // An alert, or a closed connection; an error would be the time-out.
        let ended = stream.read_to_end(&mut read);
        assert!(ended.is_ok() || began.elapsed() < Duration::from_secs(15), "{ended:?}");
        assert!(!read.starts_with(b"HTTP"), "plain HTTP is answered");
    }
    assert_eq!(server.call("GET", "/readyz", None).0, 200);
}
