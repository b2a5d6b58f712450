//! Starting: a new installation is set up; an old one is checked against the HSM before it serves.
//!
//! An old one is trusted only as far as the HSM vouches for it: the keys that the store names must
//! be in the token as they were made, and must open what they sealed. This finds a token, or a
//! database, of another installation or another time. It does not find a database that was edited,
//! or rolled back to a time since the last destruction.

mod set_up;
mod unseal;

use keyhaven_shared::{ids::DeploymentId, operation::Operation};

use self::{
    set_up::{services, set_up},
    unseal::Unsealed,
};
use crate::{
    act::TargetName,
    caller::Caller,
    engine::Engine,
    error::Error,
    name::KeyName,
    op::shred::{DestroyKey, due_for_destruction},
    permit::Permit,
    port::{
        Ports,
        hsm::{Hsm, HsmError, HsmKey, HsmRole},
    },
    record::{DeploymentRecord, KeyringRecord, deployment_place, keyring_id},
};

pub use self::{
    set_up::{FIRST_POLICY, KeepToken, Started, renew_first_token},
    unseal::row_seal,
};

/// Starts an engine over its ports. Called once, before the server listens. `dev` lets keys be
/// destroyed without waiting.
///
/// # Errors
/// As the ports; [`Error::Internal`], with the reason in the log, when the HSM does not hold the keys that
/// the store names, or not as they were made.
pub async fn start(ports: Ports, dev: bool) -> Result<Started, Error> {
    start_keeping(ports, dev, &|_| Ok(())).await
}

/// As [`start`]; the admin's token of a new installation is kept before that exists.
///
/// # Errors
/// As [`start`], and as `keep`. When `keep` fails, no installation comes into being.
pub async fn start_keeping(ports: Ports, dev: bool, keep: KeepToken<'_>) -> Result<Started, Error> {
    // Before anything is read: a proof that an earlier process accepted until now is dated below
    // this, or was counted in the store.
    let began = ports.environment.now();
    let Some(unsealed) = unseal::unseal(ports.store.as_ref(), ports.hsm.as_ref()).await? else {
        return set_up(ports, dev, keep).await;
    };
    let Unsealed { record, deployment, system } = unsealed;
    check_signers(ports.hsm.as_ref(), deployment, &record).await?;
    let next_index = ports.store.next_index().await?;
    let engine = Engine::new(services(deployment, dev, ports, &system)?);
    engine.services().proofs.begin_after(began);
    engine.services().seal.saw_entries(next_index);
    // It named the key that its own MAC is checked with: the HSM had to have opened that.
    engine.services().directory.read(deployment_place()).await?;
    // Then every keyring, and the policies: better not to serve at all than to refuse one by one.
    check_roots(&engine).await?;
    engine.rules().await?;
    Ok(Started { engine, admin_token: None })
}

/// Issuer and log key must be in the HSM as they were made, with the values that they had: devices and
/// auditors have pinned them, and would refuse others.
async fn check_signers(
    hsm: &dyn Hsm,
    deployment: DeploymentId,
    record: &DeploymentRecord,
) -> Result<(), HsmError> {
    for (role, kept) in [(HsmRole::Issuer, &record.issuer), (HsmRole::Log, &record.log)] {
        let key = HsmKey { deployment, role };
        hsm.check_key(key).await?;
        if kept.0 != hsm.public_key(key).await? {
            let attribute =
                "its value is another: CKA_EC_POINT is not that of the key that was made";
            return Err(HsmError::WrongAttribute { key, attribute: attribute.to_owned() });
        }
    }
    Ok(())
}

/// Every keyring's root must be in the HSM as it was made, and open what it sealed: that is how
/// another key of the same label is told from it.
///
/// A root that is gone means that the database is older than the HSM: a copy from before a key was
/// destroyed. A root older than the keyring's is what an interrupted destruction left: it is
/// destroyed now. Newer ones are left alone, for a newer database.
async fn check_roots(engine: &Engine) -> Result<(), Error> {
    let services = engine.services();
    let (deployment, hsm) = (services.deployment, &services.ports.hsm);
    let in_token = hsm.keys(deployment).await?;
    let keyrings = services.directory.list_sound::<KeyringRecord>().await?;
    for row in keyrings {
        let keyring = keyring_id(&row.record)?;
        let role = HsmRole::Root { keyring, epoch: row.record.root_epoch };
        let (name, root) = (&row.record.name, HsmKey { deployment, role });
        hsm.check_key(root).await.inspect_err(|error| {
            tracing::error!(%error, keyring = name, "the database is not of the same time as the HSM: restore the newest one");
        })?;
        services.keystore.domain(&row.record).await?;
        // Only of this keyring, and only older: its row was durable before the old root was to go.
        let left_over = in_token.iter().filter(|key| match key.role {
            HsmRole::Root { keyring: owner, epoch } => {
                owner == keyring && epoch < row.record.root_epoch
            }
            HsmRole::Issuer | HsmRole::Log => false,
        });
        for key in left_over {
            // Nobody asks for this: the destruction that left it was decided and recorded then.
            let permit = Permit::new(Operation::DestroyKey, None, (services.now(), 0));
            tracing::warn!(%key, "destroying a root key that an interrupted destruction left");
            hsm.destroy_root(&permit, *key).await?;
        }
    }
    Ok(())
}

/// Destroys the keys whose day has come. The server calls it now and then. Each is decided and
/// recorded by itself, as done by `system`. Answers how many there were. A key may be destroyed
/// some time after its day, never before it.
///
/// # Errors
/// As the first destruction that failed. Those after it were tried all the same, and each that
/// failed stands in the server's log; the next call tries them again.
pub async fn destroy_due(engine: &Engine) -> Result<usize, Error> {
    let due = due_for_destruction(engine.services()).await?;
    let mut round = Ok(due.len());
    for key in &due {
        if let Err(error) = destroy(engine, key).await {
            let key = TargetName::Key(key.clone());
            tracing::error!(%key, %error, "a key whose day has come could not be destroyed");
            // One keyring that cannot be wrapped anew is no reason to keep the keys of others.
            round = round.and(Err(error));
        }
    }
    round
}

/// One destruction, through the same door as any operation.
async fn destroy(engine: &Engine, key: &KeyName) -> Result<(), Error> {
    let act = DestroyKey { key: key.clone() };
    engine.execute(&Caller::system("destroy-due"), &act).await.map(|_| ())
}
