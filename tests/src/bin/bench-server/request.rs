//! A request, written once and then sent many times.

use keyhaven_tests::device::Device;
use serde_json::Value;

use crate::Outcome;

/// An HTTP POST of a JSON document.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn post(path: &str, document: &Value) -> Self {
        Self { path: path.to_owned(), headers: vec![], body: document.to_string() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Signed by a device, as of now.
    pub(crate) fn signed(self, device: &Device) -> Outcome<Self> {
        let proof = device.prove(("POST", &self.path), &self.body)?;
        Ok(proof.into_iter().fold(self, |request, (name, value)| request.header(name, value)))
    }

    /// The request as it goes over the wire (HTTP/1.1), to `https://host:port`.
    pub(crate) fn text(&self, address: &str) -> String {
        let Self { path, headers, body } = self;
        let host = address.trim_start_matches("https://");
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        )
    }
}
