//! The protocols: bytes in → engine → bytes out. One request falls through these files in this order:
//!
//! 1. [`Wire::serve`] below: the origin is checked, the protocol chosen, and every answer gets its headers;
//! 2. [`native`]: route → authenticate → decode → execute → encode, once for all endpoints;
//! 3. `native/routes.rs`: the table of endpoints, and `native/convert/`: their documents in the engine's
//!    terms, both directions side by side;
//! 4. back out as a document, as an [`EventFeed`], or as a problem out of `native/error.rs`.
//!
//! An endpoint is a line in the table. What it accepts, its OpenAPI description and its tests come from
//! that line.

mod audit;
mod events;
mod native;
mod origin;
mod reply;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use keyhaven_engine::engine::Engine;

pub use self::{
    audit::{AuditFilter, AuditFuture, AuditReader, AuditUnavailable},
    events::EventFeed,
    native::openapi,
    reply::{Outcome, Reply},
};
use self::{native::routes::Route, origin::Visit};

/// The largest body that is read, in bytes. A server stops reading there.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// What an operator sets.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Origins of web pages that may call the API, each as browsers send it: `https://app.example`.
    pub allowed_origins: Vec<String>,
}

/// Where a request came from, as the server saw it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The peer's address.
    pub source: Arc<str>,
    /// Names the request in answers, logs and the audit log.
    pub request_id: Arc<str>,
}

/// All protocols over one engine.
pub struct Wire {
    engine: Arc<Engine>,
    audit: Arc<dyn AuditReader>,
    settings: Settings,
    routes: Vec<Route>,
}

impl Wire {
    /// The protocols over a started engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>, audit: Arc<dyn AuditReader>, settings: Settings) -> Self {
        Self { engine, audit, settings, routes: native::routes::table() }
    }

    /// Serves one request. The future is to be run to its end even if the client hangs up: dropping it
    /// could drop the record of something done.
    pub async fn serve(&self, request: Request<Bytes>, peer: Peer) -> Reply {
        let visit = Visit::of(request.headers(), &self.settings.allowed_origins);
        let mut reply = match &visit {
            Visit::Foreign => Reply::Whole(native::refuse_origin(&peer)),
            Visit::NoPage | Visit::Page(_) => self.serve_visit(request, &visit, &peer).await,
        };
        reply::finish(reply.headers_mut(), &visit, &peer.request_id);
        reply
    }

    async fn serve_visit(&self, request: Request<Bytes>, visit: &Visit, peer: &Peer) -> Reply {
        if let Visit::Page(_) = visit
            && request.method() == http::Method::OPTIONS
        {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = http::StatusCode::NO_CONTENT;
            origin::allow_preflight(response.headers_mut());
            return Reply::Whole(response);
        }
        native::serve(self, request, peer).await
    }
}
