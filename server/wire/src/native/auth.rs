//! Credentials: which one a request shows, and whether its endpoint accepts that one. What does not hold
//! is refused on the record; a request that shows nothing leaves none, since it names nobody.

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
    if shown.nothing() {
        return Err(fault.into());
    }
    refuse(wire, (route, head.uri.path()), (info, fault)).await
}

/// What the headers show.
struct Shown<'a> {
    /// The scheme and the credential of `Authorization`.
    authorization: Option<(&'a str, &'a str)>,
    /// `Content-Digest`, `Signature-Input` and `Signature`.
    proof: [Option<&'a str>; 3],
}

const PROOF_HEADERS: [&str; 3] = ["content-digest", "signature-input", "signature"];

impl<'a> Shown<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let authorization = one(headers, AUTHORIZATION.as_str())?;
        let authorization = authorization.map(|value| value.split_once(' ').unwrap_or((value, "")));
        let [digest, input, signature] = PROOF_HEADERS;
        let proof = [one(headers, digest)?, one(headers, input)?, one(headers, signature)?];
        Ok(Self { authorization, proof })
    }

    const fn nothing(&self) -> bool {
        matches!((self.authorization, self.proof), (None, [_, None, None]))
    }

    /// What is missing, or shown and not accepted here.
    fn fault(&self, accepts: Accepts) -> Option<Error> {
        let wanted = match accepts {
            Accepts::Token => Some("bearer"),
            Accepts::Ticket => Some("keyhaven-ticket"),
            Accepts::Enrolment => Some("keyhaven-enrolment"),
            Accepts::Device => None,
        };
        let scheme = self.authorization.map(|(scheme, _)| scheme.to_ascii_lowercase());
        if scheme.as_deref() != wanted {
            return Some(Error::Unauthenticated);
        }
        let needs_proof = accepts != Accepts::Token;
        if needs_proof && self.proof.iter().all(Option::is_none) && wanted.is_none() {
            return Some(Error::Unauthenticated);
        }
        let proven = self.proof.iter().all(Option::is_some);
        (needs_proof && !proven).then_some(Error::Device(DeviceFault::ProofInvalid))
    }
}

/// A header that may stand once. A value that is not ASCII reads as an empty one, which holds nowhere.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Refusal::Malformed(format!("the header `{name}` stands more than once")));
    }
    Ok(first.map(|value| value.to_str().unwrap_or_default()))
}

/// Has the engine check a credential of the right kind.
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
        path_and_query: head.uri.path_and_query().map_or("", |target| target.as_str()),
        body,
        content_digest: digest,
        signature_input: input,
        signature,
    };
    // The keys of a device that enrols are in the body; they are only believed because it signed.
    let keys: DevicePublicKeys;
    let presented = match route.accepts {
        Accepts::Token => Presented::Token(credential),
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

/// The longest path that is recorded.
const LONGEST_PATH: usize = 200;

/// Records whose credential did not hold. Faults of our own are none of the caller's.
async fn refuse(
    wire: &Wire,
    (route, path): (&Route, &str),
    (info, fault): (RequestInfo, Error),
) -> Result<Caller, Refusal> {
    if matches!(fault, Error::Unavailable | Error::OutcomeUnknown | Error::Internal) {
        return Err(fault.into());
    }
    let event = Event::named(route.operation, path.chars().take(LONGEST_PATH).collect());
    Ok(wire.engine.refuse(&Caller::unknown(info), &event, fault).await?)
}
