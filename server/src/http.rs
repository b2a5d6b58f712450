//! HTTP: limits, request ids, and actix's types turned into those of `http` and back. What a request
//! means is `keyhaven_wire`'s to say.
//!
//! Three paths are answered here: `/healthz` (the process lives), `/readyz` (it can do its work)
//! and, in dev mode, `/metrics`. None of them asks for a credential, and none tells more than a
//! monitor needs. All others go to the wire.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, rt, web};
use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use futures_util::stream;
use keyhaven_shared::{api::problem::Problem, operation::Operation};
use keyhaven_wire::{EventFeed, LARGEST_BODY, Outcome, Peer, Reply, Wire};
use tokio::{sync::watch, time::Instant};

use crate::{
    health::Health,
    metrics::{Labels, Metrics},
};

/// How long a body may take to arrive.
/// Counted from the head to the last byte, so a client cannot hold a connection by sending a byte
/// now and then.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// How long a stream may be silent.
/// Proxies close what is silent, often after 30 or 60 seconds; a comment or event before that keeps
/// it.
const SILENCE: Duration = Duration::from_secs(15);

/// What every request needs; one for all workers.
pub(crate) struct Front {
    /// Decides and acts.
    pub(crate) wire: Arc<Wire>,
    /// Answers `/readyz`.
    pub(crate) health: Health,
    /// Counts every request but those of the three paths.
    pub(crate) metrics: Metrics,
    /// Whether `/metrics` is answered beside the API: in dev mode, whose listener is on loopback.
    pub(crate) metrics_here: bool,
    /// Becomes true when the server stops: streams end then.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Answers one request.
///
/// Every answer to the wire's requests, a refusal too, carries the request id that its audit entry
/// has.
pub(crate) async fn answer(
    front: Arc<Front>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let began = Instant::now();
    match request.path() {
        "/healthz" => return text("text/plain", "alive\n".to_owned()),
        "/readyz" => return ready(&front).await,
        "/metrics" if front.metrics_here => return metrics(&front),
        _ => {}
    }
    // Without randomness nothing can be sealed or signed either: no use in asking the wire.
    let Some(request_id) = make_request_id() else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    // The whole body first: it is what the signature and the digest in the headers are about.
    let (labels, response) = match read_body(&request, payload).await {
        Ok(body) => serve(&front, &request, body, request_id).await,
        Err(fault) => (fault.labels(), fault.response(&request_id)),
    };
    front.metrics.count(labels, began.elapsed());
    response
}

/// The counters, in Prometheus' text format.
pub(crate) fn metrics(front: &Front) -> HttpResponse {
    text("text/plain; version=0.0.4", front.metrics.text())
}

/// 200 or 503, with the same document. It is not to be cached (RFC 9111 §5.2.2.5): it is true for a
/// moment.
async fn ready(front: &Front) -> HttpResponse {
    let readiness = front.health.readiness().await;
    let mut response =
        if readiness.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header(("cache-control", "no-store")).json(readiness)
}

/// A plain answer of this layer's own.
fn text(kind: &'static str, body: String) -> HttpResponse {
    HttpResponse::Ok().content_type(kind).insert_header(("cache-control", "no-store")).body(body)
}

/// Random, and never the client's: it stands in the audit log.
/// 16 random bytes in base64url (RFC 4648 §5), without padding. A client that could choose it could
/// make two entries look like one.
fn make_request_id() -> Option<Arc<str>> {
    let (mut bytes, mut text) = ([0; 16], [0; 22]);
    getrandom::fill(&mut bytes).ok()?;
    Base64UrlUnpadded::encode(&bytes, &mut text).ok().map(Arc::from)
}

/// What this layer refuses or fails at by itself.
/// Their codes and texts are part of the API, like the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// 413 (RFC 9110 §15.5.14).
    TooLarge,
    /// 408 (RFC 9110 §15.5.9).
    TooSlow,
    /// The client went away, or sent less than it said.
    Broken,
    /// actix took it and the `http` crate does not.
    NotHttp,
    /// A fault of ours. What the panic said is neither told nor logged: it may repeat data.
    Panicked,
}

impl Fault {
    /// Status, code, title and detail of the problem document (RFC 9457 §3.1).
    const fn words(self) -> (u16, &'static str, &'static str, &'static str) {
        match self {
            Self::TooLarge => (
                413,
                "body_too_large",
                "The body is too large",
                "a body has at most 1 MiB: encrypt large data with a data key",
            ),
            Self::TooSlow => (
                408,
                "body_too_slow",
                "The body did not arrive in time",
                "send the whole body within 10 seconds",
            ),
            Self::Broken => (
                400,
                "invalid_request",
                "The request is not valid",
                "the body broke off: send as many bytes as Content-Length says",
            ),
            Self::NotHttp => (
                400,
                "invalid_request",
                "The request is not valid",
                "the request line or a header is not valid HTTP",
            ),
            Self::Panicked => (
                500,
                "internal",
                "A fault in the server",
                "a fault in the server: report the request id to its operator",
            ),
        }
    }

    /// What it counts as: no operation was named yet.
    const fn labels(self) -> Labels {
        let (_, outcome, _, _) = self.words();
        Labels { operation: "none", outcome }
    }

