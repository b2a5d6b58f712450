//! Credentials: which one a request shows, and whether its endpoint accepts that one. What does not hold
//! is refused on the record; a request that shows nothing leaves none, since it names nobody.
//!
//! ```text
//! Authorization: Bearer kh1.…                       API token (RFC 6750)
//! Authorization: Bearer <JWT>                       token of an identity provider (RFC 9068)
//! Authorization: Keyhaven-Ticket …                  ticket, with the three headers of a proof
//! Authorization: Keyhaven-Enrolment …               enrolment token, likewise
//! Content-Digest, Signature-Input, Signature        a device alone
//! ```
//!
//! A credential is taken from these headers and from nowhere else: not from the query, which
//! proxies log, nor from cookies, which browsers send unasked.

use http::{HeaderMap, header::AUTHORIZATION, request::Parts};
use keyhaven_engine::{
    audit::Event,
    authenticate::{Presented, Proof, authenticate as engine_authenticate},
    caller::{Caller, RequestInfo},
    error::{DeviceFault, Error},
};
use keyhaven_shared::{api::delivery::EnrolDevice, device::DevicePublicKeys};

use super::{
    body::Body,
    convert::device,
    error::Refusal,
    routes::{Accepts, Route},
};
use crate::Wire;

/// Finds out who is asking.
///
/// # Errors
/// [`Refusal::Malformed`] for a header that stands twice; [`Error::Unauthenticated`] for nothing,
/// or for another kind than the endpoint accepts; else as the engine. All but the first, and a
/// request that shows nothing, is recorded before it is told.
pub(crate) async fn authenticate(
    wire: &Wire,
    route: &Route,
    (head, body): (&Parts, &[u8]),
    info: RequestInfo,
) -> Result<Caller, Refusal> {
    let shown = Shown::of(&head.headers)?;
    let Some(fault) = shown.fault(route.accepts) else {
        return check(wire, route, (head, body), (shown, info)).await;
    };
    // Not recorded: it names nobody, and most of what scans a network looks like this.
    if shown.nothing() {
        return Err(fault.into());
    }
    refuse(wire, (route, head.uri.path()), (info, fault)).await
}

/// What the headers show. Taken apart, and not yet believed.
struct Shown<'a> {
    /// The scheme and the credential of `Authorization`. The scheme as written; it is compared
    /// without regard to case, as RFC 9110 §11.1 has it.
    authorization: Option<(&'a str, &'a str)>,
    /// `Content-Digest`, `Signature-Input` and `Signature`.
    proof: [Option<&'a str>; 3],
}

/// The headers of a device's proof, in the order in which the engine takes them.
const PROOF_HEADERS: [&str; 3] = ["content-digest", "signature-input", "signature"];

impl<'a> Shown<'a> {
    /// Reads the four headers; each may stand once.
    fn of(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let authorization = one(headers, AUTHORIZATION.as_str())?;
        let authorization = authorization.map(|value| value.split_once(' ').unwrap_or((value, "")));
        let [digest, input, signature] = PROOF_HEADERS;
        let proof = [one(headers, digest)?, one(headers, input)?, one(headers, signature)?];
        Ok(Self { authorization, proof })
    }

    /// Whether it shows no credential at all. A `Content-Digest` alone is none: any client may send
    /// one (RFC 9530).
    const fn nothing(&self) -> bool {
        matches!((self.authorization, self.proof), (None, [_, None, None]))
    }

    /// What is missing, or shown and not accepted here. `None` when all that the endpoint wants is
    /// there, and nothing in place of it. One kind never stands in for another: a ticket with an
    /// API token's rights, or the reverse, would be a way around both.
    fn fault(&self, accepts: Accepts) -> Option<Error> {
        let wanted = match accepts {
            Accepts::Token => Some("bearer"),
            Accepts::Ticket => Some("keyhaven-ticket"),
            Accepts::Enrolment => Some("keyhaven-enrolment"),
            Accepts::Device => None,
        };
        let scheme = self.authorization.map(|(scheme, _)| scheme.to_ascii_lowercase());
        // Exactly the wanted one: an API token at a device's endpoint is refused although it might
        // be good.
        if scheme.as_deref() != wanted {
            return Some(Error::Unauthenticated);
        }
        let needs_proof = accepts != Accepts::Token;
        // Nothing at all, where a proof alone is wanted: not a proof that failed, but none.
        if needs_proof && self.proof.iter().all(Option::is_none) && wanted.is_none() {
            return Some(Error::Unauthenticated);
        }
        // All three or none: a proof that lacks a header proves nothing.
        let proven = self.proof.iter().all(Option::is_some);
        (needs_proof && !proven).then_some(Error::Device(DeviceFault::ProofInvalid))
    }
}

/// A header that may stand once. A value that is not ASCII reads as an empty one, which holds
/// nowhere. Of two, a proxy might check one and we the other.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Refusal::Malformed(format!("the header `{name}` stands more than once")));
    }
    Ok(first.map(|value| value.to_str().unwrap_or_default()))
}

/// Has the engine check a credential of the right kind. What the engine refuses is recorded with
/// the endpoint's operation and the path as it was sent.
async fn check(
    wire: &Wire,
    route: &Route,
    (head, body): (&Parts, &[u8]),
    (shown, info): (Shown<'_>, RequestInfo),
) -> Result<Caller, Refusal> {
    let credential = shown.authorization.map_or("", |(_, credential)| credential);
    let [digest, input, signature] = shown.proof.map(Option::unwrap_or_default);
    let proof = Proof {
        method: head.method.as_str(),
        // As sent: the device signed these bytes, not what they mean.
        path_and_query: head.uri.path_and_query().map_or("", |target| target.as_str()),
        body,
        content_digest: digest,
        signature_input: input,
        signature,
    };
    // The keys of a device that enrols are in the body; they are only believed because it signed.
    let keys: DevicePublicKeys;
    let presented = match route.accepts {
        // Told apart by what no token of the other kind begins with; what is neither is neither's.
        Accepts::Token if credential.starts_with("kh1.") => Presented::Token(credential),
        Accepts::Token => Presented::Oidc(credential, &wire.settings.federation),
        Accepts::Ticket => Presented::Ticket(credential, proof),
        Accepts::Enrolment => {
            keys = device::keys(&EnrolDevice::read(body)?)?;
            Presented::Enrolment(credential, proof, &keys)
        }
        Accepts::Device => Presented::Device(proof),
    };
    match engine_authenticate(wire.engine.services(), presented, info.clone()).await {
        Ok(caller) => Ok(caller),
        Err(fault) => refuse(wire, (route, head.uri.path()), (info, fault)).await,
    }
}

/// The longest path that is recorded. In characters; a client that proved nothing chooses what
/// stands there.
const LONGEST_PATH: usize = 200;

/// Records whose credential did not hold. Faults of our own are none of the caller's.
///
/// The entry's principal is `unknown`, for nobody proved to be anybody.
async fn refuse(
    wire: &Wire,
    (route, path): (&Route, &str),
    (info, fault): (RequestInfo, Error),
) -> Result<Caller, Refusal> {
    // Recording these would accuse the caller, and would most likely fail in turn.
    if matches!(
        fault,
        Error::Unavailable | Error::OutcomeUnknown | Error::RolledBack | Error::Internal
    ) {
        return Err(fault.into());
    }
    // The path and not a target: nothing of it has been looked up, and nothing will be.
    let event = Event::named(route.operation, path.chars().take(LONGEST_PATH).collect());
    Ok(wire.engine.refuse(&Caller::unknown(info), &event, fault).await?)
}
