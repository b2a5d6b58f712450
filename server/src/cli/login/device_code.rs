//! The device authorization grant (RFC 8628): a code is shown here and entered in a browser, wherever that is.

use std::{path::Path, time::Duration};

use serde::Deserialize;
use ureq::Agent;
use zeroize::Zeroizing;

use crate::{
    cli::error::CliError,
    federation::{Endpoint, WebError, web},
};

/// What a provider calls the grant.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The pause between two questions, unless the provider asks for another, and by how much it grows when
/// that is too short (RFC 8628 §3.2, §3.5), in seconds.
const PAUSE_S: u64 = 5;
/// The longest pause, and the longest that is waited for somebody to log in, in seconds.
const LONGEST_PAUSE_S: u64 = 60;
const LONGEST_WAIT_S: u64 = 1800;
/// How many questions in a row may be lost.
const MOST_LOST: u32 = 2;

/// A provider that was found.
pub(super) struct Provider {
    agent: Agent,
    device_endpoint: String,
    token_endpoint: String,
}

/// What is asked for.
pub(super) struct Asked {
    pub(super) client_id: String,
    pub(super) scope: String,
    pub(super) resource: Option<String>,
    pub(super) audience: Option<String>,
}

/// A code that somebody is to enter.
pub(super) struct Code {
    /// Where.
    pub(super) address: String,
    /// The code.
    pub(super) user_code: String,
    device_code: Zeroizing<String>,
    client_id: String,
    resource: Option<String>,
    pause_s: u64,
    wait_s: u64,
}

/// What is read of the provider's document (OpenID Connect Discovery 1.0, RFC 8628 §4).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
}

