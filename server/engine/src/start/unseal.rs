//! The way into an old installation: its one row names the key in the HSM that opens the system's domain
//! key, from which everything else is derived.

use std::sync::Arc;

use keyhaven_shared::{
    ids::{DeploymentId, KeyringId},
    secret::DomainKey,
};

use crate::{
    error::Error,
    integrity::{NodeId, RowSeal},
    keystore::{derive_row_mac, domain_aad, other_value},
    port::{
        hsm::{Hsm, HsmKey, HsmRole},
        store::{Extract, Store},
    },
    record::{DeploymentRecord, deployment_place},
};

/// An installation's row, not checked yet but for what the HSM opened, and what that is.
pub(super) struct Unsealed {
    pub(super) record: DeploymentRecord,
    pub(super) deployment: DeploymentId,
    pub(super) system: DomainKey,
}

/// Has the HSM open the system's domain key; `None` in a store that was never used.
pub(super) async fn unseal(store: &dyn Store, hsm: &dyn Hsm) -> Result<Option<Unsealed>, Error> {
    let Extract { rows, nodes } = store.read(deployment_place()).await?;
    let Some(row) = rows.into_iter().next() else {
        let used = store.next_index().await? > 0 || !nodes.get(NodeId::Root).is_empty();
        if used {
            tracing::error!(
                "ALARM: the installation's own row was deleted from the store: restore it"
            );
        }
        return if used { Err(Error::Quarantined) } else { Ok(None) };
    };
    let Ok((record, deployment, system)) = parse(&row.body) else {
        tracing::error!("ALARM: the installation's own row was changed in the store: restore it");
        return Err(Error::Quarantined);
    };
    let root = HsmKey { deployment, role: HsmRole::Root { keyring: system, epoch: 1 } };
    hsm.check_key(root).await?;
    let aad = domain_aad(deployment, system, 1, 1);
    let system = hsm.open(root, aad, record.sealed_domain.0.clone()).await;
    let system = system.map_err(|error| other_value(root, error))?;
    Ok(Some(Unsealed { record, deployment, system }))
}

fn parse(body: &[u8]) -> Result<(DeploymentRecord, DeploymentId, KeyringId), Error> {
    let record: DeploymentRecord = serde_json::from_slice(body).map_err(|_| Error::Internal)?;
    let deployment = record.id.parse().map_err(|_| Error::Internal)?;
    let system = record.system.parse().map_err(|_| Error::Internal)?;
    Ok((record, deployment, system))
}

/// What the rows of a store are sealed with, for who wants to check them without a server; `None` in a
/// store that was never used.
///
/// # Errors
/// As the store and the HSM; [`Error::Quarantined`] when the row that names the key is not there or not
/// readable.
pub async fn row_seal(store: &dyn Store, hsm: &dyn Hsm) -> Result<Option<Arc<RowSeal>>, Error> {
    let Some(Unsealed { deployment, system, .. }) = unseal(store, hsm).await? else {
        return Ok(None);
    };
    Ok(Some(Arc::new(RowSeal::new(deployment, derive_row_mac(&system)?))))
}
