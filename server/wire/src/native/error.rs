//! Refusals as problem documents (RFC 9457).
//!
//! `type` is a link into the API's own description, where each code is explained; `code` and
//! `request_id` are extension members. No text of the store, the HSM or the operating system gets
//! into an answer.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, WWW_AUTHENTICATE},
};
use keyhaven_engine::error::{DeviceFault, EnrolmentFault, Error, TicketFault};
use keyhaven_shared::{api::problem::Problem, key_state::KeyState};

use super::{BASE, DESCRIPTION, allow, body};
use crate::Outcome;

/// Why a request is not answered as asked. The engine's errors, and the few that arise before the
/// engine is asked.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The engine refused. On the record already, when it is an outcome of a decision.
    Engine(Error),
    /// There is no such path. Told to anybody: the paths are public.
    NoRoute,
    /// The path has other methods, which are named. As the header `Allow` has them: separated by
    /// commas.
    WrongMethod(String),
    /// The body is not declared to be JSON.
    MediaType,
    /// The body is larger than it may be. See [`crate::LARGEST_BODY`].
    TooLarge,
    /// A web page of an origin that is not allowed. Whatever else is right with the request.
    Origin,
    /// The request does not say what it is to say; the text tells where, never repeating a value.
    /// Not recorded: nothing was decided.
    Malformed(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// The status and the title of each of the engine's errors; code and advice are the engine's own.
/// The title is the same at each occurrence, as RFC 9457 asks; the detail may differ.
const fn status_and_title(error: &Error) -> (StatusCode, &'static str) {
    match error {
        Error::Unauthenticated => (StatusCode::UNAUTHORIZED, "No valid credential"),
        // Also for what does not exist, unless the caller may know: not 404, which would tell.
        Error::Denied => (StatusCode::FORBIDDEN, "Not permitted"),
        Error::Ticket(_) => (StatusCode::FORBIDDEN, "The ticket does not allow this"),
        Error::Enrolment(_) => (StatusCode::FORBIDDEN, "The enrolment token does not allow this"),
        // The proof is the credential, and it did not hold.
        Error::Device(_) => (StatusCode::UNAUTHORIZED, "The device could not prove itself"),
        Error::NotFound(_) => (StatusCode::NOT_FOUND, "Not found"),
        Error::InvalidRequest(_) => (StatusCode::BAD_REQUEST, "The request is not valid"),
        Error::WrongState(_) => (StatusCode::CONFLICT, "The key's state does not permit this"),
        Error::Conflict(_) => (StatusCode::CONFLICT, "Conflict"),
        Error::AlreadyDone { .. } => (StatusCode::CONFLICT, "Done already"),
        // As the IETF's draft of the header asks.
        Error::KeyReused => {
            (StatusCode::UNPROCESSABLE_ENTITY, "The idempotency key is of another request")
        }
        Error::QuotaExceeded(_) => (StatusCode::TOO_MANY_REQUESTS, "Too many"),
        Error::CiphertextInvalid => (StatusCode::BAD_REQUEST, "The ciphertext does not open"),
        Error::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Not available"),
        // No `Retry-After`: a client that repeats this one blindly may do it twice.
        Error::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, "The outcome is not known"),
        Error::Quarantined => {
            (StatusCode::INTERNAL_SERVER_ERROR, "What is stored was tampered with")
        }
        Error::RolledBack => (StatusCode::SERVICE_UNAVAILABLE, "The store was put back"),
        Error::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "A fault in the server"),
    }
}

