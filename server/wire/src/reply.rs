//! What goes back.
//!
//! An answer is made by a protocol and finished here. It may hold plaintext, so it must not be kept
//! anywhere on the way, nor be run by a browser that shows it.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS},
};

use crate::{events::EventFeed, origin::Visit};

/// What a request came to: `ok`, or the refusal's code. It is among an answer's extensions, for the
/// server's counters, and beside it the `Operation` where the request named one. One of a small,
/// fixed set of words: nothing that a client sends becomes a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome(pub &'static str);

/// The answer to a request. Whichever it is, status and headers are complete.
pub enum Reply {
    /// A whole response. Its body is wiped after sending.
    Whole(Response<Bytes>),
    /// A response whose body goes on: server-sent events.
    Events(EventFeed),
}

impl Reply {
    /// Notes what the server's counters want to know. Not sent: extensions of a response stay in
    /// the process.
    pub(crate) fn note<T: Clone + Send + Sync + 'static>(&mut self, note: T) {
        match self {
            Self::Whole(response) => response.extensions_mut().insert(note),
            Self::Events(feed) => feed.extensions_mut().insert(note),
        };
    }

    /// The headers, of whichever sort.
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        match self {
            Self::Whole(response) => response.headers_mut(),
            Self::Events(feed) => feed.headers_mut(),
        }
    }
}

/// The headers that every answer has: nothing is cached, sniffed, framed or run.
///
/// Also on refusals: their text goes to the same browsers and caches.
pub(crate) fn finish(headers: &mut HeaderMap, visit: &Visit, request_id: &str) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // `no-store`, not `no-cache`: an answer with a key in it must not be written to a disk.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // For a browser that is sent to an answer: whatever it takes it for, it loads and runs nothing.
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(CONTENT_SECURITY_POLICY, nothing);
    // The server's ids are always header text; one that were not is left out, not replaced.
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", id);
    }
    visit.mark(headers);
}
