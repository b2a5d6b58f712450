//! What goes back.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS},
};

use crate::{events::EventFeed, origin::Visit};

/// What a request came to: `ok`, or the refusal's code. It is among an answer's extensions, for the
/// server's counters, and beside it the `Operation` where the request named one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome(pub &'static str);

/// The answer to a request.
pub enum Reply {
    /// A whole response.
    Whole(Response<Bytes>),
    /// A response whose body goes on: server-sent events.
    Events(EventFeed),
}

impl Reply {
    /// Notes what the server's counters want to know.
    pub(crate) fn note<T: Clone + Send + Sync + 'static>(&mut self, note: T) {
        match self {
            Self::Whole(response) => response.extensions_mut().insert(note),
            Self::Events(feed) => feed.extensions_mut().insert(note),
        };
    }

    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        match self {
            Self::Whole(response) => response.headers_mut(),
            Self::Events(feed) => feed.headers_mut(),
        }
    }
}

/// The headers that every answer has: nothing is cached, sniffed, framed or run.
pub(crate) fn finish(headers: &mut HeaderMap, visit: &Visit, request_id: &str) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(CONTENT_SECURITY_POLICY, nothing);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", id);
    }
    visit.mark(headers);
}
