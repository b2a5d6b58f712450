//! What went wrong, for a person at a terminal: what happened, the server's code, and the next step.

use std::fmt;

use keyhaven_shared::api::problem::Problem;

use super::snippet::snippet;

/// Why a command failed.
#[derive(Debug)]
pub(super) struct CliError {
    /// What happened, in one sentence, and a snippet under it if there is one.
    message: String,
    /// The server's stable code for it; `None` when the command line itself failed.
    code: Option<String>,
    /// The server's id of the request, by which an operator finds it in the audit log.
    request_id: Option<String>,
    /// What to do about it.
    next: Option<String>,
}

impl CliError {
    /// An error of the command line's own, which has no code.
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

    /// Whether it is a refusal that passes, so that the same request may be granted a little later.
    pub(super) fn passes(&self) -> bool {
        let codes = ["unavailable", "outcome_unknown", "rate_limited"];
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// The server's refusal. Next steps are told for the codes that a user can do something about;
    /// a guess for the others would send people the wrong way.
    pub(super) fn refused(problem: Problem) -> Self {
        let next = match problem.code.as_str() {
            "unauthenticated" => Some("set KEYHAVEN_TOKEN, or run: eval \"$(keyhaven env)\""),
            "access_denied" => Some("look at the policies with: keyhaven policy list"),
            "not_found" => Some("look at what there is with: keyhaven key list"),
            "unavailable" => Some("look at the server with: keyhaven status"),
            "quarantined" | "rolled_back" => Some("see what was changed with: keyhaven fsck"),
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
        // The caller escapes the text before it prints it: `detail` comes from the server.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> String {
        let (r#type, title) = ("t".to_owned(), "T".to_owned());
        let (code, detail) = (code.to_owned(), "what happened".to_owned());
        let request_id = "id-1".to_owned();
        CliError::refused(Problem { r#type, title, status: 400, code, detail, request_id })
            .to_string()
    }

    #[test]
    fn a_refusal_is_told_with_its_code_its_request_and_a_next_step() {
        for (code, next) in [
            ("unauthenticated", "set KEYHAVEN_TOKEN, or run: eval \"$(keyhaven env)\""),
            ("access_denied", "look at the policies with: keyhaven policy list"),
            ("not_found", "look at what there is with: keyhaven key list"),
            ("unavailable", "look at the server with: keyhaven status"),
            ("quarantined", "see what was changed with: keyhaven fsck"),
            ("rolled_back", "see what was changed with: keyhaven fsck"),
        ] {
            let expected = format!("what happened\n  code: {code}, request: id-1\n  next: {next}");
            assert_eq!(refused(code), expected);
        }
        for code in ["conflict", "internal", "key_destroyed", "anything new"] {
            let expected = format!("what happened\n  code: {code}, request: id-1");
            assert_eq!(refused(code), expected);
        }
    }

    #[test]
    fn an_error_of_our_own_has_no_code() {
        assert_eq!(CliError::new("no").to_string(), "no");
        let error = CliError::new("no").with_next("do this").with_next("do that");
        assert_eq!(error.to_string(), "no\n  next: do that");
        let io = std::io::Error::new(std::io::ErrorKind::NotFound, "gone");
        assert_eq!(CliError::from(io).to_string(), "gone");
    }

    #[test]
    fn the_snippet_stands_between_message_and_next_step() {
        let error = CliError::new("bad at line 1, column 3: no").with_next("fix it");
        let text = error.with_snippet("abc").to_string();
        assert_eq!(text, "bad at line 1, column 3: no\n     1 | abc\n       |   ^\n  next: fix it");
        assert_eq!(CliError::new("bad").with_snippet("abc").to_string(), "bad");
    }
}
