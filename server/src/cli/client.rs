//! The HTTP client of the command line: one server, one certificate authority, one token, all from the
//! environment, so that no secret is ever an argument.

use std::{sync::Arc, time::Duration};

use keyhaven_shared::api::problem::Problem;
use serde::{Serialize, de::DeserializeOwned};
use ureq::{
    Agent, Body,
    http::Response,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};
use zeroize::Zeroizing;

use super::error::CliError;

/// A client of one server.
pub(super) struct Client {
    agent: Agent,
    address: String,
    authorization: Zeroizing<String>,
}

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 64 * 1024 * 1024;

impl Client {
    pub(super) fn from_environment() -> Result<Self, CliError> {
        let address = variable("KEYHAVEN_ADDR")?;
        let token = Zeroizing::new(variable("KEYHAVEN_TOKEN")?);
        let roots = match std::env::var("KEYHAVEN_CACERT") {
            Ok(path) => authorities(&path)?,
            Err(_) => return Err(missing("KEYHAVEN_CACERT")),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .proxy(None)
            .build();
        Ok(Self {
            agent: config.new_agent(),
            address: address.trim_end_matches('/').to_owned(),
            authorization: Zeroizing::new(format!("Bearer {}", token.as_str())),
        })
    }

    pub(super) fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, CliError> {
        let request = self.agent.get(self.url(path));
        self.answer(request.header("Authorization", self.authorization.as_str()).call())
    }

    pub(super) fn delete<R: DeserializeOwned>(&self, path: &str) -> Result<R, CliError> {
        let request = self.agent.delete(self.url(path));
        self.answer(request.header("Authorization", self.authorization.as_str()).call())
    }

    pub(super) fn post<B: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<R, CliError> {
        self.send(self.agent.post(self.url(path)), body)
    }

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

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.address)
    }

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

    fn answer<R: DeserializeOwned>(
        &self,
        result: Result<Response<Body>, ureq::Error>,
    ) -> Result<R, CliError> {
        let mut response = result.map_err(|error| self.unreachable(&error))?;
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        let body = Zeroizing::new(body.map_err(|error| self.unreachable(&error))?);
        if response.status().is_success() {
            let body = if body.is_empty() { b"null".as_slice() } else { &body };
            return serde_json::from_slice(body).map_err(|_| self.not_keyhaven(&response));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(CliError::refused(problem)),
            Err(_) => Err(self.not_keyhaven(&response)),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> CliError {
        CliError::new(format_args!("cannot talk to {}: {error}", self.address)).with_next(
            "is the server running, and are KEYHAVEN_ADDR and KEYHAVEN_CACERT right? keyhaven env prints them",
        )
    }

    fn not_keyhaven(&self, response: &Response<Body>) -> CliError {
        let status = response.status();
        CliError::new(format_args!("{} answered {status}, but not as Keyhaven does", self.address))
            .with_next("is KEYHAVEN_ADDR the address of a Keyhaven server of this version?")
    }
}

fn variable(name: &str) -> Result<String, CliError> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> CliError {
    CliError::new(format_args!("{name} is not set"))
        .with_next("for a dev server, run: eval \"$(keyhaven env)\"")
}

/// The certificates of a PEM file, and no others: the system's authorities are not asked.
fn authorities(path: &str) -> Result<RootCerts, CliError> {
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
