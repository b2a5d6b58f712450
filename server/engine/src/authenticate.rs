//! Who is asking: a presented credential becomes a [`Caller`], or is refused. Every way in fails closed,
//! and none falls back to another.
//!
//! What is said of a refusal depends on what was proved. Whatever is wrong with an API token, or with a
//! token of an identity provider, is [`Error::Unauthenticated`], so that neither is an oracle. A
//! ticket or a device is told what is wrong with it, because its holder is a program that must
//! react.

// The one use of this library in the engine; see `check_proof`.
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
    federation::Federation,
    identity::Identity,
    port::store::{Kind, Place},
    record::{
        Device, DeviceRecord, IdentityRecord, PrincipalRecord, TokenRecord, device_place,
        identity_place,
    },
    replay::{self, WINDOW},
    services::Services,
};

/// What a request presents to prove who is asking. Which of them an endpoint accepts is fixed in
/// the protocol's table, so a client cannot pick the weakest.
#[derive(Clone, Copy)]
pub enum Presented<'a> {
    /// An API token. The whole text, as it was sent.
    Token(&'a str),
    /// A token of an identity provider, likewise, and the providers that are believed.
    Oidc(&'a str, &'a Federation),
    /// A ticket, with the device's proof. The proof keeps a ticket that was read on the way from
    /// being used by another device.
    Ticket(&'a str, Proof<'a>),
    /// An enrolment token, with the proof of the device whose keys the body brings. The proof shows
    /// that the sender holds the private key to what it enrols.
    Enrolment(&'a str, Proof<'a>, &'a DevicePublicKeys),
    /// A device's proof alone.
    Device(Proof<'a>),
}

/// A request signed by a device (RFC 9421), and the request itself.
/// All of it is as it came over the wire: neither decoded nor normalised, or the signature would be
/// checked over something else than what is then done.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The request target, as sent. In origin form; the signature does not cover the host.
    pub path_and_query: &'a str,
    /// The body. Compared with the signed digest: a proof without it would fit any body.
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
/// [`Error::Unauthenticated`] for an API token, or an identity provider's token, that does not hold, for
/// whatever reason;
/// [`Error::Denied`] for a principal that is unknown or disabled; [`Error::Ticket`],
/// [`Error::Enrolment`] or [`Error::Device`]; as the store. Nothing is recorded: the protocol does
/// that, which knows the endpoint.
pub async fn authenticate(
    services: &Services,
    presented: Presented<'_>,
    request: RequestInfo,
) -> Result<Caller, Error> {
    let now = services.now();
    match presented {
        Presented::Token(token) => by_token(services, token, (now, request)).await,
        Presented::Oidc(token, federation) => {
            let verified = federation.verify(token, now).await.ok_or(Error::Unauthenticated)?;
            let caller = by_identity(services, &verified.identity, request).await?;
            Ok(Caller { proof: verified.spend, ..caller })
        }
        Presented::Ticket(ticket, proof) => {
            let claims = services.tickets.check_ticket(ticket, now)?;
            let (device, proof) = enrolled_device(services, &proof, now).await?;
            // One user's device cannot use another user's ticket, even if the ticket names no
            // device.
            if device.record.record.owner != claims.subject {
                return Err(Error::Ticket(crate::error::TicketFault::WrongDevice));
            }
            let principal = principal(services, &claims.subject).await?;
            let caller = device_caller(Credential::Ticket(claims), (principal, device), request)?;
            accepted(services, caller, (&proof, now))
        }
        Presented::Enrolment(token, proof, keys) => {
            let claims = services.tickets.check_enrolment(token, now)?;
            // The device has no row yet: its own keys, from the body, must verify the proof over
            // that body.
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

/// A caller whose device proved itself; its principal and its device are among what the gate
/// checks.
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
///
/// The last, so that a request which is refused before it does not fill the memory of proofs, and
/// may be sent again as it is. A request that policies refuse afterwards has used its proof up.
fn accepted(
    services: &Services,
    caller: Caller,
    (proof, now): (&SignatureParams, u64),
) -> Result<Caller, Error> {
    services.proofs.accept(proof, now)?;
    Ok(Caller { proof: replay::ahead(proof, now), ..caller })
}

/// An API token is `kh1.<id>.<secret>`: looked up by its id, which is no secret, and compared by
/// the secret's hash in constant time. The secret has 256 random bits, so a plain hash is enough:
/// there is nothing to guess, and a slow hash would only make each request slow.
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
    // The text is hashed as it was sent: one spelling, and nothing to decode before it is believed.
    let hash = Sha256::digest(secret.as_bytes());
    let known = bool::from(hash.as_slice().ct_eq(&row.record.secret_sha256.0));
    // One answer for all three: a holder of an old token learns no more than a guesser.
    if !known || row.record.revoked_at.is_some() || row.record.expires_at <= now {
        return Err(Error::Unauthenticated);
    }
    let principal = principal(services, &row.record.principal).await?;
    let reads = vec![row.read(), principal.read()];
    let credential = Credential::Token(id);
    let principal = Some(principal);
    Ok(Caller { principal, credential, device: None, proof: None, reads, request })
}

/// Whoever an administrator bound to this identity. One that is bound to nobody is nobody: there is no
/// principal for everyone, and none is made on the way.
async fn by_identity(
    services: &Services,
    identity: &Identity,
    request: RequestInfo,
) -> Result<Caller, Error> {
    let id = identity.id();
    let row = services.directory.load::<IdentityRecord>(identity_place(id)).await?;
    let row = row.ok_or(Error::Unauthenticated)?;
    // The id is a hash; what it stands for is compared all the same.
    let Identity { issuer, subject } = identity;
    if (&row.record.issuer, &row.record.subject) != (issuer, subject) {
        return Err(Error::Unauthenticated);
    }
    let principal = principal(services, &row.record.principal).await?;
    let reads = vec![row.read(), principal.read()];
    let credential = Credential::Oidc(id);
    let principal = Some(principal);
    Ok(Caller { principal, credential, device: None, proof: None, reads, request })
}

/// The principal's row, if it may act. Unknown and disabled look alike.
async fn principal(services: &Services, name: &str) -> Result<Loaded<PrincipalRecord>, Error> {
    let row = services.directory.load::<PrincipalRecord>(Place::new(Kind::Principal, name)).await?;
    row.filter(|row| row.record.enabled).ok_or(Error::Denied)
}

/// The device that a proof names, if the proof is its own.
///
/// The row is found by the `keyid` of the signature, which is a claim until `check_proof` has held.
async fn enrolled_device(
    services: &Services,
    proof: &Proof<'_>,
    now: u64,
) -> Result<(Loaded<Device>, SignatureParams), Error> {
    let invalid = Error::Device(DeviceFault::ProofInvalid);
    // Only to learn whose keys to check with; `check_proof` reads it again, with all the rest.
    let params = SignatureParams::parse(proof.signature_input).map_err(|_| invalid)?;
    let place = device_place(params.device);
    let row = services.directory.load_as::<DeviceRecord, Device>(place, Device::parse).await?;
    let row = row.ok_or(Error::Device(DeviceFault::Unknown))?;
    let params = check_proof(proof, &row.record.keys, now)?;
    // After the proof: who cannot sign for a device does not learn that it was revoked.
    if row.record.record.revoked_at.is_some() {
        return Err(Error::Device(DeviceFault::Revoked));
    }
    Ok((row, params))
}

/// Checks that the holder of the authentication key signed this very request, just now.
///
/// RFC 9421 §3.2, in the one shape that devices write. The covered components are fixed by that
/// shape (§7.2.1): method, path, query and digest, so nothing of them can be left out. The date may
/// be 300 seconds off either way. Whether the proof was seen before is not checked here.
///
/// # Errors
/// [`DeviceFault::ProofInvalid`] for everything: a forger learns nothing by trying.
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
    // All are computed before any is looked at. The thumbprint ties the keys to the device that the
    // proof names: without it, a device could sign under another's id.
    if verified && timely && whole && params.device == keys.thumbprint() {
        Ok(params)
    } else {
        Err(Error::Device(DeviceFault::ProofInvalid))
    }
}
