//! Forms, sinks and positions, without a server.

use std::{fs, io::Read, net::TcpListener, thread};

use serde_json::{Value, json};

use super::{
    format::{Format, known},
    position::Position,
    sink::{Delivery, Sink},
    source::Page,
};
use crate::cli::error::CliError;

fn entry(index: u64) -> Value {
    json!({ "index": index, "time_ms": 1_795_318_706_123_u64, "operation": "Decrypt",
        "decision": "refused", "outcome": "access_denied", "principal": "ann", "via": "token",
        "resource": "a\"b]c\\d\n\u{9b}31m", "request_id": "r-1", "source": "127.0.0.1" })
}

fn said<T>(result: Result<T, CliError>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn whatever_an_entry_holds_each_form_is_one_line_of_it() {
    let odd = json!({ "operation": "two words", "time_ms": u64::MAX, "principal": 7 });
    let entries = [entry(7), odd, json!({}), json!(null)];
    for format in [Format::Jsonl, Format::Syslog, Format::Ocsf, Format::Cloudtrail, Format::Otlp] {
        let texts = format.texts(&entries);
        assert!(texts.len() == 1 || texts.len() == entries.len(), "{format:?}");
        assert!(texts.iter().all(|text| !text.chars().any(char::is_control)), "{format:?}");
    }
}

#[test]
fn a_syslog_message_escapes_what_would_end_its_values() {
    let message = &Format::Syslog.texts(&[entry(7)])[0];
    let (head, text) = message.split_once(" \u{feff}").unwrap();
    assert_eq!(
        head,
        "<108>1 2026-11-22T03:38:26.123Z - keyhaven - Decrypt [keyhaven@32473 index=\"7\" \
         decision=\"refused\" outcome=\"access_denied\" principal=\"ann\" request_id=\"r-1\" \
         resource=\"a\\\"b\\]c\\\\d\\\\n\\\\u{9b}31m\"]"
    );
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), entry(7));
    assert!(
        Format::Syslog.texts(&[json!({ "operation": "two words" })])[0].contains(" - [keyhaven")
    );
}

#[test]
fn what_is_not_known_is_left_out_and_a_refusal_is_an_error() {
    assert_eq!(known(json!({ "a": null, "b": [{ "c": null }, 1] })), json!({ "b": [{}, 1] }));
    let record = |decision: &str| {
        let mut entry = entry(7);
        entry["decision"] = json!(decision);
        let text = &Format::Cloudtrail.texts(&[entry])[0];
        serde_json::from_str::<Value>(text).unwrap()["Records"][0].clone()
    };
    assert_eq!(record("refused")["errorCode"], "access_denied");
    assert_eq!(record("allowed").get("errorCode"), None);
    let event: Value = serde_json::from_str(&Format::Ocsf.texts(&[entry(7)])[0]).unwrap();
    assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(600_399), &json!(2)));
}

#[test]
fn a_stream_gets_every_byte_and_a_file_grows() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp://{}", listener.local_addr().unwrap());
    let reader = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let mut sink = Sink::open(&to, None, Format::Jsonl).unwrap();
    assert!(matches!(sink.deliver(&[entry(1), entry(2)]), Ok(Delivery::Taken)));
    assert_eq!(reader.join().unwrap().lines().count(), 2);
    assert!(said(sink.deliver(&[entry(3)])).contains("does not take entries"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    for index in 0..2 {
        let mut sink = Sink::open(file.to_str().unwrap(), None, Format::Jsonl).unwrap();
        assert!(sink.deliver(&[entry(index)]).is_ok());
    }
    assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 2);
}

#[test]
fn a_position_is_kept_and_a_spoiled_one_is_no_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    let mut position = Position::load(Some(&file)).ok().unwrap();
    assert_eq!(position.next(), 0);
    assert!(position.advance(&Page { entries: vec![entry(7)], next: 9 }).is_ok());
    assert_eq!((position.next(), Position::load(Some(&file)).ok().unwrap().next()), (9, 8));
    fs::write(&file, "8").unwrap();
    assert!(said(Position::load(Some(&file))).contains("cannot be used"));
    assert_eq!(Position::load(None).ok().unwrap().next(), 0);
}
