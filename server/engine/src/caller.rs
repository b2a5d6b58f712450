//! Who is asking, by what credential, in which request.

use std::sync::Arc;

use keyhaven_shared::ids::{DeviceId, TicketId, TokenId};
use sha2::{Digest, Sha256};

use crate::{
    directory::Loaded,
    port::store::{Epoch, Place, Spend},
    record::{Device, PrincipalRecord},
    ticket::{EnrolmentClaims, TicketClaims},
};

/// The request an operation came in, for the record.
#[derive(Debug, Clone)]
pub struct RequestInfo {
    /// Names the request in answers, logs and the audit log.
    pub id: Arc<str>,
    /// The peer's address, as the server saw it.
    pub source: Arc<str>,
    /// The protocol's name, such as `native`.
    pub protocol: &'static str,
    /// The action in the protocol's own words.
    pub action: Arc<str>,
    /// SHA-256 of the request's body.
    pub body_hash: [u8; 32],
}

impl RequestInfo {
    /// With the hash of the body.
    #[must_use]
    pub fn with_body(self, body: &[u8]) -> Self {
        Self { body_hash: Sha256::digest(body).into(), ..self }
    }
}

/// What proved who is asking.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The server itself: start, scheduled work. No request can make one.
    System,
    /// None that holds: stands in the record of a refused request, and may do nothing.
    Unknown,
    /// An API token.
    Token(TokenId),
    /// A ticket, shown by a device.
    Ticket(TicketClaims),
    /// An enrolment token, shown by a device that is not enrolled yet.
    Enrolment(EnrolmentClaims),
    /// A device's own proof.
    Device,
}

impl Credential {
    /// The word by which policies see it (`context.via`).
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Unknown => "unknown",
            Self::Token(_) => "token",
            Self::Ticket(_) => "ticket",
            Self::Enrolment(_) => "enrolment",
            Self::Device => "device",
        }
    }

    /// Its id in the audit log; never the credential itself.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        match self {
            Self::System | Self::Unknown | Self::Device => None,
            Self::Token(id) => Some(id.to_string()),
            Self::Ticket(claims) => Some(claims.id.to_string()),
            Self::Enrolment(claims) => Some(claims.id.to_string()),
        }
    }

    /// The ticket that this credential spends, if it is one.
    #[must_use]
    pub const fn ticket(&self) -> Option<TicketId> {
        match self {
            Self::System | Self::Unknown | Self::Token(_) | Self::Device => None,
            Self::Ticket(claims) => Some(claims.id),
            Self::Enrolment(claims) => Some(claims.id),
        }
    }
}

/// A device that proved itself.
#[derive(Debug, Clone)]
pub struct CallerDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its row; `None` while it enrols.
    pub row: Option<Loaded<Device>>,
}

/// Stands for the server itself in the audit log.
pub(crate) const SYSTEM: &str = "system";
/// Stands for whoever did not prove who they are.
pub(crate) const UNKNOWN: &str = "unknown";

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The principal's row; `None` for the server itself, and for a caller that is not known.
    pub principal: Option<Loaded<PrincipalRecord>>,
    /// What proved it.
    pub credential: Credential,
    /// The device that signed the request, if one did.
    pub device: Option<CallerDevice>,
    /// What to count in the store of a proof that dates itself in the future, so that it is good once.
    pub proof: Option<Spend>,
    /// The rows that authenticating rested on.
    pub reads: Vec<(Place, Epoch)>,
    /// The request.
    pub request: RequestInfo,
}

impl Caller {
    /// The server itself, at start or for scheduled work.
    pub(crate) fn system(action: &str) -> Self {
        let request = RequestInfo {
            id: format!("system-{action}").into(),
            source: "local".into(),
            protocol: "system",
            action: action.into(),
            body_hash: [0; 32],
        };
        Self {
            principal: None,
            credential: Credential::System,
            device: None,
            proof: None,
            reads: vec![],
            request,
        }
    }

    /// Whoever sent a request without a credential that holds: for the record of its refusal.
    #[must_use]
    pub const fn unknown(request: RequestInfo) -> Self {
        let credential = Credential::Unknown;
        Self { principal: None, credential, device: None, proof: None, reads: vec![], request }
    }

    /// The principal's name in the audit log. Those that stand for no principal are not free.
    #[must_use]
    pub fn name(&self) -> &str {
        match (&self.principal, &self.credential) {
            (Some(row), _) => &row.record.name,
            (None, Credential::System) => SYSTEM,
            (None, _) => UNKNOWN,
        }
    }
}