impl Refusal {
    /// Status, code and title. The code is stable, the title is not; the status follows from the
    /// code.
    pub(crate) const fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Engine(error) => {
                let (status, title) = status_and_title(error);
                (status, error.code(), title)
            }
            Self::NoRoute => (StatusCode::NOT_FOUND, "not_found", "No such path"),
            Self::WrongMethod(_) => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Another method is needed")
            }
            Self::MediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "JSON is needed")
            }
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large")
            }
            // Shown to the page's author in the browser's tools: the page itself may not read it.
            Self::Origin => (StatusCode::FORBIDDEN, "origin_not_allowed", "Foreign web page"),
            Self::Malformed(_) => {
                (StatusCode::BAD_REQUEST, "invalid_request", "The request is not valid")
            }
        }
    }

    /// What happened and what to do about it, in one sentence.
    fn detail(&self) -> String {
        match self {
            Self::Engine(error) => error.advice(),
            Self::NoRoute => {
                format!("there is no such path: {BASE}{DESCRIPTION} lists all of them")
            }
            Self::WrongMethod(methods) => format!("this path is for {methods}"),
            Self::MediaType => {
                "send the body as JSON, with the header `Content-Type: application/json`".to_owned()
            }
            Self::TooLarge => {
                "a body has at most 1 MiB: encrypt large data with a data key".to_owned()
            }
            Self::Origin => {
                "pages of this origin may not call: an operator can allow it in `allowed_origins`"
                    .to_owned()
            }
            Self::Malformed(text) => text.clone(),
        }
    }

    /// The problem document, whole. The code is also noted for the server's counters.
    pub(crate) fn response(&self, request_id: &str) -> Response<Bytes> {
        let (status, code, title) = self.kind();
        let problem = Problem {
            r#type: format!("{BASE}{DESCRIPTION}#/components/x-problems/{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: self.detail(),
            request_id: request_id.to_owned(),
        };
        // If not even this serializes, the status alone is told.
        let mut response = Response::new(body::encode(&problem).unwrap_or_default());
        *response.status_mut() = status;
        response.extensions_mut().insert(Outcome(code));
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        // RFC 9110 §15.5.2 asks for it. All schemes, though an endpoint accepts one: which, is in
        // the description.
        if status == StatusCode::UNAUTHORIZED {
            let schemes = HeaderValue::from_static("Bearer, Keyhaven-Ticket, Keyhaven-Enrolment");
            response.headers_mut().insert(WWW_AUTHENTICATE, schemes);
        }
        if let Self::WrongMethod(methods) = self {
            allow(&mut response, methods);
        }
        response
    }

    /// One of each, for the description. A test compares with the codes, so that none is left out.
    pub(crate) fn examples() -> Vec<Self> {
        let tickets = [
            TicketFault::Invalid,
            TicketFault::Expired,
            TicketFault::Spent,
            TicketFault::WrongKey,
            TicketFault::WrongOperation,
            TicketFault::WrongContext,
            TicketFault::WrongDevice,
        ];
        let enrolments = [
            EnrolmentFault::Invalid,
            EnrolmentFault::Expired,
            EnrolmentFault::Spent,
            EnrolmentFault::WrongOrigin,
        ];
        let devices = [
            DeviceFault::Unknown,
            DeviceFault::Revoked,
            DeviceFault::ProofInvalid,
            DeviceFault::Replayed,
            DeviceFault::ProofTooOld,
        ];
        let states = [
            KeyState::Enabled,
            KeyState::Disabled,
            KeyState::PendingDestruction { at: 0 },
            KeyState::Destroyed,
        ];
        let single = [
            Error::Unauthenticated,
            Error::Denied,
            Error::NotFound("resource"),
            Error::InvalidRequest("the text says what to change".to_owned()),
            Error::Conflict("it exists, or changed meanwhile"),
            Error::AlreadyDone { what: "token", id: "…".to_owned() },
            Error::KeyReused,
            Error::QuotaExceeded("requests"),
            Error::CiphertextInvalid,
            Error::Unavailable,
            Error::OutcomeUnknown,
            Error::Quarantined,
            Error::RolledBack,
            Error::Internal,
        ];
        let errors = tickets.map(Error::Ticket).into_iter();
        let errors = errors.chain(enrolments.map(Error::Enrolment));
        let errors = errors.chain(devices.map(Error::Device));
        let errors = errors.chain(states.map(Error::WrongState)).chain(single);
        // Not `NoRoute` and `Malformed`: their codes are among the engine's.
        let own =
            [Self::WrongMethod("GET".to_owned()), Self::MediaType, Self::TooLarge, Self::Origin];
        errors.map(Self::Engine).chain(own).collect()
    }

    /// What happened and what to do about it, for the description.
    pub(crate) fn advice(&self) -> String {
        self.detail()
    }
}

#[cfg(test)]
mod tests;
