//! Server-sent events over the real listener: they come when something ends, and not when the server feels
//! like it.

use std::io::{BufRead, BufReader};

use base64ct::{Base64, Encoding};
use keyhaven_shared::{
    issuer::IssuerPublicKey,
    lease_event::{LeaseEnd, LeaseEvent, SignedLeaseEvent, StreamNonce},
};
use keyhaven_tests::device::{Device, now};
use serde_json::{Value, json};
use ureq::BodyReader;

use crate::harness::Server;

const STREAM: StreamNonce = StreamNonce::from_random([3; 32]);

/// Asks with a device's proof, and a credential beside it.
fn ask(server: &Server, path: &str, body: &Value, (device, word): (&Device, &str)) -> Value {
    let body = body.to_string();
    let mut headers = device.prove(("POST", path), &body).unwrap().to_vec();
    headers.push(("Authorization", word.to_owned()));
    let mut answer = server.send(("POST", path), &headers, Some(&body)).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(answer.status().is_success(), "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn post(server: &Server, path: &str, body: &Value) -> Value {
    let (status, answer) = server.call("POST", path, Some(body));
    assert!((200..300).contains(&status), "{path}: {answer}");
    answer
}

/// Enrols a device for the administrator.
fn enrol(server: &Server, device: &Device) -> Value {
    let minted = post(server, "/api/v1/enrolment-tokens", &json!({ "subject": "admin" }));
    let word = format!("Keyhaven-Enrolment {}", minted["token"].as_str().unwrap());
    let keys = json!({ "keys": Base64::encode_string(&device.keys().encode()) });
    ask(server, "/api/v1/devices", &keys, (device, &word))
}

/// Gives the device a lease of the key `photos`.
fn deliver(server: &Server, device: &Device) {
    let wanted = json!({ "subject": "admin", "operations": ["DeliverDataKey"] });
    let minted = post(server, "/api/v1/keys/photos/tickets", &wanted);
    let word = format!("Keyhaven-Ticket {}", minted["ticket"].as_str().unwrap());
    let nonce = json!({ "nonce": Base64::encode_string(&[7; 32]) });
    ask(server, "/api/v1/keys/photos/deliver-data-key", &nonce, (device, &word));
}

fn follow(server: &Server, device: &Device) -> BufReader<BodyReader<'static>> {
    let path = &format!("/api/v1/lease-events?stream={STREAM}");
    let proof = device.prove(("GET", path), "").unwrap();
    let answer = server.send(("GET", path), &proof, None).unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    BufReader::new(answer.into_body().into_reader())
}

/// The next event's name and data; `None` at the end.
fn next(stream: &mut impl BufRead) -> Option<(String, String)> {
    let (mut name, mut data) = (String::new(), String::new());
    for line in stream.lines().map(Result::unwrap) {
        match line.split_once(": ") {
            Some(("event", value)) => name = value.to_owned(),
            Some(("data", value)) => data = value.to_owned(),
            Some(_) => {}
            None if line.is_empty() => return Some((name, data)),
            None => panic!("not a line of an event: {line}"),
        }
    }
    None
}

/// The next event, whose signature must hold under the issuer that the device pinned.
fn event(stream: &mut impl BufRead, enrolled: &Value) -> LeaseEvent {
    let (name, data) = next(stream).unwrap();
    assert_eq!(name, "lease");
    let issuer = Base64::decode_vec(enrolled["issuer"].as_str().unwrap()).unwrap();
    let issuer = IssuerPublicKey::from_bytes(&issuer.try_into().unwrap()).unwrap();
    let deployment = enrolled["deployment"].as_str().unwrap().parse().unwrap();
    let signed = SignedLeaseEvent::parse(&Base64::decode_vec(&data).unwrap()).unwrap();
    signed.verify(&STREAM, &issuer, deployment, now().unwrap()).unwrap()
}

#[test]
fn a_device_hears_at_once_that_its_key_was_disabled_and_that_it_was_revoked() {
    let server = Server::start();
    let key = server.json(&["key", "create", "photos", "--distribution", "data-keys"]);
    let device = Device::make().unwrap();
    let enrolled = enrol(&server, &device);
    deliver(&server, &device);
    let mut stream = follow(&server, &device);
    assert_eq!(next(&mut stream).unwrap().0, "hello");

    server.must(&["key", "disable", "photos"]);
    let stopped = event(&mut stream, &enrolled);
    assert_eq!(stopped.end, LeaseEnd::KeyStopped(key["id"].as_str().unwrap().parse().unwrap()));

    let id = device.keys().thumbprint();
    server.must(&["device", "revoke", &id.to_string()]);
    let revoked = event(&mut stream, &enrolled);
    assert_eq!(revoked.end, LeaseEnd::DeviceRevoked(id));
    assert!(revoked.serial > stopped.serial);
    assert_eq!(next(&mut stream), None, "a revoked device's stream ends");
}

#[test]
fn streams_end_when_the_server_stops_so_that_it_can() {
    let server = Server::start();
    let device = Device::make().unwrap();
    enrol(&server, &device);
    let mut stream = follow(&server, &device);
    assert_eq!(next(&mut stream).unwrap().0, "hello");
    assert!(server.terminate().success());
    assert_eq!(next(&mut stream), None);
}
