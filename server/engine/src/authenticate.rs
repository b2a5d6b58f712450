//! Who is asking: a presented credential becomes a [`Caller`], or is refused. Every way in fails closed,
//! and none falls back to another.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use keyhaven_shared::{
    device::DevicePublicKeys,
    http_signature::{ContentDigest, SignatureParams, parse_signature, signature_base},
    ids::{DeviceId, TokenId},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    caller::{Caller, CallerDevice, Credential, RequestInfo},
    directory::Loaded,
    error::{DeviceFault, Error},
    port::store::{Kind, Place},
    record::{Device, DeviceRecord, PrincipalRecord, TokenRecord, device_place},
    replay::{self, WINDOW},
    services::Services,
};

/// What a request presents to prove who is asking.
#[derive(Clone, Copy)]
pub enum Presented<'a> {
    /// An API token.
    Token(&'a str),
    /// A ticket, with the device's proof.
    Ticket(&'a str, Proof<'a>),
    /// An enrolment token, with the proof of the device whose keys the body brings.
    Enrolment(&'a str, Proof<'a>, &'a DevicePublicKeys),
    /// A device's proof alone.
    Device(Proof<'a>),
}

/// A request signed by a device (RFC 9421), and the request itself.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The request target, as sent.
    pub path_and_query: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The header `Content-Digest`.
    pub content_digest: &'a str,
    /// The header `Signature-Input`.
    pub signature_input: &'a str,
    /// The header `Signature`.
    pub signature: &'a str,
}

/// Finds out who is asking.
///
/// # Errors
/// [`Error::Unauthenticated`], or what is wrong with the ticket, enrolment token or device.
pub async fn authenticate(
    services: &Services,
    presented: Presented<'_>,
    request: RequestInfo,
) -> Result<Caller, Error> {
    let now = services.now();
    match presented {
        Presented::Token(token) => by_token(services, token, (now, request)).await,
        Presented::Ticket(ticket, proof) => {
            let claims = services.tickets.check_ticket(ticket, now)?;
            let (device, proof) = enrolled_device(services, &proof, now).await?;
            if device.record.record.owner != claims.subject {
                return Err(Error::Ticket(crate::error::TicketFault::WrongDevice));
            }
            let principal = principal(services, &claims.subject).await?;
            let caller = device_caller(Credential::Ticket(claims), (principal, device), request)?;
            accepted(services, caller, (&proof, now))
        }
        Presented::Enrolment(token, proof, keys) => {
            let claims = services.tickets.check_enrolment(token, now)?;
            let params = check_proof(&proof, keys, now)?;
            let principal = principal(services, &claims.subject).await?;
            let reads = vec![principal.read()];
            let device = Some(CallerDevice { id: params.device, row: None });
            let credential = Credential::Enrolment(claims);
            // No proof is remembered: the token, which is good once, is what cannot be repeated.
            Ok(Caller {
                principal: Some(principal),
                credential,
                device,
                proof: None,
                reads,
                request,
            })
        }
        Presented::Device(proof) => {
            let (device, proof) = enrolled_device(services, &proof, now).await?;
            let principal = principal(services, &device.record.record.owner).await?;
            let caller = device_caller(Credential::Device, (principal, device), request)?;
            accepted(services, caller, (&proof, now))
        }
    }
}

fn device_caller(
    credential: Credential,
    (principal, device): (Loaded<PrincipalRecord>, Loaded<Device>),
    request: RequestInfo,
) -> Result<Caller, Error> {
    let reads = vec![principal.read(), device.read()];
    let id: DeviceId = device.place.id.parse().map_err(|_| Error::Internal)?;
    let device = Some(CallerDevice { id, row: Some(device) });
    Ok(Caller { principal: Some(principal), credential, device, proof: None, reads, request })
}

/// The last step, when all else holds: the same proof is not accepted a second time.
fn accepted(
    services: &Services,
    caller: Caller,
    (proof, now): (&SignatureParams, u64),
) -> Result<Caller, Error> {
    services.proofs.accept(proof, now)?;
    Ok(Caller { proof: replay::ahead(proof, now), ..caller })
}

/// An API token is `kh1.<id>.<secret>`: looked up by its id, which is no secret, and compared by the
/// secret's hash in constant time.
async fn by_token(
    services: &Services,
    token: &str,
    (now, request): (u64, RequestInfo),
) -> Result<Caller, Error> {
    let mut parts = token.split('.');
    let (Some("kh1"), Some(id), Some(secret), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::Unauthenticated);
    };
    let id: TokenId = id.parse().map_err(|_| Error::Unauthenticated)?;
    let row = services.directory.load::<TokenRecord>(Place::new(Kind::Token, id)).await?;
    let row = row.ok_or(Error::Unauthenticated)?;
    let hash = Sha256::digest(secret.as_bytes());
    let known = bool::from(hash.as_slice().ct_eq(&row.record.secret_sha256.0));
    if !known || row.record.revoked_at.is_some() || row.record.expires_at <= now {
        return Err(Error::Unauthenticated);
    }
    let principal = principal(services, &row.record.principal).await?;
    let reads = vec![row.read(), principal.read()];
    let credential = Credential::Token(id);
    let principal = Some(principal);
    Ok(Caller { principal, credential, device: None, proof: None, reads, request })
}

async fn principal(services: &Services, name: &str) -> Result<Loaded<PrincipalRecord>, Error> {
    let row = services.directory.load::<PrincipalRecord>(Place::new(Kind::Principal, name)).await?;
    row.filter(|row| row.record.enabled).ok_or(Error::Denied)
}

async fn enrolled_device(
    services: &Services,
    proof: &Proof<'_>,
    now: u64,
) -> Result<(Loaded<Device>, SignatureParams), Error> {
    let invalid = Error::Device(DeviceFault::ProofInvalid);
    let params = SignatureParams::parse(proof.signature_input).map_err(|_| invalid)?;
    let place = device_place(params.device);
    let row = services.directory.load_as::<DeviceRecord, Device>(place, Device::parse).await?;
    let row = row.ok_or(Error::Device(DeviceFault::Unknown))?;
    let params = check_proof(proof, &row.record.keys, now)?;
    if row.record.record.revoked_at.is_some() {
        return Err(Error::Device(DeviceFault::Revoked));
    }
    Ok((row, params))
}

/// Checks that the holder of the authentication key signed this very request, just now.
fn check_proof(
    proof: &Proof<'_>,
    keys: &DevicePublicKeys,
    now: u64,
) -> Result<SignatureParams, Error> {
    let invalid = |_| Error::Device(DeviceFault::ProofInvalid);
    let params = SignatureParams::parse(proof.signature_input).map_err(invalid)?;
    let digest = ContentDigest::parse(proof.content_digest).map_err(invalid)?;
    let base =
        signature_base(proof.method, proof.path_and_query, &digest, &params).map_err(invalid)?;
    let signature = parse_signature(proof.signature).map_err(invalid)?;
    // The same as the keys' own check, by a library that is faster and exists only natively.
    let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, keys.authentication_key());
    let verified = verifier.verify(base.as_bytes(), &signature).is_ok();
    let timely = params.created.abs_diff(now) <= WINDOW;
    let whole = digest == ContentDigest::of(proof.body);
    if verified && timely && whole && params.device == keys.thumbprint() {
        Ok(params)
    } else {
        Err(Error::Device(DeviceFault::ProofInvalid))
    }
}
