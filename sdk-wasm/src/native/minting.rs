//! What a backend does for its users' devices: it mints their tickets and enrolment tokens.

use std::sync::Arc;

use keyhaven_shared::{
    api::delivery::{MintEnrolmentToken, MintTicket},
    context::EncryptionContext,
    ids::DeviceId,
};

use super::{
    api::{self, Shown},
    credential::Credential,
    documents::{EnrolmentToken, Ticket, pairs},
    endpoint::Endpoint,
    error::{Error, SourceError},
    key_name::KeyName,
    tickets::{DeviceOperation, TicketRequest, TicketSource},
    transport::BoxFuture,
};

/// Mints tickets and enrolment tokens with an API token, as far as policies permit its principal. A ticket
/// never widens what they permit its subject. Cheap to clone.
///
/// What a web application's backend answers when a user's page asks for a ticket:
///
/// ```no_run
/// # use keyhaven_sdk::*;
/// # async fn ticket(minting: &Minting, user: &str, file: &str) -> Result<String, Error> {
/// // Whether this user may read this file is the application's to decide, before this.
/// let about = context([("file", file)])?;
/// let terms = TicketTerms::new(user, "app:photos", DeviceOperation::UnsealDataKey, &about);
/// Ok(minting.ticket(&terms.seconds(60)).await?.text)
/// # }
/// ```
#[derive(Clone)]
pub struct Minting {
    endpoint: Endpoint,
    token: Arc<Credential>,
}

/// What a ticket is to allow: by [`Self::new`], one operation, once, within five minutes, about exactly one
/// context.
#[derive(Debug, Clone)]
pub struct TicketTerms<'a> {
    subject: &'a str,
    key: &'a str,
    operation: DeviceOperation,
    context: &'a EncryptionContext,
    context_exact: bool,
    device: Option<DeviceId>,
    uses: u32,
    expires_in_s: u32,
}

/// A ticket or an enrolment token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Minted {
    /// The word to hand to the user's device, and to nobody else.
    pub text: String,
    /// Its `jti`, as it stands in the audit log.
    pub id: String,
    /// When it ends (Unix time).
    pub expires_at: u64,
}

impl<'a> TicketTerms<'a> {
    /// For the principal `subject`, to do `operation` with `key` about exactly `context`.
    #[must_use]
    pub const fn new(
        subject: &'a str,
        key: &'a str,
        operation: DeviceOperation,
        context: &'a EncryptionContext,
    ) -> Self {
        Self {
            subject,
            key,
            operation,
            context,
            context_exact: true,
            device: None,
            uses: 1,
            expires_in_s: 300,
        }
    }

    /// For one of the subject's devices, and no other.
    #[must_use]
    pub const fn for_device(mut self, device: DeviceId) -> Self {
        self.device = Some(device);
        self
    }

    /// For contexts that have more pairs, too.
    #[must_use]
    pub const fn with_more_context(mut self) -> Self {
        self.context_exact = false;
        self
    }

    /// For so many uses, 1 to 1000.
    #[must_use]
    pub const fn uses(mut self, uses: u32) -> Self {
        self.uses = uses;
        self
    }

    /// Good for so many seconds, 1 to 3600.
    #[must_use]
    pub const fn seconds(mut self, seconds: u32) -> Self {
        self.expires_in_s = seconds;
        self
    }
}

impl Minting {
    /// Takes the token of a principal that may mint.
    #[must_use]
    pub fn new(endpoint: &Endpoint, token: Credential) -> Self {
        Self { endpoint: endpoint.clone(), token: Arc::new(token) }
    }

    /// Mints a ticket.
    ///
    /// # Errors
    /// [`Error::Refused`] when policies do not permit it, or the terms are none; [`Error::Network`].
    pub async fn ticket(&self, terms: &TicketTerms<'_>) -> Result<Minted, Error> {
        let document = MintTicket {
            subject: terms.subject.to_owned(),
            operations: vec![terms.operation.name().to_owned()],
            context: pairs(terms.context),
            context_exact: terms.context_exact,
            device: terms.device.map(|device| device.to_string()),
            uses: terms.uses,
            expires_in_s: terms.expires_in_s,
        };
        let path = format!("/keys/{}/tickets", KeyName::new(terms.key)?.segment());
        let shown = Shown::Token(&self.token);
        let Ticket { ticket: text, id, expires_at } =
            api::post(&self.endpoint, &path, &document, shown).await?;
        Ok(Minted { text, id, expires_at })
    }

    /// Mints a token with which one device of `subject` enrols, once, within five minutes; from pages of
    /// `origin` only, if one is given.
    ///
    /// # Errors
    /// As [`Self::ticket`].
    pub async fn enrolment_token(
        &self,
        subject: &str,
        origin: Option<&str>,
    ) -> Result<Minted, Error> {
        let document = MintEnrolmentToken {
            subject: subject.to_owned(),
            origin: origin.map(str::to_owned),
            expires_in_s: 300,
        };
        let shown = Shown::Token(&self.token);
        let EnrolmentToken { token: text, id, expires_at } =
            api::post(&self.endpoint, "/enrolment-tokens", &document, shown).await?;
        Ok(Minted { text, id, expires_at })
    }

    /// A source of tickets for devices of `subject` in this same program: each for one device, one
    /// operation and one context, once.
    #[must_use]
    pub fn for_subject(&self, subject: &str) -> impl TicketSource + use<> {
        ForSubject { minting: self.clone(), subject: subject.to_owned() }
    }
}

struct ForSubject {
    minting: Minting,
    subject: String,
}

impl TicketSource for ForSubject {
    fn ticket(&self, want: TicketRequest) -> BoxFuture<'_, Result<Credential, SourceError>> {
        Box::pin(async move {
            let terms = TicketTerms::new(&self.subject, &want.key, want.operation, &want.context)
                .for_device(want.device);
            let minted = self.minting.ticket(&terms).await.map_err(SourceError::new)?;
            Credential::new(minted.text).map_err(SourceError::new)
        })
    }
}