/// RFC 8628 §3.2.
#[derive(Deserialize)]
struct CodeJson {
    device_code: String,
    user_code: String,
    verification_uri: String,
    #[serde(default)]
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

/// RFC 6749 §5.1.
#[derive(Deserialize)]
struct TokenJson {
    access_token: String,
    token_type: String,
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct ErrorJson {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

/// What one question for the token came to.
enum Answer {
    Token(Zeroizing<String>),
    NotYet,
    Slower,
}

/// Why one question for the token has no answer.
enum Failure {
    /// The connection broke.
    Lost(WebError),
    /// There is no use in asking again.
    Over(CliError),
}

impl Provider {
    /// Reads the provider's document. What it leads to must be where it is itself, as on the server.
    ///
    /// # Errors
    /// It cannot be had, is another issuer's, or names no place for devices to log in.
    pub(super) fn discover(issuer: &str, ca: &Path) -> Result<Self, CliError> {
        let endpoint = Endpoint::parse(issuer).filter(|found| found.tls || found.is_loopback());
        let endpoint = endpoint.ok_or_else(|| {
            CliError::new("--issuer is no https URL")
                .with_next("give it as the server's configuration has it, such as https://login.example/realms/staff")
        })?;
        // Over plain HTTP, which is for tests on one machine, nobody vouches for anybody.
        let authorities = endpoint.tls.then_some(ca);
        let agent = web::agent(&endpoint, authorities).map_err(CliError::new)?;
        let url = web::discovery_url(issuer);
        let document = agent.get(&url).call().map_err(WebError::from).and_then(web::document);
        let found: Discovery = document
            .and_then(|document| web::json(&document))
            .map_err(|error| unreachable(&url, &error))?;
        if found.issuer != issuer {
            return Err(CliError::new("the document at --issuer names another issuer").with_next(
                "give --issuer byte for byte as the tokens have it, also its last slash",
            ));
        }
        let device_endpoint = found.device_authorization_endpoint.ok_or_else(|| {
            CliError::new("this provider lets no devices log in (RFC 8628)").with_next(
                "enable its device flow, or set KEYHAVEN_TOKEN to a token that you got elsewhere",
            )
        })?;
        let token_endpoint = found.token_endpoint;
        if [&device_endpoint, &token_endpoint]
            .iter()
            .any(|url| Endpoint::parse(url).as_ref() != Some(&endpoint))
        {
            return Err(CliError::new(
                "the provider's document leads to another host or port, which is not followed",
            ));
        }
        Ok(Self { agent, device_endpoint, token_endpoint })
    }

    /// Asks for a code.
    ///
    /// # Errors
    /// The provider refuses, or cannot be reached.
    pub(super) fn ask(&self, asked: Asked) -> Result<Code, CliError> {
        let Asked { client_id, scope, resource, audience } = asked;
        let mut form = vec![("client_id", client_id.as_str()), ("scope", scope.as_str())];
        form.extend(resource.as_deref().map(|resource| ("resource", resource)));
        form.extend(audience.as_deref().map(|audience| ("audience", audience)));
        let failed = |error: WebError| unreachable(&self.device_endpoint, &error);
        let (status, body) = self.post(&self.device_endpoint, &form).map_err(failed)?;
        if status != 200 {
            return Err(refused(&body, status));
        }
        let code: CodeJson = web::json(&body).map_err(failed)?;
        let address = code.verification_uri_complete.unwrap_or(code.verification_uri);
        // Somebody is to type a password there.
        if !address.starts_with("https://") && self.device_endpoint.starts_with("https://") {
            return Err(CliError::new("the provider's page to log in at is not on https"));
        }
        Ok(Code {
            address,
            user_code: code.user_code,
            device_code: Zeroizing::new(code.device_code),
            client_id,
            resource,
            pause_s: code.interval.unwrap_or(PAUSE_S).clamp(1, LONGEST_PAUSE_S),
            wait_s: code.expires_in.min(LONGEST_WAIT_S),
        })
    }

    /// Asks again and again until somebody has logged in.
    ///
    /// # Errors
    /// They refused, or did not come; or the provider refuses.
    pub(super) fn wait(
        &self,
        code: &Code,
        sleep: impl Fn(Duration),
    ) -> Result<Zeroizing<String>, CliError> {
        let (mut pause_s, mut waited_s, mut lost) = (code.pause_s, 0, 0);
        while waited_s < code.wait_s {
            sleep(Duration::from_secs(pause_s));
            waited_s += pause_s;
            match self.question(code) {
                Ok(Answer::Token(token)) => return Ok(token),
                Ok(Answer::NotYet) => lost = 0,
                Ok(Answer::Slower) => {
                    (lost, pause_s) = (0, (pause_s + PAUSE_S).min(LONGEST_PAUSE_S));
                }
                // A connection that broke is no decision (RFC 8628 §3.5); a provider that is gone is one.
                Err(Failure::Lost(_)) if lost < MOST_LOST => lost += 1,
                Err(Failure::Lost(error)) => return Err(unreachable(&self.token_endpoint, &error)),
                Err(Failure::Over(error)) => return Err(error),
            }
        }
        Err(CliError::new("nobody logged in while the code was good")
            .with_next("run keyhaven login again"))
    }

    fn question(&self, code: &Code) -> Result<Answer, Failure> {
        let device_code = code.device_code.as_str();
        let mut form = vec![
            ("grant_type", GRANT),
            ("device_code", device_code),
            ("client_id", code.client_id.as_str()),
        ];
        // Which of the granted resources the token is for (RFC 8707 §2.2).
        form.extend(code.resource.as_deref().map(|resource| ("resource", resource)));
        let (status, body) = self.post(&self.token_endpoint, &form).map_err(Failure::Lost)?;
        if status == 200 {
            return self.token(&body).map(Answer::Token).map_err(Failure::Over);
        }
        match serde_json::from_slice::<ErrorJson>(&body).map(|answer| answer.error).as_deref() {
            Ok("authorization_pending") => Ok(Answer::NotYet),
            Ok("slow_down") => Ok(Answer::Slower),
            _ => Err(Failure::Over(refused(&body, status))),
        }
    }

    fn token(&self, body: &[u8]) -> Result<Zeroizing<String>, CliError> {
        let read = web::json(body).map_err(|error| unreachable(&self.token_endpoint, &error))?;
        let TokenJson { access_token, token_type } = read;
        let token = Zeroizing::new(access_token);
        if token_type.eq_ignore_ascii_case("bearer") {
            return Ok(token);
        }
        Err(CliError::new("the provider gave a token of a kind that the server does not take")
            .with_next("have it issue bearer tokens to this client"))
    }

    /// Sends a form. The answer may have a token in it: it is wiped.
    fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<(u16, Zeroizing<Vec<u8>>), WebError> {
        let request = self.agent.post(url).header("Accept", "application/json");
        let response = request.send_form(form.iter().copied())?;
        let status = response.status().as_u16();
        Ok((status, Zeroizing::new(web::body(response)?)))
    }
}

/// The provider cannot be spoken to.
fn unreachable(url: &str, error: &WebError) -> CliError {
    CliError::new(format_args!("cannot talk to the identity provider at {url}: {error}"))
        .with_next("is --issuer right, and does --ca name the authority that vouches for it?")
}

/// The provider refused, in its own words.
fn refused(body: &[u8], status: u16) -> CliError {
    match serde_json::from_slice(body) {
        Ok(ErrorJson { error, error_description }) => {
            let why = error_description.map(|why| format!(": {why}")).unwrap_or_default();
            let refused =
                CliError::new(format_args!("the identity provider refuses: {error}{why}"));
            match error.as_str() {
                "expired_token" | "access_denied" => refused.with_next("run keyhaven login again"),
                _ => refused.with_next("look at how --client-id is registered there: it needs the device flow, as a public client"),
            }
        }
        Err(_) => {
            CliError::new(format_args!("the identity provider answered with the status {status}"))
        }
    }
}

#[cfg(test)]
mod tests;
