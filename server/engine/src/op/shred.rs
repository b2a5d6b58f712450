//! Destruction for good. Deleting rows would leave them in every backup, so destroying a key replaces
//! the keyring's root: a new root in the HSM seals a new domain key, every other key version of the
//! keyring is wrapped anew, and then the old root is destroyed. What was wrapped under it, in whatever
//! copy of the database, opens nowhere any more.
//!
//! So after a destruction, a backup of the database made before it is of no use: back up after it.

use std::{collections::HashMap, sync::Arc};

use keyhaven_shared::{
    ids::{KeyId, Version},
    key_state::KeyEvent,
    lease_event::LeaseEnd,
    operation::Operation,
};

use super::keyring::{MadeDomain, make_domain};
use crate::{
    act::{Act, Effect, Scene, TargetName},
    directory::{Loaded, put},
    error::Error,
    keystore::Domain,
    name::KeyName,
    port::{
        hsm::{HsmKey, HsmRole},
        store::{Kind, Place, Write},
    },
    record::{Key, KeyRecord, KeyringRecord, VersionRecord, keyring_id, version_count_place},
    services::Services,
};

/// Destroys a key whose day has come.
#[derive(Debug)]
pub struct DestroyKey {
    /// Which.
    pub key: KeyName,
}

impl Act for DestroyKey {
    type Answer = Key;
    const OPERATION: Operation = Operation::DestroyKey;
    const ONE_AT_A_TIME: bool = true;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        let (keyring, key) = scene.resource.key()?;
        let due = key.record.record.destruction_at.is_some_and(|at| at <= scene.permit.now());
        if !due {
            return Err(Error::InvalidRequest(
                "the waiting time is not over: wait, or cancel".to_owned(),
            ));
        }
        let state = key.record.state.apply(KeyEvent::Destroy);
        let state = state.map_err(|error| Error::WrongState(error.state))?;
        let record = key.record.record_in(state);
        // The count of versions is among what this rests on: a version made meanwhile would be missed.
        let count = version_count_place(&keyring.record.name);
        let counted = (count.clone(), services.directory.epoch(count).await?);
        let old = root_of(services, &keyring.record)?;
        let made = next_domain(services, scene, &keyring.record).await?;
        let mut writes = match rewrap_all(services, scene, (keyring, &made)).await {
            Ok(writes) => writes,
            Err(error) => {
                services.discard_root(&scene.permit, made.root).await;
                return Err(error);
            }
        };
        writes.push(put(key.place.clone(), key.epoch, &record)?);
        let effect = Effect::answer(Key::parse(record)?).writing(writes);
        let effect = effect.ending(vec![LeaseEnd::KeyStopped(key.record.id)]);
        let (reads, made_root) = (vec![counted], Some(made.root));
        Ok(Effect { reads, made_root, destroy_root: Some(old), ..effect })
    }
}

fn root_of(services: &Services, keyring: &KeyringRecord) -> Result<HsmKey, Error> {
    let role = HsmRole::Root { keyring: keyring_id(keyring)?, epoch: keyring.root_epoch };
    Ok(HsmKey { deployment: services.deployment, role })
}

async fn next_domain(
    services: &Services,
    scene: &Scene<'_>,
    keyring: &KeyringRecord,
) -> Result<MadeDomain, Error> {
    let root_epoch = keyring.root_epoch.checked_add(1).ok_or(Error::Internal)?;
    let generation = keyring.generation.checked_add(1).ok_or(Error::Internal)?;
    let made = (keyring_id(keyring)?, root_epoch, generation);
    make_domain(services, &scene.permit, made).await
}

/// Wraps every key version of the keyring but those of the scene's key under its next domain key.
async fn rewrap_all(
    services: &Services,
    scene: &Scene<'_>,
    (keyring, made): (&Loaded<KeyringRecord>, &MadeDomain),
) -> Result<Vec<Write>, Error> {
    let old = services.keystore.domain(&keyring.record).await?;
    let record = KeyringRecord {
        root_epoch: made.root_epoch,
        generation: made.generation,
        sealed_domain: made.sealed.clone(),
        ..KeyringRecord::clone(&keyring.record)
    };
    let id = keyring_id(&record)?;
    let new = Domain::open((services.deployment, id, made.generation), &made.key)?;
    let (prefix, count) = (format!("{}/", record.name), version_count_place(&record.name).id);
    let rows = services.directory.list::<VersionRecord>((&prefix, &count), usize::MAX).await?;
    let (mut writes, mut keys) = (Vec::with_capacity(rows.len() + 2), HashMap::new());
    for row in rows {
        writes.push(rewrap(services, scene, (&old, &new), (row, &mut keys)).await?);
    }
    writes.push(put(keyring.place.clone(), keyring.epoch, &record)?);
    Ok(writes)
}

/// The write for one version: removed for the key that is destroyed, wrapped anew for the others.
async fn rewrap(
    services: &Services,
    scene: &Scene<'_>,
    (old, new): (&Domain, &Domain),
    (row, keys): (Loaded<VersionRecord>, &mut HashMap<KeyId, Arc<Key>>),
) -> Result<Write, Error> {
    let (key, version) = key_and_version(&row.place).ok_or(Error::Internal)?;
    if scene.permit.key() == Some(key) {
        return Ok(Write { place: row.place, expected: row.epoch, body: None });
    }
    let owner = match keys.get(&key) {
        Some(owner) => Arc::clone(owner),
        None => {
            let place = Place::new(Kind::Key, key);
            let loaded = services.directory.load_as::<KeyRecord, Key>(place, Key::parse).await?;
            let owner = loaded.ok_or(Error::Internal)?.record;
            keys.insert(key, Arc::clone(&owner));
            owner
        }
    };
    let material = old.unwrap(&scene.permit, (&owner, version), &row.record)?;
    let mut rng = services.ports.environment.make_rng()?;
    let record = new.wrap(&scene.permit, (&owner, version, &material), &mut rng)?;
    put(row.place, row.epoch, &record)
}

fn key_and_version(place: &Place) -> Option<(KeyId, Version)> {
    let mut parts = place.id.rsplit('/');
    let version = Version::new(parts.next()?.parse().ok()?)?;
    Some((parts.next()?.parse().ok()?, version))
}

/// Lists the keys whose day of destruction has come; for the server's own scheduled work.
///
/// # Errors
/// As the store.
pub async fn due_for_destruction(services: &Services) -> Result<Vec<KeyName>, Error> {
    let now = services.now();
    let rows = services.directory.list::<KeyRecord>(("", ""), usize::MAX).await?;
    let due = rows.iter().filter(|row| row.record.destruction_at.is_some_and(|at| at <= now));
    let ids = due.map(|row| row.record.id.parse().map(KeyName::Id).map_err(|_| Error::Internal));
    ids.collect()
}
