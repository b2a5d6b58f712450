//! What went wrong, for a person at a terminal: what happened, the server's code, and the next step.

use std::fmt;

use keyhaven_shared::api::problem::Problem;

use super::snippet::snippet;

/// Why a command failed.
#[derive(Debug)]
pub(super) struct CliError {
    message: String,
    code: Option<String>,
    request_id: Option<String>,
    next: Option<String>,
}

impl CliError {
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), code: None, request_id: None, next: None }
    }

    /// With what to do about it.
    pub(super) fn with_next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    /// With the place in `text` that the message names.
    pub(super) fn with_snippet(mut self, text: &str) -> Self {
        if let Some(snippet) = snippet(&self.message, text) {
            self.message.push_str(&snippet);
        }
        self
    }

    pub(super) fn refused(problem: Problem) -> Self {
        let next = match problem.code.as_str() {
            "unauthenticated" => Some("set KEYHAVEN_TOKEN, or run: eval \"$(keyhaven env)\""),
            "access_denied" => Some("look at the policies with: keyhaven policy list"),
            "not_found" => Some("look at what there is with: keyhaven key list"),
            "unavailable" => Some("look at the server with: keyhaven status"),
            _ => None,
        };
        Self {
            message: problem.detail,
            code: Some(problem.code),
            request_id: Some(problem.request_id),
            next: next.map(ToOwned::to_owned),
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let (Some(code), Some(id)) = (&self.code, &self.request_id) {
            write!(f, "\n  code: {code}, request: {id}")?;
        }
        match &self.next {
            Some(next) => write!(f, "\n  next: {next}"),
            None => Ok(()),
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::new(error)
    }
}
