//! What can go wrong, by who must act.

mod faults;

use std::{error::Error as StdError, fmt, io, sync::Arc};

use keyhaven_shared::{context::ContextError, ids::KeyId, message::MessageError};

pub use self::faults::{ArgumentFault, IntegrityFault, LeaseEnd, UnsupportedFault};
use crate::entropy::NoRandomness;

/// Any failure of the client. Branch on the variant, or on [`Error::code`], which is stable and the same
/// word as in the npm package.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused: its problem document says why, and what to do.
    #[error("the server refused: {0}")]
    Refused(Arc<Refusal>),
    /// The server could not be reached, or its answer did not arrive. Trying again may help.
    #[error("the server cannot be reached: {0}; check its address and certificate, and try again")]
    Network(TransportError),
    /// A message, a delivery or an answer is not genuine. Nothing of it was given out beyond what was verified.
    #[error("{0}")]
    Integrity(IntegrityFault),
    /// A message ends before its end: what was given out of it is only its beginning.
    #[error("the message is cut off before its end")]
    Truncated,
    /// The right to use a data key ended.
    #[error("{reason} (key {key})")]
    LeaseEnded {
        /// The key whose data key it was.
        key: KeyId,
        /// Why.
        reason: LeaseEnd,
    },
    /// The client was closed.
    #[error("the client was closed")]
    Closed,
    /// This version of the crate, or this machine, cannot do it.
    #[error("{0}")]
    Unsupported(UnsupportedFault),
    /// An argument cannot be: a bug in the calling program, or in its settings.
    #[error("{0}")]
    Argument(ArgumentFault),
    /// The application's source of tickets or enrolment tokens failed.
    #[error("no ticket or enrolment token came: {0}")]
    Tickets(SourceError),
    /// The application's store for its device failed.
    #[error("the device's store failed: {0}")]
    Store(SourceError),
    /// The data to encrypt or decrypt could not be read to its end.
    #[error("the data could not be read: {0}")]
    Input(SourceError),
}

/// A refusal of the server (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The server's code, such as `access_denied`, `key_disabled`, `ticket_spent`; `http_error` when the
    /// answer was none of the server's.
    pub code: String,
    /// What happened and what to do about it.
    pub detail: String,
    /// Names the request in the server's log and audit log; empty if the answer did not come from there.
    pub request_id: String,
}

/// What something that the client was given says: a transport, a ticket source, a store.
#[derive(Debug, Clone)]
pub struct SourceError(Arc<dyn StdError + Send + Sync>);

/// What a transport says.
pub type TransportError = SourceError;

impl Error {
    /// A stable word, such as `message_truncated`; the server's own code when it refused.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(refusal) => &refusal.code,
            Self::Network(_) => "network_failed",
            Self::Integrity(fault) => fault.code(),
            Self::Truncated => "message_truncated",
            Self::LeaseEnded { reason, .. } => reason.code(),
            Self::Closed => "closed",
            Self::Unsupported(fault) => fault.code(),
            Self::Argument(fault) => fault.code(),
            Self::Tickets(_) => "ticket_source_failed",
            Self::Store(_) => "device_store_failed",
            Self::Input(_) => "input_failed",
        }
    }
}

impl SourceError {
    /// Takes an error, or a text.
    #[must_use]
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(error.into().into())
    }

    /// The error that was taken, to look into: where this crate gave it, it downcasts to [`Error`].
    #[must_use]
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for SourceError {
    /// The whole chain of causes: HTTP libraries keep the telling one at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for SourceError {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)?;
        if self.request_id.is_empty() { Ok(()) } else { write!(f, ", request {}", self.request_id) }
    }
}

impl From<IntegrityFault> for Error {
    fn from(fault: IntegrityFault) -> Self {
        Self::Integrity(fault)
    }
}

impl From<ArgumentFault> for Error {
    fn from(fault: ArgumentFault) -> Self {
        Self::Argument(fault)
    }
}

impl From<UnsupportedFault> for Error {
    fn from(fault: UnsupportedFault) -> Self {
        Self::Unsupported(fault)
    }
}

impl From<Error> for io::Error {
    /// `get_ref` and a downcast give the error back.
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

impl From<io::Error> for Error {
    /// The error that went into it, if it was one of ours.
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|error| Self::Input(SourceError::new(error)))
    }
}

impl From<NoRandomness> for Error {
    fn from(NoRandomness: NoRandomness) -> Self {
        Self::Unsupported(UnsupportedFault::Randomness)
    }
}

impl From<ContextError> for Error {
    fn from(error: ContextError) -> Self {
        Self::Argument(match error {
            ContextError::DuplicateKey => ArgumentFault::ContextDuplicateKey,
            ContextError::EmptyKey => ArgumentFault::ContextEmptyKey,
            ContextError::TooLarge => ArgumentFault::ContextTooLarge,
            ContextError::ReservedKey => ArgumentFault::ContextReservedKey,
        })
    }
}

impl From<MessageError> for Error {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Malformed => IntegrityFault::Malformed.into(),
            MessageError::OverLimit => IntegrityFault::OverLimit.into(),
            MessageError::Refused | MessageError::SignerMismatch => IntegrityFault::Refused.into(),
            MessageError::TrailingData => IntegrityFault::TrailingData.into(),
            MessageError::Truncated => Self::Truncated,
            MessageError::NotCommitting => UnsupportedFault::NotCommitting.into(),
            MessageError::UnsupportedSuite => UnsupportedFault::Suite.into(),
            MessageError::SignedStream => UnsupportedFault::SignedStream.into(),
        }
    }
}
