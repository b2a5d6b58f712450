//! Against a provider on loopback that answers what it is told to.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::federation::liar::{JSON, Liar};

const REFUSED: &str = "400 Bad Request\r\nContent-Type: application/json";
const CODE: &str = r#"{"device_code":"d&1","user_code":"ABCD-EFGH","verification_uri":"https://a/device","expires_in":60,"interval":2}"#;
const TOKEN: &str = r#"{"access_token":"t.o.k","token_type":"bearer"}"#;

/// A provider that gives this code, then these answers to questions for the token; the last one for ever.
fn provider(code: &'static str, answers: &'static [(&'static str, &'static str)]) -> Liar {
    let asked = AtomicUsize::new(0);
    Liar::answering(move |path, issuer| match path {
        "/code" => (JSON.to_owned(), code.to_owned()),
        "/token" => {
            let at = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            (answers[at].0.to_owned(), answers[at].1.to_owned())
        }
        _ => (JSON.to_owned(), discovery(issuer, issuer, issuer)),
    })
}

fn discovery(issuer: &str, code: &str, token: &str) -> String {
    format!(
        r#"{{"issuer":"{issuer}","device_authorization_endpoint":"{code}/code","token_endpoint":"{token}/token"}}"#
    )
}

fn asked() -> Asked {
    Asked {
        client_id: "cli".to_owned(),
        scope: "openid a".to_owned(),
        resource: Some("urn:keyhaven".to_owned()),
        audience: None,
    }
}

/// Logs in; gives the token or what was said, and the pauses.
fn logs_in(liar: &Liar) -> (Result<String, String>, Vec<u64>) {
    let pauses = RefCell::new(Vec::new());
    let token = Provider::discover(&liar.issuer, Path::new("/none")).and_then(|provider| {
        let code = provider.ask(asked())?;
        provider.wait(&code, |pause| pauses.borrow_mut().push(pause.as_secs()))
    });
    (token.map(|token| token.to_string()).map_err(|error| error.to_string()), pauses.into_inner())
}

#[test]
fn the_token_is_asked_for_until_somebody_has_logged_in_and_no_faster_than_allowed() {
    const PENDING: (&str, &str) = (REFUSED, r#"{"error":"authorization_pending"}"#);
    const SLOWER: (&str, &str) = (REFUSED, r#"{"error":"slow_down"}"#);
    let liar = provider(CODE, &[PENDING, SLOWER, PENDING, (JSON, TOKEN)]);
    assert_eq!(logs_in(&liar), (Ok("t.o.k".to_owned()), vec![2, 2, 7, 7]));
    let asked = liar.asked();
    assert_eq!(asked[1], "/code client_id=cli&scope=openid+a&resource=urn%3Akeyhaven");
    let question = "/token grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code\
                    &device_code=d%261&client_id=cli&resource=urn%3Akeyhaven";
    assert!(asked[2..].iter().all(|path| path == question), "{asked:?}");

    let (none, pauses) = logs_in(&provider(CODE, &[PENDING]));
    assert!(none.unwrap_err().contains("nobody logged in"));
    assert_eq!(pauses.iter().sum::<u64>(), 60);
}

#[test]
fn what_a_provider_refuses_is_told_in_its_words_and_what_is_no_answer_is_no_login() {
    for (head, body, expected) in [
        (
            REFUSED,
            r#"{"error":"access_denied","error_description":"not you"}"#,
            "access_denied: not you",
        ),
        (REFUSED, r#"{"error":"expired_token"}"#, "expired_token"),
        (REFUSED, r#"{"error":"invalid_client"}"#, "--client-id"),
        (REFUSED, "<html>", "status 400"),
        ("302 Found\r\nLocation: /token", TOKEN, "status 302"),
        ("500 Internal Server Error", "", "status 500"),
        (
            JSON,
            r#"{"access_token":"t","token_type":"DPoP"}"#,
            "a kind that the server does not take",
        ),
        (JSON, r#"{"token_type":"bearer"}"#, "not the document"),
        (JSON, "", "not the document"),
    ] {
        let answers: &'static [(&str, &str)] = Box::leak(Box::new([(head, body)]));
        let said = logs_in(&provider(CODE, answers)).0.unwrap_err();
        assert!(said.contains(expected), "{body}: {said}");
    }
}

#[test]
fn hostile_numbers_neither_hurry_nor_hold_up_nor_last() {
    const PENDING: (&str, &str) = (REFUSED, r#"{"error":"authorization_pending"}"#);
    for (interval, expires_in, pause, most) in
        [("0", "30", 1, 30), ("18446744073709551615", "18446744073709551615", 60, 1800)]
    {
        let code = CODE.replace("\"expires_in\":60", &format!("\"expires_in\":{expires_in}"));
        let code = code.replace("\"interval\":2", &format!("\"interval\":{interval}"));
        let (none, pauses) = logs_in(&provider(Box::leak(code.into_boxed_str()), &[PENDING]));
        assert!(none.is_err());
        assert!(pauses.iter().all(|each| *each == pause), "{pauses:?}");
        assert_eq!(pauses.iter().sum::<u64>(), most);
    }
}

#[test]
fn a_document_that_leads_elsewhere_is_not_followed() {
    let other = Liar::answering(|_, _| (JSON.to_owned(), CODE.to_owned()));
    for (at, expected) in [(0, "another issuer"), (1, "another host"), (2, "another host")] {
        let elsewhere = other.issuer.clone();
        let liar = Liar::answering(move |_, issuer| {
            let mut parts = [issuer; 3];
            parts[at] = &elsewhere;
            let [issuer, code, token] = parts;
            (JSON.to_owned(), discovery(issuer, code, token))
        });
        let said = logs_in(&liar).0.unwrap_err();
        assert!(said.contains(expected), "{said}");
    }
    assert!(other.asked().is_empty());
    let without = Liar::answering(|_, issuer| {
        (JSON.to_owned(), format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}}"#))
    });
    assert!(logs_in(&without).0.unwrap_err().contains("lets no devices log in"));
    for bad in ["login.example", "http://login.example", "ftp://127.0.0.1", ""] {
        assert!(logs_in(&Liar::at(bad)).0.unwrap_err().contains("no https URL"), "{bad}");
    }
}

#[test]
fn a_connection_that_breaks_is_tried_again_and_a_provider_that_is_gone_is_told() {
    const PENDING: (&str, &str) = (REFUSED, r#"{"error":"authorization_pending"}"#);
    // Not HTTP at all: as if the connection had broken.
    const BROKEN: (&str, &str) = ("\0", "");
    let twice = provider(CODE, &[BROKEN, BROKEN, PENDING, BROKEN, (JSON, TOKEN)]);
    assert_eq!(logs_in(&twice), (Ok("t.o.k".to_owned()), vec![2; 5]));
    let (gone, pauses) = logs_in(&provider(CODE, &[PENDING, BROKEN]));
    assert!(gone.unwrap_err().contains("cannot talk to the identity provider"));
    assert_eq!(pauses.len(), 4);
}
