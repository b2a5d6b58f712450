//! Who is asking, by what credential, in which request. Made by [`crate::authenticate`], for one
//! request; nothing here is kept between requests.

use std::sync::Arc;

use keyhaven_shared::ids::{DeviceId, TicketId, TokenId};
use sha2::{Digest, Sha256};

use crate::{
    directory::Loaded,
    identity::IdentityId,
    port::store::{Epoch, Place, Spend},
    record::{Device, PrincipalRecord},
    ticket::{EnrolmentClaims, TicketClaims},
};

/// The request an operation came in, for the record. Nothing is decided by it.
#[derive(Debug, Clone)]
pub struct RequestInfo {
    /// Names the request in answers, logs and the audit log.
    /// The server makes it; a client cannot choose one that another request has.
    pub id: Arc<str>,
    /// The peer's address, as the server saw it: behind a proxy, the proxy's.
    pub source: Arc<str>,
    /// The protocol's name, such as `native`.
    pub protocol: &'static str,
    /// The action in the protocol's own words.
    pub action: Arc<str>,
    /// SHA-256 of the request's body. The log shows it only under a key ([`crate::audit`]): the
    /// body may be a short secret.
    pub body_hash: [u8; 32],
}

impl RequestInfo {
    /// With the hash of the body.
    #[must_use]
    // The whole body, before anything is read of it: the record fits what was sent, not what was
    // understood.
    pub fn with_body(self, body: &[u8]) -> Self {
        Self { body_hash: Sha256::digest(body).into(), ..self }
    }
}

/// What proved who is asking.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The server itself: start, scheduled work. No request can make one. It asks no policy.
    System,
    /// None that holds: stands in the record of a refused request, and may do nothing.
    Unknown,
    /// An API token. Long-lived; for backends and operators.
    Token(TokenId),
    /// A token of an identity provider. Short-lived; for people and workloads that have an identity
    /// elsewhere.
    Oidc(IdentityId),
    /// A ticket, shown by a device. Narrower than the policies, never wider.
    Ticket(TicketClaims),
    /// An enrolment token, shown by a device that is not enrolled yet.
    Enrolment(EnrolmentClaims),
    /// A device's own proof. Enough to follow its own leases, and for nothing else.
    Device,
}

impl Credential {
    /// The word by which policies see it (`context.via`). The audit log's `via` is the same word;
    /// both are formats that do not change.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Unknown => "unknown",
            Self::Token(_) => "token",
            Self::Oidc(_) => "oidc",
            Self::Ticket(_) => "ticket",
            Self::Enrolment(_) => "enrolment",
            Self::Device => "device",
        }
    }

    /// Its id in the audit log; never the credential itself.
    /// `None` where there is none: a device stands in the entry by its own id.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        match self {
            Self::System | Self::Unknown | Self::Device => None,
            Self::Token(id) => Some(id.to_string()),
            Self::Oidc(id) => Some(id.to_string()),
            Self::Ticket(claims) => Some(claims.id.to_string()),
            Self::Enrolment(claims) => Some(claims.id.to_string()),
        }
    }

    /// The ticket that this credential spends, if it is one.
    #[must_use]
    pub const fn ticket(&self) -> Option<TicketId> {
        match self {
            Self::System | Self::Unknown | Self::Token(_) | Self::Oidc(_) | Self::Device => None,
            Self::Ticket(claims) => Some(claims.id),
            Self::Enrolment(claims) => Some(claims.id),
        }
    }
}

/// A device that proved itself. It holds the private half of the authentication key; that it is not
/// stolen is not known.
#[derive(Debug, Clone)]
pub struct CallerDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its row; `None` while it enrols.
    /// Such a device cannot be sealed to: there is no enrolment yet to bind a delivery to.
    pub row: Option<Loaded<Device>>,
}

/// Stands for the server itself in the audit log.
pub(crate) const SYSTEM: &str = "system";
/// Stands for whoever did not prove who they are. No principal may have this name or the one above:
/// the log would not tell them apart.
pub(crate) const UNKNOWN: &str = "unknown";

// INVARIANT: `reads` holds the row of every fact that authenticating rested on: principal, and
// token, identity or device. So the gate refuses whatever was under way when one of them was revoked.
/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The principal's row; `None` for the server itself, and for a caller that is not known.
    pub principal: Option<Loaded<PrincipalRecord>>,
    /// What proved it.
    pub credential: Credential,
    /// The device that signed the request, if one did.
    pub device: Option<CallerDevice>,
    /// What to count in the store of a proof that dates itself in the future, or of an identity
    /// provider's token for one use, so that it is good once. `None` for the usual proof, which memory
    /// remembers for as long as it is good.
    pub proof: Option<Spend>,
    /// The rows that authenticating rested on.
    pub reads: Vec<(Place, Epoch)>,
    /// The request.
    pub request: RequestInfo,
}

impl Caller {
    /// The server itself, at start or for scheduled work.
    /// Not public: no protocol can make a caller that asks no policy.
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
