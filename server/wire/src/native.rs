//! Keyhaven's own protocol: JSON under `/api/v1`. The documents are `keyhaven_shared::api`.

mod arguments;
mod auth;
mod body;
mod convert;
mod error;
mod openapi;
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

/// What all paths begin with.
pub(crate) const BASE: &str = "/api/v1";
/// Where the description of this API is.
const DESCRIPTION: &str = "/openapi.json";

/// Serves a request of this protocol.
pub(crate) async fn serve(wire: &Wire, request: Request<Bytes>, peer: &Peer) -> Reply {
    let mut named = None;
    let answered = serve_or_refuse(wire, request, peer, &mut named).await;
    let mut reply =
        answered.unwrap_or_else(|refusal| Reply::Whole(refusal.response(&peer.request_id)));
    if let Some(operation) = named {
        reply.note::<Operation>(operation);
    }
    reply
}

/// The answer to a page that may not call.
pub(crate) fn refuse_origin(peer: &Peer) -> Response<Bytes> {
    Refusal::Origin.response(&peer.request_id)
}

/// Route → authenticate → decode → execute → encode.
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
    if path.contains('%') {
        let text = "a path has no percent-encoded characters: no name needs them";
        return Err(Refusal::Malformed(text.to_owned()));
    }
    let (route, parts) = match routes::find(&wire.routes, &head.method, path) {
        Found::Route(route, parts) => (route, parts),
        Found::OtherMethods(allow) => return Err(Refusal::WrongMethod(allow)),
        Found::Nothing => return Err(Refusal::NoRoute),
    };
    *named = Some(route.operation);
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
    let info = info.with_body(&bytes);
    let bytes = body::accept(route, &head.headers, bytes)?;
    let caller = auth::authenticate(wire, route, (&head, bytes.as_bytes()), info).await?;
    let arguments = Arguments::read(parts, head.uri.query(), route.query)?;
    let done = (route.run)(Call { wire, caller: &caller, arguments, bytes }).await?;
    Ok(answer(route, done))
}

fn answer(route: &Route, done: Done) -> Reply {
    let bytes = match done {
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

fn json(bytes: Bytes) -> Response<Bytes> {
    let mut response = Response::new(bytes);
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The description says nothing of this installation, so everybody may read it.
fn describe(method: &Method) -> Result<Reply, Refusal> {
    if method != Method::GET {
        return Err(Refusal::WrongMethod("GET".to_owned()));
    }
    Ok(Reply::Whole(json(body::encode(&openapi())?)))
}

/// The methods of a path, for the header `Allow`.
fn allow(response: &mut Response<Bytes>, methods: &str) {
    if let Ok(value) = methods.parse() {
        response.headers_mut().insert(ALLOW, value);
    }
}
