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
//!
//! Nothing here stores, encrypts or decides: a credential is checked and an operation decided by
//! the engine, and what is refused here is refused because the request cannot be understood. No
//! path in this crate opens a file or a socket.

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
use keyhaven_engine::{engine::Engine, federation::Federation};

pub use self::{
    audit::{AuditFilter, AuditFuture, AuditReader, AuditUnavailable},
    events::EventFeed,
    native::openapi,
    reply::{Outcome, Reply},
};
use self::{native::routes::Route, origin::Visit};

/// The largest body that is read, in bytes. A server stops reading there. 1 MiB: a dozen times the
/// largest message in base64, and little enough to hold for each connection.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// What an operator sets. By default nothing is allowed that can be left out.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Origins of web pages that may call the API, each as browsers send it: `https://app.example`.
    /// Compared byte by byte, and with no wildcards; empty means that no page may.
    pub allowed_origins: Vec<String>,
    /// Identity providers whose tokens are believed. None without.
    pub federation: Arc<Federation>,
}

/// Where a request came from, as the server saw it. Made by the server for each request, never read
/// from its headers.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The peer's address. Without a port. Behind a proxy it is the proxy's: forwarding headers are
    /// not believed.
    pub source: Arc<str>,
    /// Names the request in answers, logs and the audit log. Random; a client that could choose it
    /// could point to another's entries.
    pub request_id: Arc<str>,
}

/// All protocols over one engine. Shared by all connections; it has no state of its own.
pub struct Wire {
    engine: Arc<Engine>,
    audit: Arc<dyn AuditReader>,
    settings: Settings,
    /// The table of endpoints, built once.
    routes: Vec<Route>,
}

impl Wire {
    /// The protocols over a started engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>, audit: Arc<dyn AuditReader>, settings: Settings) -> Self {
        Self { engine, audit, settings, routes: native::routes::table() }
    }

    /// Serves one request. The future is to be run to its end even if the client hangs up: dropping
    /// it could drop the record of something done.
    ///
    /// Every outcome is a reply: a refusal is a problem document, and there is no error to handle.
    /// The reply has its headers, the request's id among them; the transport adds only its own.
    pub async fn serve(&self, request: Request<Bytes>, peer: Peer) -> Reply {
        // Before anything else: a foreign page must not even learn which paths there are.
        let visit = Visit::of(request.headers(), &self.settings.allowed_origins);
        let mut reply = match &visit {
            Visit::Foreign => Reply::Whole(native::refuse_origin(&peer)),
            Visit::NoPage | Visit::Page(_) => self.serve_visit(request, &visit, &peer).await,
        };
        // In one place, for answers and refusals alike, so that none is without them.
        reply::finish(reply.headers_mut(), &visit, &peer.request_id);
        reply
    }

    /// Serves a request that did not come from a foreign page.
    async fn serve_visit(&self, request: Request<Bytes>, visit: &Visit, peer: &Peer) -> Reply {
        // A browser asks before it sends (CORS preflight). It shows no credential, so nothing is
        // looked up; without an `Origin` header the method is one like any other.
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
