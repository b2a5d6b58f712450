//! Why the engine did not do it, by who must act. Each error has two messages: [`Error::code`] and its
//! `Display` are for the caller; what only the operator may know goes to the log where it happened.
//!
//! No variant holds another crate's error or a text from the outside, but for
//! [`Error::InvalidRequest`], whose text is about the caller's own request. So an error can be
//! shown without thinking about what is in it.

use keyhaven_shared::{committed::OpenError, key_state::KeyState};

use crate::port::{environment::NoRandomness, hsm::HsmError, store::StoreError};

/// What is wrong with a ticket. Told in detail: the backend that minted it has to do better, and
/// whoever shows one has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketFault {
    /// Not made by this server, or changed.
    Invalid,
    /// Its time is over.
    Expired,
    /// All its uses are used.
    Spent,
    /// It is for another key. Also where the operation acts on no key at all.
    WrongKey,
    /// It is for other operations.
    WrongOperation,
    /// It is for another encryption context. A pair is missing or different, or there is one too
    /// many.
    WrongContext,
    /// It is for another device, or the device is another user's.
    WrongDevice,
}

/// What is wrong with an enrolment token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrolmentFault {
    /// Not made by this server, or changed.
    Invalid,
    /// Its time is over.
    Expired,
    /// It was used.
    Spent,
    /// It is for a page of another origin.
    WrongOrigin,
}

/// What is wrong with a device's proof. Every fault of the signature itself is one: how near a
/// forgery came is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceFault {
    /// No such device is enrolled.
    Unknown,
    /// It was revoked.
    Revoked,
    /// The signature, digest or time does not hold. Or the headers are not in the one shape that
    /// devices write.
    ProofInvalid,
    /// The same proof was accepted before.
    Replayed,
    /// It is from before this process began to serve, or older than what it remembers. It may have
    /// been accepted before, so it is refused; an honest device signs again.
    ProofTooOld,
}

