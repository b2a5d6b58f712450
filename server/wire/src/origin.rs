//! Which web pages may call. The API uses no cookies, so a foreign page has nothing of the user's to
//! send along; it is refused all the same, before anything else is looked at.
//!
//! `Origin` is set by browsers and cannot be set by a page (Fetch standard). Whoever is no browser
//! can write what it likes into it, and gains nothing: this is a bound on pages, not a credential.

use http::{
    HeaderMap, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
    },
};

/// Who a request's `Origin` header says it comes from. Each request is one of these three; there is
/// no fourth that is let through by mistake.
pub(crate) enum Visit {
    /// No header: no page of a browser, or a page of our own. Browsers leave it out of same-origin
    /// reads, and of what a page embeds and cannot read.
    NoPage,
    /// A page that the operator allows. With the header as it came, to be given back.
    Page(HeaderValue),
    /// Any other page, `null` among them. Also a request with two such headers: which of them
    /// counts is not guessed.
    Foreign,
}

impl Visit {
    /// Reads the header against the operator's list.
    pub(crate) fn of(headers: &HeaderMap, allowed: &[String]) -> Self {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Self::NoPage,
            (Some(origin), None) if is_allowed(origin, allowed) => Self::Page(origin.clone()),
            (Some(_), _) => Self::Foreign,
        }
    }

    /// Tells the browser that this page, and no other, may read the answer. Never a wildcard, never
    /// credentials. `Vary` is there in every case: a cache that kept the answer to one origin must
    /// not give it to another.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Self::Page(origin) = self {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            // So that a page can show its user the id to report.
            let exposed = HeaderValue::from_static("x-request-id");
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// Bytes are compared: no parsing, no default port, no case. `null` is no origin, even if someone
/// lists it: sandboxed frames and local files of anybody send it.
fn is_allowed(origin: &HeaderValue, allowed: &[String]) -> bool {
    origin != "null" && allowed.iter().any(|known| origin == known.as_str())
}

/// Answers a browser that asks before it sends. Credentials are never mentioned: there are no
/// cookies. The same for every path, known or not. What is allowed is what the API uses, and no
/// more.
pub(crate) fn allow_preflight(headers: &mut HeaderMap) {
    let wanted = "authorization, content-type, content-digest, signature-input, signature";
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(wanted));
    let methods = HeaderValue::from_static("GET, POST, PUT, DELETE");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    // Ten minutes: an origin that the operator takes off the list is soon asked about again.
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(origins: &[&[u8]], allowed: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_bytes(origin).unwrap());
        }
        let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        match Visit::of(&headers, &allowed) {
            Visit::NoPage => "no page",
            Visit::Page(page) => {
                assert_eq!(page, HeaderValue::from_bytes(origins[0]).unwrap());
                "page"
            }
            Visit::Foreign => "foreign",
        }
    }

    #[test]
    fn an_origin_is_allowed_byte_for_byte_or_not_at_all() {
        let allowed = ["https://app.example", "http://localhost:5173", "null", "*"];
        for (origin, expected) in [
            ("https://app.example", "page"),
            ("http://localhost:5173", "page"),
            ("https://app.example/", "foreign"),
            ("https://app.example:443", "foreign"),
            ("https://APP.example", "foreign"),
            ("HTTPS://app.example", "foreign"),
            ("http://app.example", "foreign"),
            ("https://app.example.evil", "foreign"),
            ("https://evil-app.example", "foreign"),
            ("https://sub.app.example", "foreign"),
            ("https://app.example@evil", "foreign"),
            (" https://app.example", "foreign"),
            ("https://app.example,https://app.example", "foreign"),
            ("http://localhost", "foreign"),
            ("http://localhost:51730", "foreign"),
            ("http://127.0.0.1:5173", "foreign"),
            ("https://xn--pp-example", "foreign"),
            ("null", "foreign"),
            ("Null", "foreign"),
            ("", "foreign"),
        ] {
            assert_eq!(visit(&[origin.as_bytes()], &allowed), expected, "{origin:?}");
        }
        assert_eq!(visit(&[b"https://app.example\xff"], &allowed), "foreign");
    }

    #[test]
    fn without_a_list_every_page_is_foreign_and_no_page_is_none() {
        assert_eq!(visit(&[], &[]), "no page");
        for origin in ["https://app.example", "null", "", "*"] {
            assert_eq!(visit(&[origin.as_bytes()], &[]), "foreign", "{origin:?}");
        }
        let app: &[u8] = b"https://app.example";
        assert_eq!(visit(&[app, app], &["https://app.example"]), "foreign", "twice");
    }

    #[test]
    fn only_an_allowed_page_may_read_the_answer_and_caches_know() {
        for (visit, allowed) in [
            (Visit::NoPage, None),
            (Visit::Foreign, None),
            (Visit::Page(HeaderValue::from_static("https://a.example")), Some("https://a.example")),
        ] {
            let mut headers = HeaderMap::new();
            visit.mark(&mut headers);
            assert_eq!(headers["vary"], "Origin");
            let marked = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(marked.map(|origin| origin.to_str().unwrap()), allowed);
            assert_eq!(headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS), allowed.is_some());
            assert!(!headers.contains_key("access-control-allow-credentials"));
        }
    }
}
