//! The transport over HTTPS, by `reqwest` on tokio.

use std::{env, fs, time::Duration};

use futures_util::stream;
use reqwest::{Certificate, redirect};

use super::{
    credential::Credential,
    endpoint::Endpoint,
    error::{ArgumentFault, TransportError},
    transport::{Body, BoxFuture, Runtime, Transport},
};

/// HTTP over TLS (rustls). It trusts the system's certificate authorities unless told otherwise, follows no
/// redirect, and goes through no proxy that it was not told of.
pub struct Https(reqwest::Client);

/// For connecting alone: an answer has [`Endpoint::timeout`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Https {
    /// Trusts the system's certificate authorities.
    ///
    /// # Errors
    /// [`ArgumentFault::Certificate`] when there are none.
    pub fn new() -> Result<Self, ArgumentFault> {
        Self::build(reqwest::Client::builder())
    }

    /// Trusts the certificate authorities in `pem`, and no others.
    ///
    /// # Errors
    /// [`ArgumentFault::Certificate`] for what holds none.
    pub fn trusting(pem: &[u8]) -> Result<Self, ArgumentFault> {
        let authorities =
            Certificate::from_pem_bundle(pem).map_err(|_| ArgumentFault::Certificate)?;
        if authorities.is_empty() {
            return Err(ArgumentFault::Certificate);
        }
        Self::build(reqwest::Client::builder().tls_certs_only(authorities))
    }

    /// Takes a client with settings of your own, such as a proxy. It should follow no redirects.
    #[must_use]
    pub const fn from_client(client: reqwest::Client) -> Self {
        Self(client)
    }

    fn build(builder: reqwest::ClientBuilder) -> Result<Self, ArgumentFault> {
        let builder = builder
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT);
        builder.build().map(Self).map_err(|_| ArgumentFault::Certificate)
    }
}

impl Transport for Https {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
        Box::pin(async {
            let request = request.try_into().map_err(TransportError::new)?;
            let response = self.0.execute(request).await.map_err(TransportError::new)?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = stream::try_unfold(response, |mut response| async {
                let piece = response.chunk().await.map_err(TransportError::new)?;
                Ok(piece.map(|piece| (piece, response)))
            });
            let mut answer = http::Response::new(Box::pin(body) as Body);
            *answer.status_mut() = status;
            *answer.headers_mut() = headers;
            Ok(answer)
        })
    }
}

/// Runs the client's tasks on the tokio runtime of whoever calls it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokio;

impl Runtime for Tokio {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

impl Endpoint {
    /// A server over HTTPS, with a certificate that an authority of the system signed.
    ///
    /// # Errors
    /// [`ArgumentFault::Address`], [`ArgumentFault::Certificate`].
    pub fn https(address: &str) -> Result<Self, ArgumentFault> {
        Self::new(address, Https::new()?, Tokio)
    }

    /// The server and the API token that `KEYHAVEN_ADDR`, `KEYHAVEN_CACERT` (a file, if it is set) and
    /// `KEYHAVEN_TOKEN` name, as `keyhaven env` prints them for a server in dev mode.
    ///
    /// # Errors
    /// [`ArgumentFault::Environment`], [`ArgumentFault::Address`], [`ArgumentFault::Certificate`],
    /// [`ArgumentFault::Token`].
    pub fn from_environment() -> Result<(Self, Credential), ArgumentFault> {
        let variable = |name| env::var(name).map_err(|_| ArgumentFault::Environment);
        let https = match env::var_os("KEYHAVEN_CACERT") {
            None => Https::new()?,
            Some(path) => {
                let pem = fs::read(path).map_err(|_| ArgumentFault::Environment)?;
                Https::trusting(&pem)?
            }
        };
        let endpoint = Self::new(&variable("KEYHAVEN_ADDR")?, https, Tokio)?;
        Ok((endpoint, Credential::new(variable("KEYHAVEN_TOKEN")?)?))
    }
}