/// Why the engine refused. One variant for each thing that a client can do about it; the protocols
/// map each to a status of theirs. New variants are found by the compiler in every one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The caller did not say who it is, or not believably. To be retried with another credential
    /// only.
    Unauthenticated,
    /// The caller may not, or there is no such thing: which, is not told. To be retried when an
    /// operator has changed a policy.
    Denied,
    /// A ticket does not allow this.
    Ticket(TicketFault),
    /// An enrolment token does not allow this.
    Enrolment(EnrolmentFault),
    /// A device could not prove itself.
    Device(DeviceFault),
    /// There is no such thing, and the caller may know that. The text is the kind of thing, never
    /// its name.
    NotFound(&'static str),
    /// The request makes no sense; the text says what to change. It never repeats a value that may
    /// be secret.
    InvalidRequest(String),
    /// The key's state does not permit it. Only told to a caller whom the policies permit the
    /// operation.
    WrongState(KeyState),
    /// Something with that name exists, or changed at the same time. Nothing was done; the same
    /// request may succeed when it is sent again.
    Conflict(&'static str),
    /// The same request was done already with this idempotency key, and its answer held a secret that is
    /// told once.
    AlreadyDone {
        /// What it made.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// This idempotency key was sent with another request. Nothing was done for this one.
    KeyReused,
    /// The caller has too much of something; the text is what. To be retried later.
    QuotaExceeded(&'static str),
    /// The ciphertext was changed, or belongs to another key or context. One variant for all
    /// causes: telling them apart would make the server an oracle.
    CiphertextInvalid,
    /// A part that is needed does not answer; nothing was done. Safe to retry.
    Unavailable,
    /// It may or may not have been done; the audit log tells. Not safe to retry before looking.
    OutcomeUnknown,
    /// What the store holds about this is not what was written: somebody else changed it.
    Quarantined,
    /// The whole store is older than it was: somebody put it back.
    RolledBack,
    /// A fault of ours. The log has the reason under the request id, or beside it.
    Internal,
}

impl Error {
    /// The stable code that clients branch on. Lower case with underscores; it is also the
    /// `outcome` in the audit log. A code is never given another meaning.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "access_denied",
            Self::Ticket(fault) => match fault {
                TicketFault::Invalid => "ticket_invalid",
                TicketFault::Expired => "ticket_expired",
                TicketFault::Spent => "ticket_spent",
                TicketFault::WrongKey => "ticket_wrong_key",
                TicketFault::WrongOperation => "ticket_wrong_operation",
                TicketFault::WrongContext => "ticket_wrong_context",
                TicketFault::WrongDevice => "ticket_wrong_device",
            },
            Self::Enrolment(fault) => match fault {
                EnrolmentFault::Invalid => "enrolment_invalid",
                EnrolmentFault::Expired => "enrolment_expired",
                EnrolmentFault::Spent => "enrolment_spent",
                EnrolmentFault::WrongOrigin => "enrolment_wrong_origin",
            },
            Self::Device(fault) => match fault {
                DeviceFault::Unknown => "device_unknown",
                DeviceFault::Revoked => "device_revoked",
                DeviceFault::ProofInvalid => "device_proof_invalid",
                DeviceFault::Replayed => "device_proof_replayed",
                DeviceFault::ProofTooOld => "device_proof_too_old",
            },
            Self::NotFound(_) => "not_found",
            Self::InvalidRequest(_) => "invalid_request",
            Self::WrongState(state) => match state {
                KeyState::Enabled => "key_enabled",
                KeyState::Disabled => "key_disabled",
                KeyState::PendingDestruction { .. } => "key_pending_destruction",
                KeyState::Destroyed => "key_destroyed",
            },
            Self::Conflict(_) => "conflict",
            Self::AlreadyDone { .. } => "already_done",
            Self::KeyReused => "idempotency_key_reused",
            Self::QuotaExceeded(_) => "quota_exceeded",
            Self::CiphertextInvalid => "ciphertext_invalid",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Quarantined => "quarantined",
            Self::RolledBack => "rolled_back",
            Self::Internal => "internal",
        }
    }

    /// What happened and what to do about it, for the caller. One sentence in English, not a
    /// format: it may change with any version.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Unauthenticated => "no valid credential: send `Authorization: Bearer …` with an API token, or a token of an identity provider, that has not expired or been revoked".to_owned(),
            Self::Denied => "not permitted, or no such resource: ask an operator for a policy that permits this operation".to_owned(),
            Self::Ticket(fault) => ticket_advice(*fault).to_owned(),
            Self::Enrolment(fault) => enrolment_advice(*fault).to_owned(),
            Self::Device(fault) => device_advice(*fault).to_owned(),
            Self::NotFound(what) => format!("no such {what}: check the name, or list what there is"),
            Self::InvalidRequest(text) => text.clone(),
            Self::WrongState(state) => state_advice(*state).to_owned(),
            Self::Conflict(what) => format!("{what}: look at the present state and decide again"),
            Self::AlreadyDone { what, id } => format!("this was done already with this idempotency key: the {what} {id} was made, and its secret is told once; revoke it and make another, with a new key"),
            Self::KeyReused => "this idempotency key was sent before with another request: take a new key for each request, and send a request again unchanged".to_owned(),
            Self::QuotaExceeded(what) => format!("too many {what} in a day: nothing was done; try again later"),
            Self::CiphertextInvalid => "the ciphertext was changed, or belongs to another key or encryption context: pass exactly the context it was made with".to_owned(),
            Self::Unavailable => "a part of the server that is needed does not answer; nothing was done: try again, and look at /readyz".to_owned(),
            Self::OutcomeUnknown => "it is not known whether the operation was recorded; its result was withheld: send it again with the same `Idempotency-Key` if it had one; else look the request id up in the audit log first".to_owned(),
            Self::Quarantined => "what the server stores about this was changed behind its back and is refused; nothing was released: tell its operator, who runs `keyhaven fsck`".to_owned(),
            Self::RolledBack => "the server's store was put back to an older state, so everything is refused: tell its operator, who stops it and restores the newest state".to_owned(),
            Self::Internal => "a fault in the server; nothing was released: report the request id to its operator".to_owned(),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.advice())
    }
}

