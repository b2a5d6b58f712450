use serde_json::Value;

use super::*;

/// What clients branch on. A line changes only with the protocol's version.
const TABLE: [(u16, &str); 38] = [
    (403, "ticket_invalid"),
    (403, "ticket_expired"),
    (403, "ticket_spent"),
    (403, "ticket_wrong_key"),
    (403, "ticket_wrong_operation"),
    (403, "ticket_wrong_context"),
    (403, "ticket_wrong_device"),
    (403, "enrolment_invalid"),
    (403, "enrolment_expired"),
    (403, "enrolment_spent"),
    (403, "enrolment_wrong_origin"),
    (401, "device_unknown"),
    (401, "device_revoked"),
    (401, "device_proof_invalid"),
    (401, "device_proof_replayed"),
    (401, "device_proof_too_old"),
    (409, "key_enabled"),
    (409, "key_disabled"),
    (409, "key_pending_destruction"),
    (409, "key_destroyed"),
    (401, "unauthenticated"),
    (403, "access_denied"),
    (404, "not_found"),
    (400, "invalid_request"),
    (409, "conflict"),
    (409, "already_done"),
    (422, "idempotency_key_reused"),
    (429, "quota_exceeded"),
    (400, "ciphertext_invalid"),
    (503, "unavailable"),
    (503, "outcome_unknown"),
    (500, "quarantined"),
    (503, "rolled_back"),
    (500, "internal"),
    (405, "method_not_allowed"),
    (415, "unsupported_media_type"),
    (413, "body_too_large"),
    (403, "origin_not_allowed"),
];

fn problem(refusal: &Refusal, id: &str) -> (Response<Bytes>, Value) {
    let response = refusal.response(id);
    let problem = serde_json::from_slice(response.body()).unwrap();
    (response, problem)
}

#[test]
fn each_refusal_has_its_status_and_code() {
    let found: Vec<_> = Refusal::examples()
        .iter()
        .map(|refusal| (refusal.kind().0.as_u16(), refusal.kind().1))
        .collect();
    assert_eq!(found, TABLE);
    for (other, expected) in [
        (Refusal::NoRoute, (404, "not_found")),
        (Refusal::Malformed("x".to_owned()), (400, "invalid_request")),
        (Error::NotFound("key").into(), (404, "not_found")),
    ] {
        assert_eq!((other.kind().0.as_u16(), other.kind().1), expected);
    }
}

#[test]
fn the_document_says_what_the_response_says() {
    for (refusal, (status, code)) in Refusal::examples().iter().zip(TABLE) {
        let (response, problem) = problem(refusal, "id-1");
        assert_eq!(response.status(), status, "{code}");
        assert_eq!(problem["status"], status, "{code}");
        assert_eq!(problem["code"], code);
        assert_eq!(problem["type"], format!("/api/v1/openapi.json#/components/x-problems/{code}"));
        assert_eq!(problem["request_id"], "id-1");
        assert_eq!(problem.as_object().unwrap().len(), 6, "{problem}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.extensions().get::<Outcome>(), Some(&Outcome(code)));
    }
}

#[test]
fn each_text_says_what_to_do_and_repeats_no_code() {
    for refusal in Refusal::examples() {
        let (_, code, title) = refusal.kind();
        let text = refusal.advice();
        assert!(text.len() >= 20, "{code}: {text}");
        assert!(!text.ends_with('.') && !text.contains('\n'), "{code}: {text}");
        let words = title.split(' ').count();
        assert!(title.starts_with(|c: char| c.is_ascii_uppercase()) && words < 8, "{title}");
    }
}

#[test]
fn two_headers_belong_to_their_status_alone() {
    for refusal in Refusal::examples() {
        let (response, _) = problem(&refusal, "id");
        let headers = response.headers();
        let status = response.status();
        assert_eq!(headers.contains_key(WWW_AUTHENTICATE), status == 401, "{refusal:?}");
        assert_eq!(headers.contains_key("allow"), status == 405, "{refusal:?}");
    }
    let (response, problem) = problem(&Refusal::WrongMethod("GET, DELETE".to_owned()), "id");
    assert_eq!(response.headers()["allow"], "GET, DELETE");
    assert_eq!(problem["detail"], "this path is for GET, DELETE");
}

#[test]
fn whatever_text_there_is_the_document_stays_json() {
    for text in ["\"", "\\", "\n\r\t\0", "\u{2028}", "</script>", "é", ""] {
        let (_, problem) = problem(&Refusal::Malformed(text.to_owned()), text);
        assert_eq!(problem["detail"], text);
        assert_eq!(problem["request_id"], text);
    }
}
