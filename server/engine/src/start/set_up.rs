//! A new installation: the keys in the HSM first, then everything else in one commit.
//!
//! So there is never half an installation in the store. When it fails, its keys in the HSM are destroyed
//! again. A process that dies meanwhile leaves them: keys of a deployment that nobody knows. The next
//! attempt has another id and does not meet them.

use std::sync::Arc;

use keyhaven_shared::{
    api::bytes::Base64Bytes,
    ids::{DeploymentId, KeyringId},
    operation::Operation,
    secret::DomainKey,
};
use zeroize::Zeroizing;

use crate::{
    act::{Act, Effect, Scene, TargetName},
    audit::{self, Event},
    caller::Caller,
    directory::put,
    engine::Engine,
    error::Error,
    integrity::RowSeal,
    keystore::{derive_audit_key, derive_row_mac, derive_ticket_seed},
    op::{
        keyring::{make_domain, make_keyring},
        policy::next_epoch,
        token::make_token,
    },
    permit::Permit,
    port::{
        Ports,
        hsm::{HsmKey, HsmRole},
        store::{Epoch, Kind, Place, Proposal, Verdict, Write},
    },
    record::{DeploymentRecord, PolicyRecord, PrincipalRecord, TokenRecord, deployment_place},
    services::Services,
    ticket::TicketOffice,
};

/// A started engine.
pub struct Started {
    /// Ready to serve. All of its roots were checked.
    pub engine: Engine,
    /// The admin's API token, when the installation is new: shown this once.
    pub admin_token: Option<Zeroizing<String>>,
}

