//! Starting: a new installation is set up; an old one is checked against the HSM before it serves.

use keyhaven_shared::{
    ids::{DeploymentId, KeyringId},
    operation::Operation,
    secret::DomainKey,
};
use zeroize::Zeroizing;

use crate::{
    act::{Act, Effect, Scene},
    caller::Caller,
    directory::put,
    engine::Engine,
    error::Error,
    keystore::{derive_audit_key, derive_ticket_seed, domain_aad},
    name::KeyName,
    op::{
        keyring::{CreateKeyring, make_domain},
        policy::next_epoch,
        shred::{DestroyKey, due_for_destruction},
        token::make_token,
    },
    permit::Permit,
    port::{
        Ports,
        hsm::{HsmKey, HsmRole},
        store::{Epoch, Kind, Place, Row},
    },
    record::{
        DeploymentRecord, KeyringRecord, PolicyRecord, PrincipalRecord, deployment_place,
        keyring_id,
    },
    services::Services,
    ticket::TicketOffice,
};

/// A started engine.
pub struct Started {
    /// Ready to serve.
    pub engine: Engine,
    /// The admin's API token, when the installation is new: shown this once.
    pub admin_token: Option<Zeroizing<String>>,
}

/// The policy that a new installation begins with.
pub const FIRST_POLICY: &str = "// Members of the group `administrators` may do everything.
permit(principal in Keyhaven::Group::\"administrators\", action, resource);
";

/// Starts an engine over its ports.
///
/// # Errors
/// As the ports; [`Error::Internal`], with the reason in the log, when the HSM does not hold the keys that
/// the store names, or not as they were made.
pub async fn start(ports: Ports, dev: bool) -> Result<Started, Error> {
    let began = ports.environment.now();
    let row = ports.store.read(deployment_place()).await?;
    let Row { body: Some(body), .. } = row else { return set_up(ports, dev).await };
    let record: DeploymentRecord = serde_json::from_slice(&body).map_err(|_| Error::Internal)?;
    let deployment: DeploymentId = record.id.parse().map_err(|_| Error::Internal)?;
    let system: KeyringId = record.system.parse().map_err(|_| Error::Internal)?;
    let root = HsmRole::Root { keyring: system, epoch: 1 };
    for role in [root, HsmRole::Issuer, HsmRole::Log] {
        ports.hsm.check_key(HsmKey { deployment, role }).await?;
    }
    let root = HsmKey { deployment, role: root };
    let aad = domain_aad(deployment, system, 1, 1);
    let domain = ports.hsm.open(root, aad, record.sealed_domain.0.clone()).await?;
    let engine = Engine::new(services(deployment, dev, ports, &domain)?);
    engine.services().proofs.begin_after(began);
    check_roots(&engine).await?;
    engine.rules().await?;
    Ok(Started { engine, admin_token: None })
}

fn services(
    deployment: DeploymentId,
    dev: bool,
    ports: Ports,
    system: &DomainKey,
) -> Result<Services, Error> {
    let tickets = TicketOffice::new(deployment, &derive_ticket_seed(system)?)?;
    Ok(Services::new((deployment, dev), ports, (tickets, derive_audit_key(system)?)))
}

/// Every keyring's root must be in the HSM as it was made. A root that is gone means that the database
/// is older than the HSM: a copy from before a key was destroyed. A root older than the keyring's is what
/// an interrupted destruction left: it is destroyed now. Newer ones are left alone, for a newer database.
async fn check_roots(engine: &Engine) -> Result<(), Error> {
    let services = engine.services();
    let (deployment, hsm) = (services.deployment, &services.ports.hsm);
    let in_token = hsm.keys(deployment).await?;
    let keyrings = services.directory.list::<KeyringRecord>(("", ""), usize::MAX).await?;
    for row in keyrings {
        let keyring = keyring_id(&row.record)?;
        let role = HsmRole::Root { keyring, epoch: row.record.root_epoch };
        hsm.check_key(HsmKey { deployment, role }).await.inspect_err(|error| {
            let name = &row.record.name;
            tracing::error!(%error, keyring = name, "the database is not of the same time as the HSM: restore the newest one");
        })?;
        let left_over = in_token.iter().filter(|key| match key.role {
            HsmRole::Root { keyring: owner, epoch } => {
                owner == keyring && epoch < row.record.root_epoch
            }
            HsmRole::Issuer | HsmRole::Log => false,
        });
        for key in left_over {
            let permit = Permit::new(Operation::DestroyKey, None, (services.now(), 0));
            tracing::warn!(%key, "destroying a root key that an interrupted destruction left");
            hsm.destroy_root(&permit, *key).await?;
        }
    }
    Ok(())
}

/// Destroys the keys whose day has come. The server calls it now and then.
///
/// # Errors
/// As the first destruction that failed; the others go on the next time.
pub async fn destroy_due(engine: &Engine) -> Result<usize, Error> {
    let due = due_for_destruction(engine.services()).await?;
    for key in &due {
        destroy(engine, key).await?;
    }
    Ok(due.len())
}

async fn destroy(engine: &Engine, key: &KeyName) -> Result<(), Error> {
    let act = DestroyKey { key: key.clone() };
    engine.execute(&Caller::system("destroy-due"), &act).await.map(|_| ())
}

/// Sets up a new installation: the keys in the HSM first, then everything else in one commit.
async fn set_up(ports: Ports, dev: bool) -> Result<Started, Error> {
    let mut rng = ports.environment.make_rng()?;
    let (mut deployment, mut system) = ([0; 16], [0; 16]);
    rand_core::Rng::fill_bytes(&mut rng, &mut deployment);
    rand_core::Rng::fill_bytes(&mut rng, &mut system);
    let (deployment, system) =
        (DeploymentId::from_random(deployment), KeyringId::from_random(system));
    let permit = Permit::new(Operation::Initialise, None, (ports.environment.now(), 0));
    for role in [HsmRole::Issuer, HsmRole::Log] {
        ports.hsm.make_key(&permit, HsmKey { deployment, role }).await?;
    }
    // The services that make the system's domain key need a ticket office, which is derived from it: so
    // a first one stands in until the key is made.
    let stand_in = DomainKey::make(&mut rng);
    let first = services(deployment, dev, ports.clone(), &stand_in)?;
    let (sealed_domain, domain) = make_domain(&first, &permit, (system, 1, 1)).await?;
    let engine = Engine::new(services(deployment, dev, ports, &domain)?);
    let caller = Caller::system("initialise");
    let admin_token = engine.execute(&caller, &Initialise { system, sealed_domain }).await?;
    engine.execute(&caller, &CreateKeyring { name: "default".to_owned() }).await?;
    Ok(Started { engine, admin_token: Some(admin_token) })
}

/// The first commit of an installation.
struct Initialise {
    system: KeyringId,
    sealed_domain: keyhaven_shared::api::bytes::Base64Bytes,
}

/// The first admin's token is good for ten years: it is meant to be replaced, not to lock its owner out.
const ADMIN_TOKEN_LIFE: u64 = 10 * 365 * 24 * 3600;

impl Act for Initialise {
    type Answer = Zeroizing<String>;
    const OPERATION: Operation = Operation::Initialise;

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<Zeroizing<String>>, Error> {
        let now = scene.permit.now();
        let deployment = DeploymentRecord {
            id: services.deployment.to_string(),
            system: self.system.to_string(),
            sealed_domain: self.sealed_domain.clone(),
            created_ms: services.ports.environment.now_ms(),
        };
        let admin = PrincipalRecord {
            name: "admin".to_owned(),
            groups: vec!["administrators".to_owned()],
            enabled: true,
            created_at: now,
        };
        let policy = PolicyRecord { text: FIRST_POLICY.to_owned(), updated_at: now };
        let (issued, token) =
            make_token(services, ("admin", now.saturating_add(ADMIN_TOKEN_LIFE)))?;
        let writes = vec![
            put(deployment_place(), Epoch::ABSENT, &deployment)?,
            put(Place::new(Kind::Principal, "admin"), Epoch::ABSENT, &admin)?,
            put(Place::new(Kind::Policy, "administrators"), Epoch::ABSENT, &policy)?,
            next_epoch(Epoch::ABSENT),
            token,
        ];
        Ok(Effect::answer(issued.token).writing(writes))
    }
}
