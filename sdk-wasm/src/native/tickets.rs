//! Tickets: the application's word, in the server's form, that this device may have a data key.

use std::future::Future;

use keyhaven_shared::{context::EncryptionContext, ids::DeviceId};

use super::{credential::Credential, error::SourceError, transport::BoxFuture};

/// What a ticket must allow.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TicketRequest {
    /// What the device will do.
    pub operation: DeviceOperation,
    /// The key: as the application named it to encrypt; its id, from the message, to decrypt.
    pub key: String,
    /// The whole encryption context. To decrypt, it is the message's own word, not verified yet: a ticket
    /// source decides by it whether the user may read this.
    pub context: EncryptionContext,
    /// This device.
    pub device: DeviceId,
}

/// What a device does with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceOperation {
    /// Asks for a new data key, to encrypt.
    DeliverDataKey,
    /// Has a message's data key opened, to decrypt.
    UnsealDataKey,
}

impl DeviceOperation {
    /// As the server names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeliverDataKey => "DeliverDataKey",
            Self::UnsealDataKey => "UnsealDataKey",
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::DeliverDataKey => "deliver-data-key",
            Self::UnsealDataKey => "unseal-data-key",
        }
    }
}

/// Gives tickets: asks whoever may mint them. Called once for each data key that is not held.
///
/// A function from a [`TicketRequest`] to a future is one. So is [`Minting::for_subject`](crate::Minting::for_subject).
pub trait TicketSource: Send + Sync + 'static {
    /// A ticket that allows `want`.
    ///
    /// # Errors
    /// [`SourceError`] when there is none.
    fn ticket(&self, want: TicketRequest) -> BoxFuture<'_, Result<Credential, SourceError>>;
}

impl<S, F> TicketSource for S
where
    S: Fn(TicketRequest) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Credential, SourceError>> + Send + 'static,
{
    fn ticket(&self, want: TicketRequest) -> BoxFuture<'_, Result<Credential, SourceError>> {
        Box::pin(self(want))
    }
}
