//! Requests to the native API, and its answers.

use std::time::Duration;

use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    credential::Credential,
    documents::Problem,
    endpoint::Endpoint,
    error::{Error, IntegrityFault, Refusal},
    proof::Signer,
    transport::Body,
};

/// What a request shows.
#[derive(Clone, Copy)]
pub(crate) enum Shown<'a> {
    /// An API token.
    Token(&'a Credential),
    /// A ticket, or an enrolment token, and a device's proof.
    Pass(Scheme, &'a Credential, Signer<'a>),
    /// A device's proof alone.
    Device(Signer<'a>),
}

impl Shown<'_> {
    /// The same, signed so much later.
    fn dated(self, later: Duration) -> Self {
        let dated = |Signer { keys, created }| Signer {
            keys,
            created: created.saturating_add(later.as_secs()),
        };
        match self {
            Self::Token(token) => Self::Token(token),
            Self::Pass(scheme, pass, signer) => Self::Pass(scheme, pass, dated(signer)),
            Self::Device(signer) => Self::Device(dated(signer)),
        }
    }
}

/// How `Authorization` names a credential that a proof must accompany.
#[derive(Clone, Copy)]
pub(crate) enum Scheme {
    Ticket,
    Enrolment,
}

/// The paths of the native API begin so.
const BASE: &str = "/api/v1";
/// No document of this API is longer.
const MAX_ANSWER: usize = 256 * 1024;
/// The server's word for a proof dated below what it remembers.
const PROOF_TOO_OLD: &str = "device_proof_too_old";
/// So much later the second proof is dated, for clocks that are behind. The server takes five minutes either way.
const LATER: Duration = Duration::from_mins(1);
/// What is known to be enough for an answer with a data key: so that no growing buffer leaves copies.
const KEY_ANSWER: usize = 32 * 1024;

/// Posts a document, gives the answer's. Takes no longer than the endpoint waits.
///
/// # Errors
/// [`Error::Refused`] when the server, or a proxy before it, says no; [`Error::Network`] when no whole answer
/// came; [`IntegrityFault::Answer`] when it is not the document that the API describes.
pub(crate) async fn post<A: DeserializeOwned>(
    endpoint: &Endpoint,
    path: &str,
    document: &(impl Serialize + Sync),
    shown: Shown<'_>,
) -> Result<A, Error> {
    let body = serde_json::to_vec(document).map_err(|_| IntegrityFault::Answer)?;
    let exchange = async {
        let response = ask(endpoint, (Method::POST, path), &body, shown).await?;
        read(response.into_body()).await
    };
    let answer = endpoint.exchange(exchange).await?;
    Ok(serde_json::from_slice(&answer).map_err(|_| IntegrityFault::Answer)?)
}

/// Opens a stream of server-sent events. Its head takes no longer than the endpoint waits.
///
/// # Errors
/// As [`post`].
pub(crate) async fn events(
    endpoint: &Endpoint,
    path: &str,
    shown: Shown<'_>,
) -> Result<Body, Error> {
    let exchange = ask(endpoint, (Method::GET, path), &[], shown);
    endpoint.exchange(exchange).await.map(Response::into_body)
}

/// Asks. A request whose date the server may have forgotten is signed again, once: nothing else of it was
/// looked at.
async fn ask(
    endpoint: &Endpoint,
    (method, path): (Method, &str),
    body: &[u8],
    shown: Shown<'_>,
) -> Result<Response<Body>, Error> {
    let begun = endpoint.runtime().moment();
    let first = request(endpoint, (method.clone(), path), body.to_vec(), shown)?;
    match send(endpoint, first).await {
        Err(Error::Refused(refusal)) if refusal.code == PROOF_TOO_OLD => {
            let later = endpoint.runtime().moment().since(begun) + LATER;
            let second = request(endpoint, (method, path), body.to_vec(), shown.dated(later))?;
            send(endpoint, second).await
        }
        answer => answer,
    }
}

/// Builds a request: what it shows, in the form that the server expects.
fn request(
    endpoint: &Endpoint,
    (method, path): (Method, &str),
    body: Vec<u8>,
    shown: Shown<'_>,
) -> Result<Request<Vec<u8>>, Error> {
    let target = format!("{BASE}{path}");
    let mut headers = HeaderMap::new();
    let accepted = if method == Method::GET { "text/event-stream" } else { "application/json" };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accepted));
    if method != Method::GET {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let (authorization, signer) = match shown {
        Shown::Token(token) => (Some(token.header("Bearer")?), None),
        Shown::Pass(scheme, pass, signer) => (Some(pass.header(scheme.name())?), Some(signer)),
        Shown::Device(signer) => (None, Some(signer)),
    };
    if let Some(authorization) = authorization {
        headers.insert(header::AUTHORIZATION, authorization);
    }
    if let Some(signer) = signer {
        // The path is signed as the server sees it, without a relay's prefix.
        headers.extend(signer.headers(method.as_str(), &target, &body)?);
    }
    let mut request = Request::new(body);
    let uri = format!("{}{target}", endpoint.base()).parse();
    *request.uri_mut() = uri.map_err(|_| super::error::ArgumentFault::Address)?;
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    Ok(request)
}

impl Scheme {
    /// The scheme's name in the header (RFC 9110 §11.4).
    const fn name(self) -> &'static str {
        match self {
            Self::Ticket => "Keyhaven-Ticket",
            Self::Enrolment => "Keyhaven-Enrolment",
        }
    }
}

/// Sends a request; anything but success is an error.
async fn send(endpoint: &Endpoint, request: Request<Vec<u8>>) -> Result<Response<Body>, Error> {
    let response = endpoint.transport().send(request).await.map_err(Error::Network)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    // A refusal that is no problem document, such as a proxy's page, is still a refusal: its status is told.
    let problem = read(response.into_body()).await.ok();
    let problem = problem.and_then(|text| serde_json::from_slice::<Problem>(&text).ok());
    let unknown = || Problem {
        code: "http_error".to_owned(),
        detail: format!("the answer has status {}", status.as_u16()),
        request_id: String::new(),
    };
    let Problem { code, detail, request_id } = problem.unwrap_or_else(unknown);
    let refusal = Refusal { status: status.as_u16(), code, detail, request_id };
    Err(Error::Refused(refusal.into()))
}

/// Reads a document, but no more than a document of this API can have.
async fn read(mut body: Body) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_ANSWER));
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(Error::Network)?;
        if bytes.len().saturating_add(piece.len()) > MAX_ANSWER {
            return Err(IntegrityFault::Answer.into());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
