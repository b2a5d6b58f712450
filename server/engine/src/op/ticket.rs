//! Tickets and enrolment tokens, minted for one user by a backend that may.

use std::collections::BTreeMap;

use keyhaven_shared::{
    ids::{DeviceId, TicketId},
    operation::Operation,
};

use crate::{
    act::{Act, Effect, Scene, TargetName},
    audit::Event,
    error::Error,
    name::{self, KeyName},
    services::Services,
    ticket::{EnrolmentClaims, TicketClaims},
};

/// Mints a ticket for the key.
#[derive(Debug)]
pub struct MintTicket {
    /// Which key.
    pub key: KeyName,
    /// The principal it is for.
    pub subject: String,
    /// What it allows.
    pub operations: Vec<Operation>,
    /// Pairs that the encryption context must have.
    pub context: BTreeMap<String, String>,
    /// Whether the context must be exactly these.
    pub context_exact: bool,
    /// The one device it is for.
    pub device: Option<DeviceId>,
    /// How often it may be used.
    pub uses: u32,
    /// Seconds it is good for.
    pub expires_in_s: u32,
}

/// Mints an enrolment token.
#[derive(Debug)]
pub struct MintEnrolmentToken {
    /// The principal whose device it enrols.
    pub subject: String,
    /// The page origin it is for.
    pub origin: Option<String>,
    /// Seconds it is good for.
    pub expires_in_s: u32,
}

/// A minted capability.
#[derive(Debug)]
pub struct Minted {
    /// The compact JWS.
    pub token: String,
    /// Its `jti`.
    pub id: TicketId,
    /// Seconds since the Unix epoch.
    pub expires_at: u64,
}

const LONGEST_S: u32 = 3600;
const MOST_USES: u32 = 1000;

fn check_life(expires_in_s: u32) -> Result<(), Error> {
    if (1..=LONGEST_S).contains(&expires_in_s) {
        return Ok(());
    }
    Err(Error::InvalidRequest("`expires_in_s` is 1 to 3600 seconds".to_owned()))
}

fn make_id(services: &Services) -> Result<TicketId, Error> {
    let mut id = [0; 16];
    rand_core::Rng::fill_bytes(&mut services.ports.environment.make_rng()?, &mut id);
    Ok(TicketId::from_random(id))
}

fn minted((subject, id): (&str, TicketId), token: String, expires_at: u64) -> Effect<Minted> {
    let subject = Some(format!("{subject} {id}"));
    let detail = Event { subject, ..Event::default() };
    Effect::answer(Minted { token, id, expires_at }).noting(detail)
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
        let for_devices = [Operation::DeliverDataKey, Operation::UnsealDataKey];
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
        let claims = TicketClaims {
            id: make_id(services)?,
            subject: self.subject.clone(),
            key: key.record.id,
            operations: self.operations.clone(),
            context: self.context.clone(),
            context_exact: self.context_exact,
            device: self.device,
            uses: self.uses,
            expires_at: scene.permit.now().saturating_add(self.expires_in_s.into()),
        };
        let token = services.tickets.mint_ticket(&claims)?;
        Ok(minted((&self.subject, claims.id), token, claims.expires_at))
    }
}

impl Act for MintEnrolmentToken {
    type Answer = Minted;
    const OPERATION: Operation = Operation::MintEnrolmentToken;

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<Minted>, Error> {
        check_life(self.expires_in_s)?;
        name::check("principal", &self.subject)?;
        let claims = EnrolmentClaims {
            id: make_id(services)?,
            subject: self.subject.clone(),
            origin: self.origin.clone(),
            expires_at: scene.permit.now().saturating_add(self.expires_in_s.into()),
        };
        let token = services.tickets.mint_enrolment(&claims)?;
        Ok(minted((&self.subject, claims.id), token, claims.expires_at))
    }
}
