//! The one error of these commands: what went wrong, and what to do about it.

use std::{fmt, io, path::Path};

/// The result of a step.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// A failure told to a person.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    advice: Option<String>,
}

impl Failure {
    /// A failure that needs no advice beyond its message.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), advice: None }
    }

    /// The same failure, with what to do about it.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// A file or folder that could not be read or written.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        match &self.advice {
            Some(advice) => write!(f, "\n  what to do: {advice}"),
            None => Ok(()),
        }
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::new(error.to_string()).advise("`cargo xtask help` lists the commands")
    }
}