/// The policy that a new installation begins with. Only a beginning: it can be replaced like any
/// other, and nothing keeps it from being removed.
pub const FIRST_POLICY: &str = "// Members of the group `administrators` may do everything.
permit(principal in Keyhaven::Group::\"administrators\", action, resource);
";

/// Keeps a new installation's admin token. It is called before the installation exists: a token that
/// cannot be kept is not made.
pub type KeepToken<'a> = &'a (dyn Fn(&str) -> Result<(), Error> + Sync);

/// Services whose secrets come from the system's domain key. The key itself is not kept.
pub(super) fn services(
    deployment: DeploymentId,
    dev: bool,
    ports: Ports,
    system: &DomainKey,
) -> Result<Services, Error> {
    let tickets = TicketOffice::new(deployment, &derive_ticket_seed(system)?)?;
    let seal = RowSeal::new(deployment, derive_row_mac(system)?);
    Ok(Services::new((deployment, dev), ports, (tickets, derive_audit_key(system)?, seal)))
}

/// Sets up a new installation. The admin's token is kept before the one commit. Two servers that
/// set up the same store at once both try; one commit wins, the other is a conflict.
pub(super) async fn set_up(ports: Ports, dev: bool, keep: KeepToken<'_>) -> Result<Started, Error> {
    let mut rng = ports.environment.make_rng()?;
    // Random ids: an attempt that fails leaves nothing that the next one could take for its own.
    let (mut deployment, mut system) = ([0; 16], [0; 16]);
    rand_core::Rng::fill_bytes(&mut rng, &mut deployment);
    rand_core::Rng::fill_bytes(&mut rng, &mut system);
    let (deployment, system) =
        (DeploymentId::from_random(deployment), KeyringId::from_random(system));
    // There is nobody to ask, and no policy: whoever starts the server on an empty store decides.
    let permit = Permit::new(Operation::Initialise, None, (ports.environment.now(), 0));
    let hsm = Arc::clone(&ports.hsm);
    let made = make(ports, (deployment, system), (dev, &permit, keep)).await;
    if let Err(error) = &made
        // After an unknown commit the keys may be in use: they stay, and the next start finds out.
        && *error != Error::OutcomeUnknown
        && let Err(error) = hsm.abandon(&permit, deployment).await
    {
        tracing::warn!(%error, %deployment, "keys of an installation that was not made are left in the HSM");
    }
    made
}

/// Makes all of it, with ids that nothing has yet. What fails may leave keys in the HSM.
async fn make(
    ports: Ports,
    (deployment, system): (DeploymentId, KeyringId),
    (dev, permit, keep): (bool, &Permit, KeepToken<'_>),
) -> Result<Started, Error> {
    let mut rng = ports.environment.make_rng()?;
    for role in [HsmRole::Issuer, HsmRole::Log] {
        ports.hsm.make_key(permit, HsmKey { deployment, role }).await?;
    }
    let issuer = ports.hsm.public_key(HsmKey { deployment, role: HsmRole::Issuer }).await?;
    let log = ports.hsm.public_key(HsmKey { deployment, role: HsmRole::Log }).await?;
    // The services that make the system's domain key need a ticket office, which is derived from it: so
    // a first one stands in until the key is made.
    let stand_in = DomainKey::make(&mut rng);
    let first = services(deployment, dev, ports.clone(), &stand_in)?;
    // Under the real deployment and keyring ids: only the derived secrets are stand-ins.
    let made = make_domain(&first, permit, (system, 1, 1)).await?;
    let engine = Engine::new(services(deployment, dev, ports, &made.key)?);
    let record = DeploymentRecord {
        id: deployment.to_string(),
        system: system.to_string(),
        sealed_domain: made.sealed,
        issuer: Base64Bytes(issuer.to_vec()),
        log: Base64Bytes(log.to_vec()),
        created_ms: engine.services().ports.environment.now_ms(),
    };
    let admin_token = initialise(engine.services(), permit, (&record, keep)).await?;
    Ok(Started { engine, admin_token: Some(admin_token) })
}

/// The keyring that a new installation has.
const FIRST_KEYRING: &str = "default";
/// The principal that a new installation has.
const ADMIN: &str = "admin";
/// The first admin's token is good for ten years: it is meant to be replaced, not to lock its owner out.
const ADMIN_TOKEN_LIFE: u64 = 10 * 365 * 24 * 3600;

/// Everything that a new installation consists of. There is no policy yet that could be asked.
async fn initialise(
    services: &Services,
    permit: &Permit,
    (deployment, keep): (&DeploymentRecord, KeepToken<'_>),
) -> Result<Zeroizing<String>, Error> {
    let now = permit.now();
    let (issued, token) = make_token(services, (ADMIN, now.saturating_add(ADMIN_TOKEN_LIFE)))?;
    // Before the commit: an installation whose only token nobody has could not be governed.
    keep(&issued.token)?;
    let admin = PrincipalRecord {
        name: ADMIN.to_owned(),
        groups: vec!["administrators".to_owned()],
        enabled: true,
        created_at: now,
    };
    let policy = PolicyRecord { text: FIRST_POLICY.to_owned(), updated_at: now };
    let (keyring, _) = make_keyring(services, permit, FIRST_KEYRING).await?;
    let writes = vec![
        // Each place must be one where nothing ever was: this is what makes a second set-up fail.
        put(deployment_place(), Epoch::ABSENT, deployment)?,
        put(Place::new(Kind::Principal, ADMIN), Epoch::ABSENT, &admin)?,
        put(Place::new(Kind::Policy, "administrators"), Epoch::ABSENT, &policy)?,
        put(Place::new(Kind::Keyring, FIRST_KEYRING), Epoch::ABSENT, &keyring)?,
        next_epoch(Epoch::ABSENT),
        token,
    ];
    commit(services, writes).await.map(|()| issued.token)
}

/// The one commit, recorded as `Initialise`. It does not go through the engine, which would ask
/// policies that are only being written.
async fn commit(services: &Services, writes: Vec<Write>) -> Result<(), Error> {
    let subject = Some(FIRST_KEYRING.to_owned());
    let event = Event::named(Operation::Initialise, TargetName::Deployment.to_string());
    let event = event.with(Event { subject, ..Event::default() });
    let (caller, now_ms) = (Caller::system("initialise"), services.ports.environment.now_ms());
    let entry = audit::entry((&services.audit_key, &caller), &event, Ok(()), now_ms)?;
    let seal = Arc::clone(&services.seal);
    let proposal = Proposal { reads: vec![], writes, spends: vec![], seal, entry };
    match services.commit(proposal).await? {
        Verdict::Committed { .. } => Ok(()),
        Verdict::Tampered(place, fault) => Err(services.alarms.raise(&place, fault)),
        Verdict::RolledBack => Err(services.alarms.raise_rolled_back()),
        Verdict::Stale(_) | Verdict::Spent(_) => {
            Err(Error::Conflict("another server is setting up the same store"))
        }
    }
}

/// Mints the first admin's token anew and revokes the one before it: for an operator to whom that
/// was never shown. The caller has made sure that no credential was ever used. All tokens that are
/// not revoked yet are; the new one is good for ten years.
///
/// # Errors
/// As the store.
pub async fn renew_first_token(engine: &Engine) -> Result<Zeroizing<String>, Error> {
    engine.execute(&Caller::system("renew-first-token"), &RenewFirstToken).await
}

/// As an operation, so that it is recorded; no protocol has it.
struct RenewFirstToken;

impl Act for RenewFirstToken {
    type Answer = Zeroizing<String>;
    const OPERATION: Operation = Operation::IssueToken;

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<Zeroizing<String>>, Error> {
        let now = scene.permit.now();
        let rows = services.directory.list::<TokenRecord>(("", ""), usize::MAX).await?;
        let revoked = rows.into_iter().filter(|row| row.record.revoked_at.is_none()).map(|row| {
            let record = TokenRecord { revoked_at: Some(now), ..TokenRecord::clone(&row.record) };
            put(row.place, row.epoch, &record)
        });
        // In the same commit as the new one: at no time are two of them good.
        let mut writes = revoked.collect::<Result<Vec<_>, _>>()?;
        let (issued, token) = make_token(services, (ADMIN, now.saturating_add(ADMIN_TOKEN_LIFE)))?;
        writes.push(token);
        let subject = Some(format!("{ADMIN} {}", issued.id));
        let effect = Effect::answer(issued.token).writing(writes);
        Ok(effect.noting(Event { subject, ..Event::default() }))
    }
}
