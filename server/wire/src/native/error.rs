//! Refusals as problem documents (RFC 9457).

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, WWW_AUTHENTICATE},
};
use keyhaven_engine::error::{DeviceFault, EnrolmentFault, Error, TicketFault};
use keyhaven_shared::{api::problem::Problem, key_state::KeyState};

use super::{BASE, DESCRIPTION, allow, body};
use crate::Outcome;

/// Why a request is not answered as asked.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The engine refused.
    Engine(Error),
    /// There is no such path.
    NoRoute,
    /// The path has other methods, which are named.
    WrongMethod(String),
    /// The body is not declared to be JSON.
    MediaType,
    /// The body is larger than it may be.
    TooLarge,
    /// A web page of an origin that is not allowed.
    Origin,
    /// The request does not say what it is to say; the text tells where, never repeating a value.
    Malformed(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// The status and the title of each of the engine's errors; code and advice are the engine's own.
const fn status_and_title(error: &Error) -> (StatusCode, &'static str) {
    match error {
        Error::Unauthenticated => (StatusCode::UNAUTHORIZED, "No valid credential"),
        Error::Denied => (StatusCode::FORBIDDEN, "Not permitted"),
        Error::Ticket(_) => (StatusCode::FORBIDDEN, "The ticket does not allow this"),
        Error::Enrolment(_) => (StatusCode::FORBIDDEN, "The enrolment token does not allow this"),
        Error::Device(_) => (StatusCode::UNAUTHORIZED, "The device could not prove itself"),
        Error::NotFound(_) => (StatusCode::NOT_FOUND, "Not found"),
        Error::InvalidRequest(_) => (StatusCode::BAD_REQUEST, "The request is not valid"),
        Error::WrongState(_) => (StatusCode::CONFLICT, "The key's state does not permit this"),
        Error::Conflict(_) => (StatusCode::CONFLICT, "Conflict"),
        Error::CiphertextInvalid => (StatusCode::BAD_REQUEST, "The ciphertext does not open"),
        Error::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Not available"),
        Error::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, "The outcome is not known"),
        Error::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "A fault in the server"),
    }
}

impl Refusal {
    /// Status, code and title.
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
            Self::Origin => (StatusCode::FORBIDDEN, "origin_not_allowed", "Foreign web page"),
            Self::Malformed(_) => {
                (StatusCode::BAD_REQUEST, "invalid_request", "The request is not valid")
            }
        }
    }

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

    /// The problem document, whole.
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
        let mut response = Response::new(body::encode(&problem).unwrap_or_default());
        *response.status_mut() = status;
        response.extensions_mut().insert(Outcome(code));
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            let schemes = HeaderValue::from_static("Bearer, Keyhaven-Ticket, Keyhaven-Enrolment");
            response.headers_mut().insert(WWW_AUTHENTICATE, schemes);
        }
        if let Self::WrongMethod(methods) = self {
            allow(&mut response, methods);
        }
        response
    }

    /// One of each, for the description.
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
            Error::CiphertextInvalid,
            Error::Unavailable,
            Error::OutcomeUnknown,
            Error::Internal,
        ];
        let errors = tickets.map(Error::Ticket).into_iter();
        let errors = errors.chain(enrolments.map(Error::Enrolment));
        let errors = errors.chain(devices.map(Error::Device));
        let errors = errors.chain(states.map(Error::WrongState)).chain(single);
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
