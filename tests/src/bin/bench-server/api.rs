//! Keyhaven's API as an operator uses it, to set up what is measured.

use std::{fs, path::Path, sync::Arc, time::Duration};

use rustls::crypto::aws_lc_rs;
use serde_json::Value;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{Outcome, request::Request};

/// A client of one server.
pub(crate) struct Api {
    agent: Agent,
    pub(crate) address: String,
    token: String,
}

impl Api {
    pub(crate) fn new(address: String, authority: &Path, token: String) -> Outcome<Self> {
        let authority = Certificate::from_pem(&fs::read(authority)?)?;
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[authority]))
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Ok(Self { agent: agent.into(), address, token })
    }

    /// Asks as the administrator.
    pub(crate) fn post(&self, path: &str, document: &Value) -> Outcome<Value> {
        self.send(&Request::post(path, document).bearer(&self.token))
    }

    /// Puts a policy, as the administrator.
    pub(crate) fn put_policy(&self, name: &str, text: &str) -> Outcome<()> {
        let answer = self
            .agent
            .put(format!("{}/api/v1/policies/{name}", self.address))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/json")
            .send(serde_json::json!({ "text": text }).to_string())?;
        read(answer, "PUT /policies").map(drop)
    }

    /// Sends a prepared request; anything but success is an error.
    pub(crate) fn send(&self, request: &Request) -> Outcome<Value> {
        let mut call = self.agent.post(format!("{}{}", self.address, request.path));
        call = call.header("Content-Type", "application/json");
        for (name, value) in &request.headers {
            call = call.header(*name, value);
        }
        read(call.send(&request.body)?, &request.path)
    }
}

fn read(mut answer: ureq::http::Response<ureq::Body>, what: &str) -> Outcome<Value> {
    let text = answer.body_mut().read_to_string()?;
    if !answer.status().is_success() {
        return Err(format!("{what}: {} {text}", answer.status()).into());
    }
    if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
}

/// A member of an answer that is text.
pub(crate) fn text(document: &Value, name: &str) -> Outcome<String> {
    let member = document.get(name).and_then(Value::as_str);
    Ok(member.ok_or_else(|| format!("no `{name}` in the answer"))?.to_owned())
}