    /// The problem document, with the headers that the wire gives its own.
    fn response(self, request_id: &str) -> HttpResponse {
        let (status, code, title, detail) = self.words();
        let problem = Problem {
            r#type: format!("/api/v1/openapi.json#/components/x-problems/{code}"),
            title: title.to_owned(),
            status,
            code: code.to_owned(),
            detail: detail.to_owned(),
            request_id: request_id.to_owned(),
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        start(status)
            .insert_header(("content-type", "application/problem+json"))
            .insert_header(("cache-control", "no-store"))
            .insert_header(("x-content-type-options", "nosniff"))
            .insert_header(("x-request-id", request_id))
            .body(body)
    }
}

/// An answer with a status. Ours are all valid; any other would be a fault, and says so.
fn start(status: u16) -> HttpResponseBuilder {
    let known = actix_web::http::StatusCode::from_u16(status);
    HttpResponse::build(known.unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR))
}

///
/// # Errors
/// [`Fault`]. Where the length is said beforehand, a body that is too large is refused before any
/// of it is read.
async fn read_body(request: &HttpRequest, payload: web::Payload) -> Result<Bytes, Fault> {
    let declared = request.headers().get("content-length").and_then(|value| value.to_str().ok());
    if declared
        .and_then(|text| text.parse::<u64>().ok())
        .is_some_and(|length| length > u64::try_from(LARGEST_BODY).unwrap_or(u64::MAX))
    {
        return Err(Fault::TooLarge);
    }
    // Chunked bodies say no length, so they are counted as they come.
    match rt::time::timeout(BODY_DEADLINE, payload.to_bytes_limited(LARGEST_BODY)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(Fault::Broken),
        Ok(Err(_)) => Err(Fault::TooLarge),
        Err(_) => Err(Fault::TooSlow),
    }
}

/// Runs the request in a task of its own, to its record, even if the client hangs up; a panic in it ends
/// that task alone.
async fn serve(
    front: &Arc<Front>,
    request: &HttpRequest,
    body: Bytes,
    request_id: Arc<str>,
) -> (Labels, HttpResponse) {
    // Everything about the request is copied out here: what runs below does not die with the
    // connection.
    let Some(converted) = to_http(request, body) else {
        return (Fault::NotHttp.labels(), Fault::NotHttp.response(&request_id));
    };
    // The connection's own address. A header such as `X-Forwarded-For` is any client's to write.
    let source = request.peer_addr().map_or_else(String::new, |peer| peer.ip().to_string());
    let peer = Peer { source: source.into(), request_id: Arc::clone(&request_id) };
    let wire = Arc::clone(&front.wire);
    // Dropping this future drops the handle and not the task: an act that began reaches its record.
    match rt::spawn(async move { wire.serve(converted, peer).await }).await {
        Ok(Reply::Whole(response)) => {
            let labels = labels(response.extensions());
            (labels, from_http(response))
        }
        Ok(Reply::Events(feed)) => {
            let labels = labels(feed.head().extensions());
            (labels, stream_events(feed, front.stopping.clone()))
        }
        Err(_) => (Fault::Panicked.labels(), Fault::Panicked.response(&request_id)),
    }
}

/// What the wire noted on its answer.
fn labels(extensions: &http::Extensions) -> Labels {
    let operation = extensions.get::<Operation>().map_or("none", |operation| operation.name());
    Labels { operation, outcome: extensions.get::<Outcome>().map_or("ok", |outcome| outcome.0) }
}

/// Method, target, headers and body as they came, with the values of a header in their order;
/// `None` if one of them is not valid. Nothing is made canonical: the device's signature covers
/// what was sent (RFC 9421).
fn to_http(request: &HttpRequest, body: Bytes) -> Option<http::Request<Bytes>> {
    let mut converted = http::Request::new(body);
    *converted.method_mut() = request.method().as_str().parse().ok()?;
    let target = request.uri().path_and_query()?;
    *converted.uri_mut() = target.as_str().parse().ok()?;
    let headers = converted.headers_mut();
    headers.reserve(request.headers().len());
    for (name, value) in request.headers() {
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    Some(converted)
}

/// The wire's answer as actix sends it.
fn from_http(response: http::Response<Bytes>) -> HttpResponse {
    let (head, body) = response.into_parts();
    builder(head.status, &head.headers).body(body)
}

/// Status and headers. A header that stands twice is sent twice.
fn builder(status: http::StatusCode, headers: &http::HeaderMap) -> HttpResponseBuilder {
    let mut builder = start(status.as_u16());
    for (name, value) in headers {
        builder.append_header((name.as_str(), value.as_bytes()));
    }
    builder
}

/// Passes events on as they come, with a sign of life when none comes, until the server stops.
/// The stream is server-sent events (WHATWG HTML §9.2).
fn stream_events(feed: EventFeed, stopping: watch::Receiver<bool>) -> HttpResponse {
    let mut response = builder(feed.head().status(), feed.head().headers());
    let chunks = stream::unfold((feed, stopping), |(mut feed, mut stopping)| async move {
        let chunk = tokio::select! {
            chunk = feed.next() => chunk?,
            // Begins anew with each chunk. Writing also finds out that a client is gone, whose feed
            // then ends.
            () = rt::time::sleep(SILENCE) => EventFeed::ping(),
            // Else a server that stops in order would wait for streams, which never end by
            // themselves.
            _ = stopping.wait_for(|stopping| *stopping) => return None,
        };
        Some((Ok::<_, actix_web::Error>(chunk), (feed, stopping)))
    });
    response.streaming(Box::pin(chunks))
}

#[cfg(test)]
mod tests;
