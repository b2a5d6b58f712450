//! The HTTP client of the command line: one server, one certificate authority, one token, all from the
//! environment, so that no secret is ever an argument.
//!
//! It speaks to the address it was given and to no other: proxy settings of the environment are
//! ignored and the system's certificate authorities are not trusted, for each of them would be one
//! more party that could read the token.

use std::{sync::Arc, time::Duration};

use keyhaven_shared::api::problem::Problem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};
use ureq::{
    Agent, Body,
    http::Response,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};
use zeroize::Zeroizing;

use super::{
    attempts::{self, Attempt},
    error::CliError,
    login,
};

/// A client of one server.
pub(super) struct Client {
    /// Keeps the connections, with the TLS configuration.
    agent: Agent,
    /// The server's URL, without a slash at its end.
    address: String,
    /// The value of the `Authorization` header (RFC 6750 §2.1), wiped when the client is dropped.
    authorization: Zeroizing<String>,
}

/// The longest answer that is read, in bytes.
/// A list comes in pages far shorter than this; the bound keeps a false server from filling the
/// memory.
const LONGEST_ANSWER: u64 = 64 * 1024 * 1024;

impl Client {
    /// A client as `KEYHAVEN_ADDR`, `KEYHAVEN_CACERT` and `KEYHAVEN_TOKEN` say. All three are
    /// needed, but for a token where somebody logged in. It does not connect yet.
    ///
    /// # Errors
    /// One is not set, or the authority's file holds no certificate.
    pub(super) fn from_environment() -> Result<Self, CliError> {
        let address = address()?;
        // A token that is set wins, so that a script is nobody else because somebody logged in here.
        let token = match variable("KEYHAVEN_TOKEN") {
            Ok(token) => Zeroizing::new(token),
            Err(missing) => login::token_for(&address)?.ok_or_else(|| {
                missing.with_next("for a dev server, run: eval \"$(keyhaven env)\"; to log in at an identity provider: keyhaven login --help")
            })?,
        };
        let roots = match std::env::var("KEYHAVEN_CACERT") {
            Ok(path) => authorities(&path)?,
            // Without it there is no fallback to the system's authorities: whom to trust is said,
            // not guessed.
            Err(_) => return Err(missing("KEYHAVEN_CACERT")),
        };
        Ok(Self {
            agent: agent(Some(roots), Duration::from_secs(60)),
            address,
            authorization: Zeroizing::new(format!("Bearer {}", token.as_str())),
        })
    }

    /// Reads a document of the API. `path` begins with a slash and comes after `/api/v1`.
    pub(super) fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, CliError> {
        let request = self.agent.get(self.url(path));
        self.answer(request.header("Authorization", self.authorization.as_str()).call())
    }

    /// Removes something. An answer without a body is read as `null`, so `R` may be `()`.
    pub(super) fn delete<R: DeserializeOwned>(&self, path: &str) -> Result<R, CliError> {
        let request = self.agent.delete(self.url(path));
        self.answer(request.header("Authorization", self.authorization.as_str()).call())
    }

    /// Sends a document and reads the answer. Nothing is repeated after an error: whether the
    /// server acted may not be known, and its audit log tells.
    pub(super) fn post<B: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<R, CliError> {
        self.send(self.agent.post(self.url(path)), body)
    }

    /// As [`Self::post`], for what makes something: it bears an idempotency key, so it is sent again when
    /// the connection breaks or the server cannot do it just now, and done once.
    pub(super) fn make<B: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<R, CliError> {
        self.send_until_over(|| self.agent.post(self.url(path)), body)
    }

    /// As [`Self::make`], for what has the name that it is given.
    pub(super) fn make_named<B: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<R, CliError> {
        self.send_until_over(|| self.agent.put(self.url(path)), body)
    }

    /// As [`Self::post`], for what can be sent again and again to the same end.
    pub(super) fn put<B: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<R, CliError> {
        self.send(self.agent.put(self.url(path)), body)
    }

    /// The status of a page that is not in the API, such as `/readyz`, and its text.
    pub(super) fn page(&self, path: &str) -> Result<(u16, String), CliError> {
        let request = self.agent.get(format!("{}{path}", self.address));
        let mut response = request
            .header("Authorization", self.authorization.as_str())
            .call()
            .map_err(|error| self.unreachable(&error))?;
        let text = response.body_mut().read_to_string().map_err(CliError::new)?;
        Ok((response.status().as_u16(), text))
    }

