//! Keyhaven's own protocol: JSON under `/api/v1`. The documents are `keyhaven_shared::api`.
//!
//! The order of a request: the path is matched, the body is bounded and its kind checked, the
//! credential is checked, then query and body are read, then the engine decides. Only cheap work is
//! done for whoever has shown nothing; no document is parsed for one, except that of a device which
//! enrols, whose keys are in it.

mod arguments;
mod auth;
mod body;
mod convert;
mod error;
mod openapi;
mod repetition;
pub(crate) mod routes;

use std::sync::Arc;

use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use keyhaven_engine::caller::RequestInfo;
use keyhaven_shared::operation::Operation;

pub use self::openapi::openapi;
use self::{
    arguments::Arguments,
    error::Refusal,
    routes::{Call, Done, Found, Route},
};
use crate::{LARGEST_BODY, Peer, Reply, Wire};

/// What all paths begin with. The version of the protocol stands in it: what would break clients
/// gets another.
pub(crate) const BASE: &str = "/api/v1";
/// Where the description of this API is. Below [`BASE`].
const DESCRIPTION: &str = "/openapi.json";

/// Serves a request of this protocol. Never fails: a refusal becomes a problem document with the
/// request's id.
pub(crate) async fn serve(wire: &Wire, request: Request<Bytes>, peer: &Peer) -> Reply {
    let mut named = None;
    let answered = serve_or_refuse(wire, request, peer, &mut named).await;
    let mut reply =
        answered.unwrap_or_else(|refusal| Reply::Whole(refusal.response(&peer.request_id)));
    // Also of a request that was refused: the counters tell which operations are refused.
    if let Some(operation) = named {
        reply.note::<Operation>(operation);
    }
    reply
}

/// The answer to a page that may not call. It is not recorded: no credential was looked at, so it
/// names nobody.
pub(crate) fn refuse_origin(peer: &Peer) -> Response<Bytes> {
    Refusal::Origin.response(&peer.request_id)
}

/// Route → authenticate → decode → execute → encode.
///
/// `named` receives the operation as soon as the endpoint is known, whatever follows.
///
/// # Errors
/// What the client is told. What was refused from the credential on is in the audit log by then,
/// but for documents that cannot be read.
async fn serve_or_refuse(
    wire: &Wire,
    request: Request<Bytes>,
    peer: &Peer,
    named: &mut Option<Operation>,
) -> Result<Reply, Refusal> {
    let (head, bytes) = request.into_parts();
    let path = head.uri.path().strip_prefix(BASE).ok_or(Refusal::NoRoute)?;
    if path == DESCRIPTION {
        return describe(&head.method);
    }
    // Nothing is decoded, so nothing can be decoded twice or differently by a proxy: two spellings
    // of one path would be two for a filter, and one for us.
    if path.contains('%') {
        let text = "a path has no percent-encoded characters: no name needs them";
        return Err(Refusal::Malformed(text.to_owned()));
    }
    let (route, parts) = match routes::find(&wire.routes, &head.method, path) {
        Found::Route(route, parts) => (route, parts),
        Found::OtherMethods(allow) => return Err(Refusal::WrongMethod(allow)),
        Found::Nothing => return Err(Refusal::NoRoute),
    };
    // A method that the path does not have has named no operation yet.
    *named = Some(route.operation);
    // The server stopped reading there already; whoever calls this otherwise is bound as well.
    if bytes.len() > LARGEST_BODY {
        return Err(Refusal::TooLarge);
    }
    let info = RequestInfo {
        id: Arc::clone(&peer.request_id),
        source: Arc::clone(&peer.source),
        protocol: "native",
        action: Arc::clone(&route.action),
        body_hash: [0; 32],
    };
    // Over the bytes as sent, before anything could change or refuse them.
    let info = info.with_body(&bytes);
    let bytes = body::accept(route, &head.headers, bytes)?;
    let caller = auth::authenticate(wire, route, (&head, bytes.as_bytes()), info).await?;
    // Only for a caller that is known: what parameters there are is no secret, but the work is
    // ours.
    let arguments = Arguments::read(parts, head.uri.query(), route.query)?;
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let once = repetition::once(route, &head.headers, (target, &caller))?;
    let done = (route.run)(Call { wire, caller: &caller, arguments, once, bytes }).await?;
    Ok(answer(route, done))
}

/// What an endpoint gave, as a reply with the endpoint's status.
fn answer(route: &Route, done: Done) -> Reply {
    let bytes = match done {
        // 204 has no body, so none is sent, whatever a document of nothing is written as.
        Done::Document(_) if route.status == StatusCode::NO_CONTENT => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = route.status;
            return Reply::Whole(response);
        }
        Done::Document(bytes) => bytes,
        Done::Feed(feed) => return Reply::Events(*feed),
    };
    let mut response = json(bytes);
    *response.status_mut() = route.status;
    Reply::Whole(response)
}

/// A response that holds a JSON document.
fn json(bytes: Bytes) -> Response<Bytes> {
    let mut response = Response::new(bytes);
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The description says nothing of this installation, so everybody may read it.
fn describe(method: &Method) -> Result<Reply, Refusal> {
    // It is not in the table, so its methods are told here.
    if method != Method::GET {
        return Err(Refusal::WrongMethod("GET".to_owned()));
    }
    Ok(Reply::Whole(json(body::encode(&openapi())?)))
}

/// The methods of a path, for the header `Allow`. RFC 9110 §15.5.6 asks for it in a 405.
fn allow(response: &mut Response<Bytes>, methods: &str) {
    if let Ok(value) = methods.parse() {
        response.headers_mut().insert(ALLOW, value);
    }
}
