//! Which web pages may call. The API uses no cookies, so a foreign page has nothing of the user's to
//! send along; it is refused all the same, before anything else is looked at.

use http::{
    HeaderMap, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
    },
};

/// Who a request's `Origin` header says it comes from.
pub(crate) enum Visit {
    /// No header: no page of a browser, or a page of our own.
    NoPage,
    /// A page that the operator allows.
    Page(HeaderValue),
    /// Any other page, `null` among them.
    Foreign,
}

impl Visit {
    pub(crate) fn of(headers: &HeaderMap, allowed: &[String]) -> Self {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Self::NoPage,
            (Some(origin), None) if is_allowed(origin, allowed) => Self::Page(origin.clone()),
            (Some(_), _) => Self::Foreign,
        }
    }

    /// Tells the browser that this page, and no other, may read the answer.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Self::Page(origin) = self {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let exposed = HeaderValue::from_static("x-request-id");
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// Bytes are compared; `null` is no origin, even if someone lists it.
fn is_allowed(origin: &HeaderValue, allowed: &[String]) -> bool {
    origin != "null" && allowed.iter().any(|known| origin == known.as_str())
}

/// Answers a browser that asks before it sends. Credentials are never mentioned: there are no cookies.
pub(crate) fn allow_preflight(headers: &mut HeaderMap) {
    let wanted = "authorization, content-type, content-digest, signature-input, signature";
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(wanted));
    let methods = HeaderValue::from_static("GET, POST, PUT, DELETE");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}