    /// The URL of a path of the API.
    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.address)
    }

    /// Sends a document as JSON. This copy is wiped after it was sent: it may be a plaintext.
    fn send<B: Serialize, R: DeserializeOwned>(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &B,
    ) -> Result<R, CliError> {
        let body = Zeroizing::new(serde_json::to_vec(body).map_err(CliError::new)?);
        let request = request
            .header("Authorization", self.authorization.as_str())
            .header("Content-Type", "application/json");
        self.answer(request.send(body.as_slice()))
    }

    /// Sends a document with an idempotency key until it is decided.
    fn send_until_over<B: Serialize, R: DeserializeOwned>(
        &self,
        request: impl Fn() -> ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &B,
    ) -> Result<R, CliError> {
        let body = Zeroizing::new(serde_json::to_vec(body).map_err(CliError::new)?);
        let key = attempts::make_key()?;
        attempts::until_over(|first| {
            let sent = request()
                .header("Authorization", self.authorization.as_str())
                .header("Content-Type", "application/json")
                .header("Idempotency-Key", &key)
                .send(body.as_slice());
            let lost = sent.as_ref().is_err_and(|error| attempts::is_lost(error, first));
            let asked = sent.as_ref().ok().and_then(retry_after);
            let answer = self.answer(sent);
            let passes = answer.as_ref().is_err_and(CliError::passes);
            if lost || passes { Attempt::Again(answer, asked) } else { Attempt::Over(answer) }
        })
    }

    /// What the server said: the document, or its problem (RFC 9457) as an error.
    fn answer<R: DeserializeOwned>(
        &self,
        result: Result<Response<Body>, ureq::Error>,
    ) -> Result<R, CliError> {
        let mut response = result.map_err(|error| self.unreachable(&error))?;
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        // It may be a plaintext or a token, so this copy of it is wiped, too.
        let body = Zeroizing::new(body.map_err(|error| self.unreachable(&error))?);
        if response.status().is_success() {
            let body = if body.is_empty() { b"null".as_slice() } else { &body };
            return serde_json::from_slice(body).map_err(|_| self.not_keyhaven(&response));
        }
        // Whatever else listens at the address (a proxy, another program) answers errors in its own
        // form. Its text is not repeated: it is nobody's message.
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(CliError::refused(problem)),
            Err(_) => Err(self.not_keyhaven(&response)),
        }
    }

    /// No answer came: no connection, no trust in the certificate, or the minute is over.
    fn unreachable(&self, error: &ureq::Error) -> CliError {
        CliError::new(format_args!("cannot talk to {}: {error}", self.address)).with_next(
            "is the server running, and are KEYHAVEN_ADDR and KEYHAVEN_CACERT right? keyhaven env prints them",
        )
    }

    /// An answer came that is no document of the API.
    fn not_keyhaven(&self, response: &Response<Body>) -> CliError {
        let status = response.status();
        CliError::new(format_args!("{} answered {status}, but not as Keyhaven does", self.address))
            .with_next("is KEYHAVEN_ADDR the address of a Keyhaven server of this version?")
    }
}

/// How long the server asks to wait, in the header's form in seconds (RFC 9110 §10.2.3).
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let value = response.headers().get("retry-after")?.to_str().ok()?;
    value.parse().ok().map(Duration::from_secs)
}

/// An agent that trusts these authorities and no others; `None` for what is not spoken to by TLS.
pub(super) fn agent(roots: Option<RootCerts>, patience: Duration) -> Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(roots.unwrap_or_else(|| RootCerts::new_with_certs(&[])))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        // A refusal has a document that says why; as an error its body would be lost.
        .http_status_as_error(false)
        .timeout_global(Some(patience))
        // A proxy named in the environment would be handed the token in a header.
        .proxy(None)
        .build()
        .new_agent()
}

/// The server's URL, without a slash at its end.
///
/// # Errors
/// It is not set.
pub(super) fn address() -> Result<String, CliError> {
    Ok(variable("KEYHAVEN_ADDR")?.trim_end_matches('/').to_owned())
}

/// A variable of the environment. Empty counts as not set, as with `KEYHAVEN_TOKEN= keyhaven …`.
fn variable(name: &str) -> Result<String, CliError> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| missing(name))
}

/// A variable that is needed is not set.
fn missing(name: &str) -> CliError {
    CliError::new(format_args!("{name} is not set"))
        .with_next("for a dev server, run: eval \"$(keyhaven env)\"")
}

/// The certificates of a PEM file, and no others: the system's authorities are not asked.
pub(super) fn authorities(path: &str) -> Result<RootCerts, CliError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        CliError::new(format_args!("cannot read the CA certificate `{path}`: {error}"))
            .with_next("KEYHAVEN_CACERT names the PEM file of the authority that signed the server's certificate")
    };
    let pem = std::fs::read(path).map_err(|error| unreadable(&error))?;
    let items: Result<Vec<PemItem<'static>>, _> = parse_pem(&pem).collect();
    let certificates: Vec<Certificate<'static>> = items
        .map_err(|error| unreadable(&error))?
        .into_iter()
        .filter_map(|item| if let PemItem::Certificate(one) = item { Some(one) } else { None })
        .collect();
    if certificates.is_empty() {
        return Err(unreadable(&"there is no certificate in it"));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// What does not stand in a segment of a path, or a value of a query, as it is (RFC 3986 §3.3, §3.4).
const SPECIAL: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'@');

/// A name as one segment of a path: whatever stands in it asks no other route.
pub(super) fn segment(name: &str) -> String {
    utf8_percent_encode(name, SPECIAL).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_asks_another_route() {
        for same in ["photos", "app:photos", "a.b_c-d~e", "me@example.com"] {
            assert_eq!(segment(same), same);
        }
        for (name, path) in [
            ("a?b", "a%3Fb"),
            ("../x", "..%2Fx"),
            ("a#b", "a%23b"),
            ("a&keyring=b", "a%26keyring%3Db"),
            ("ä %2F", "%C3%A4%20%252F"),
        ] {
            assert_eq!(segment(name), path);
        }
    }
}
