//! How a refusal crosses into JavaScript: as one word, which `npm/src/errors.ts` turns into a class.

use keyhaven_shared::{committed::OpenError, context::ContextError, message::MessageError};
use wasm_bindgen::JsValue;

use crate::entropy::NoRandomness;

/// Why this module refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The platform's random generator failed, or gave zeros. There is no other source.
    Randomness,
    /// An argument has the wrong length or form: a bug in the calling code.
    Argument,
    /// The pairs are no encryption context.
    Context(ContextError),
    /// A message cannot be read or written.
    Message(MessageError),
    /// No data key of the message is Keyhaven's.
    ForeignMessage,
    /// A delivery or lease event is not what this server made for this request. Which part, is not told.
    Delivery,
    /// The data key was delivered for another use.
    Usage,
    /// The object has done its work already.
    Finished,
}

impl Fault {
    /// The word that stands for it in JavaScript.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Randomness => "randomness_failed",
            Self::Argument => "invalid_argument",
            Self::Context(error) => match error {
                ContextError::DuplicateKey => "context_duplicate_key",
                ContextError::EmptyKey => "context_empty_key",
                ContextError::TooLarge => "context_too_large",
                ContextError::ReservedKey => "context_reserved_key",
            },
            Self::Message(error) => match error {
                MessageError::Malformed => "message_malformed",
                MessageError::NotCommitting => "message_not_committing",
                MessageError::UnsupportedSuite => "message_unsupported",
                MessageError::OverLimit => "message_over_limit",
                MessageError::Refused | MessageError::SignerMismatch => "message_refused",
                MessageError::Truncated => "message_truncated",
                MessageError::TrailingData => "message_trailing_data",
                MessageError::SignedStream => "message_signed_stream",
            },
            Self::ForeignMessage => "message_foreign",
            Self::Delivery => "delivery_refused",
            Self::Usage => "usage_not_granted",
            Self::Finished => "already_finished",
        }
    }
}

impl From<ContextError> for Fault {
    fn from(error: ContextError) -> Self {
        Self::Context(error)
    }
}

impl From<MessageError> for Fault {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}

impl From<NoRandomness> for Fault {
    fn from(NoRandomness: NoRandomness) -> Self {
        Self::Randomness
    }
}

impl From<OpenError> for Fault {
    fn from(OpenError: OpenError) -> Self {
        Self::Delivery
    }
}

impl From<Fault> for JsValue {
    fn from(fault: Fault) -> Self {
        Self::from_str(fault.code())
    }
}
