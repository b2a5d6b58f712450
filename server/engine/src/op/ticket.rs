//! Tickets and enrolment tokens, minted for one user by a backend that may.
//!
//! Minting writes nothing but the log: a ticket is its own record until it is used.

use std::collections::BTreeMap;

use keyhaven_shared::{
    ids::{DeviceId, KeyId, TicketId},
    operation::Operation,
};
use serde::{Deserialize, Serialize};

use crate::{
    act::{Act, Effect, Scene, TargetName},
    audit::Event,
    error::Error,
    name::{self, KeyName},
    once::{self, Kept, Repeatable},
    services::Services,
    ticket::{EnrolmentClaims, TicketClaims},
};

/// Mints a ticket for the key. The minter must be permitted to mint on this key, and need not be
/// permitted to use it. The subject's policies decide, too, when the ticket is used.
#[derive(Debug)]
pub struct MintTicket {
    /// Which key.
    pub key: KeyName,
    /// The principal it is for. Its name is checked, its existence is not: it may be made before
    /// the ticket is used.
    pub subject: String,
    /// What it allows. `DeliverDataKey` and `UnsealDataKey` alone: a ticket is for devices, and
    /// plaintext keys are not.
    pub operations: Vec<Operation>,
    /// Pairs that the encryption context must have. In the clear in the ticket, which its user can
    /// read.
    pub context: BTreeMap<String, String>,
    /// Whether the context must be exactly these.
    pub context_exact: bool,
    /// The one device it is for.
    pub device: Option<DeviceId>,
    /// How often it may be used. 1 to 1000.
    pub uses: u32,
    /// Seconds it is good for.
    /// 1 to 3600.
    pub expires_in_s: u32,
}

/// Mints an enrolment token. Whoever may do this can enrol a device as any principal: the right is
/// on the installation.
#[derive(Debug)]
pub struct MintEnrolmentToken {
    /// The principal whose device it enrols.
    pub subject: String,
    /// The page origin it is for. Compared byte by byte with what the device says; `None` fits any.
    pub origin: Option<String>,
    /// Seconds it is good for.
    pub expires_in_s: u32,
}

/// A minted capability. Shown to its minter alone, and not kept.
#[derive(Debug)]
pub struct Minted {
    /// The compact JWS.
    pub token: String,
    /// Its `jti`.
    pub id: TicketId,
    /// The key it is for; of an enrolment token, none.
    pub key: Option<KeyId>,
    /// Seconds since the Unix epoch.
    pub expires_at: u64,
}

/// What is kept of a minted capability: with the request, all that its claims are made of. It has no
/// signature, so it is worth nothing by itself.
#[derive(Serialize, Deserialize)]
struct KeptClaims {
    id: String,
    key: Option<String>,
    expires_at: u64,
}

impl Minted {
    fn kept(&self) -> Result<Kept, Error> {
        let (id, key) = (self.id.to_string(), self.key.map(|key| key.to_string()));
        let kept = Kept::of(&KeptClaims { id, key, expires_at: self.expires_at })?;
        Ok(kept.until(self.expires_at))
    }
}

/// The longest life of either, in seconds: it cannot be revoked by itself.
const LONGEST_S: u32 = 3600;
/// The most uses of a ticket: enough for a page's session.
const MOST_USES: u32 = 1000;

/// Refuses a life that is empty or too long, naming the bounds.
fn check_life(expires_in_s: u32) -> Result<(), Error> {
    if (1..=LONGEST_S).contains(&expires_in_s) {
        return Ok(());
    }
    Err(Error::InvalidRequest("`expires_in_s` is 1 to 3600 seconds".to_owned()))
}

/// A random `jti` of 122 bits; what is spent is counted under it.
fn make_id(services: &Services) -> Result<TicketId, Error> {
    let mut id = [0; 16];
    rand_core::Rng::fill_bytes(&mut services.ports.environment.make_rng()?, &mut id);
    Ok(TicketId::from_random(id))
}