impl std::error::Error for Error {}

// Below, each kind of fault has its advice. All matches are whole: an error without advice does not
// compile.
const fn ticket_advice(fault: TicketFault) -> &'static str {
    match fault {
        TicketFault::Invalid => {
            "the ticket was not made by this server or was changed: mint a new one"
        }
        TicketFault::Expired => "the ticket has expired: mint a new one",
        TicketFault::Spent => "the ticket has no uses left: mint a new one for each use",
        TicketFault::WrongKey => "the ticket is for another key: mint one for this key",
        TicketFault::WrongOperation => {
            "the ticket does not allow this operation: mint one that names it"
        }
        TicketFault::WrongContext => {
            "the ticket is for another encryption context: mint one for this context"
        }
        TicketFault::WrongDevice => {
            "the ticket is for another device or user: mint one for this device"
        }
    }
}

/// Advice for whoever enrols a device.
const fn enrolment_advice(fault: EnrolmentFault) -> &'static str {
    match fault {
        EnrolmentFault::Invalid => {
            "the enrolment token was not made by this server or was changed: mint a new one"
        }
        EnrolmentFault::Expired => "the enrolment token has expired: mint a new one",
        EnrolmentFault::Spent => "the enrolment token was used: mint a new one for each device",
        EnrolmentFault::WrongOrigin => {
            "the enrolment token is for a page of another origin: mint one for this origin"
        }
    }
}

/// Advice for whoever writes a client: most of these are faults of a program or a clock.
const fn device_advice(fault: DeviceFault) -> &'static str {
    match fault {
        DeviceFault::Unknown => "no such device is enrolled: enrol it first",
        DeviceFault::Revoked => "the device was revoked: enrol a new one",
        DeviceFault::ProofInvalid => {
            "the device's signature does not hold: sign method, path, query and digest, with a clock within five minutes"
        }
        DeviceFault::Replayed => {
            "this very request was made before: sign each request anew, with a fresh random nonce"
        }
        DeviceFault::ProofTooOld => {
            "the signature was made before the server began to serve: sign the request again, dated now"
        }
    }
}

/// Advice that says what leads out of the state, if anything does.
const fn state_advice(state: KeyState) -> &'static str {
    match state {
        KeyState::Enabled => "the key is enabled, which this operation does not allow",
        KeyState::Disabled => "the key is disabled: enable it first",
        KeyState::PendingDestruction { .. } => {
            "the key is scheduled for destruction: cancel the destruction and enable it first"
        }
        KeyState::Destroyed => "the key is destroyed: nothing brings it back",
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        // The reason may name files and hosts: it goes to the server's log, and no further.
        tracing::error!(%error, "the store failed");
        match error {
            StoreError::Unavailable(_) => Self::Unavailable,
            StoreError::Unknown(_) => Self::OutcomeUnknown,
            StoreError::Corrupt(_) => Self::Internal,
        }
    }
}

impl From<HsmError> for Error {
    fn from(error: HsmError) -> Self {
        // As above. That a key is missing or was tampered with is the operator's to know.
        tracing::error!(%error, "the HSM failed");
        match error {
            HsmError::Unavailable(_) => Self::Unavailable,
            // A client can do nothing about any of these, and need not know which it was.
            HsmError::Missing(_)
            | HsmError::WrongAttribute { .. }
            | HsmError::NotOpened
            | HsmError::Refused(_) => Self::Internal,
        }
    }
}

impl From<NoRandomness> for Error {
    fn from(error: NoRandomness) -> Self {
        // Nothing secret can be made now; later it may go again.
        tracing::error!(%error, "no randomness");
        Self::Unavailable
    }
}

impl From<OpenError> for Error {
    fn from(_: OpenError) -> Self {
        Self::CiphertextInvalid
    }
}