/// The answer, and for the record whom it is for and its `jti`. The token itself is in no record.
fn noted(subject: &str, minted: Minted) -> Effect<Minted> {
    let subject = Some(format!("{subject} {}", minted.id));
    let detail = Event { subject, ..Event::default() };
    Effect::answer(minted).noting(detail)
}

impl Act for MintTicket {
    type Answer = Minted;
    const OPERATION: Operation = Operation::MintTicket;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<Minted>, Error> {
        check_life(self.expires_in_s)?;
        name::check("principal", &self.subject)?;
        // What answers with something sealed, and nothing that answers in plaintext.
        let for_devices = [Operation::DeliverDataKey, Operation::UnsealDataKey];
        // Refused here and not only when it is used: a ticket for anything else would be no use, or
        // more than its minter thinks.
        let only_those = self.operations.iter().all(|operation| for_devices.contains(operation));
        if self.operations.is_empty() || !only_those {
            return Err(Error::InvalidRequest(
                "a ticket allows `DeliverDataKey`, `UnsealDataKey` or both".to_owned(),
            ));
        }
        if !(1..=MOST_USES).contains(&self.uses) {
            return Err(Error::InvalidRequest("`uses` is 1 to 1000".to_owned()));
        }
        let (_, key) = scene.resource.key()?;
        let expires_at = scene.permit.now().saturating_add(self.expires_in_s.into());
        // Signed before the gate. If that refuses, the token is dropped and nobody has seen it.
        let minted = self.sign(services, (make_id(services)?, key.record.id, expires_at))?;
        Ok(noted(&self.subject, minted))
    }
}

impl MintTicket {
    /// The ticket; the same claims always give the same bytes (RFC 8032).
    fn sign(
        &self,
        services: &Services,
        (id, key, expires_at): (TicketId, KeyId, u64),
    ) -> Result<Minted, Error> {
        let token = services.tickets.mint_ticket(&TicketClaims {
            id,
            subject: self.subject.clone(),
            key,
            operations: self.operations.clone(),
            context: self.context.clone(),
            context_exact: self.context_exact,
            device: self.device,
            uses: self.uses,
            expires_at,
        })?;
        Ok(Minted { token, id, key: Some(key), expires_at })
    }
}

impl Repeatable for MintTicket {
    fn keep(answer: &Minted) -> Result<Kept, Error> {
        answer.kept()
    }

    fn again(&self, services: &Services, kept: serde_json::Value) -> Result<Minted, Error> {
        let KeptClaims { id, key, expires_at } = once::told(kept)?;
        let id = id.parse().map_err(|_| Error::Internal)?;
        // The one of then: the alias in the request may be another key's by now.
        let key = key.and_then(|key| key.parse().ok()).ok_or(Error::Internal)?;
        self.sign(services, (id, key, expires_at))
    }
}

impl Act for MintEnrolmentToken {
    type Answer = Minted;
    const OPERATION: Operation = Operation::MintEnrolmentToken;

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<Minted>, Error> {
        check_life(self.expires_in_s)?;
        name::check("principal", &self.subject)?;
        let expires_at = scene.permit.now().saturating_add(self.expires_in_s.into());
        Ok(noted(&self.subject, self.sign(services, (make_id(services)?, expires_at))?))
    }
}

impl MintEnrolmentToken {
    /// The enrolment token; the same claims always give the same bytes.
    fn sign(
        &self,
        services: &Services,
        (id, expires_at): (TicketId, u64),
    ) -> Result<Minted, Error> {
        let (subject, origin) = (self.subject.clone(), self.origin.clone());
        let claims = EnrolmentClaims { id, subject, origin, expires_at };
        let token = services.tickets.mint_enrolment(&claims)?;
        Ok(Minted { token, id, key: None, expires_at })
    }
}

impl Repeatable for MintEnrolmentToken {
    fn keep(answer: &Minted) -> Result<Kept, Error> {
        answer.kept()
    }

    fn again(&self, services: &Services, kept: serde_json::Value) -> Result<Minted, Error> {
        let KeptClaims { id, key: _, expires_at } = once::told(kept)?;
        self.sign(services, (id.parse().map_err(|_| Error::Internal)?, expires_at))
    }
}
