//! Destruction for good. Deleting rows would leave them in every backup, so destroying a key replaces
//! the keyring's root: a new root in the HSM seals a new domain key, every other key version of the
//! keyring is wrapped anew, and then the old root is destroyed. What was wrapped under it, in whatever
//! copy of the database, opens nowhere any more.
//!
//! So after a destruction, a backup of the database made before it is of no use: back up after it.
//!
//! The order is what makes it safe. Until the one commit, all that is new is unused, and the old
//! root opens everything. After it, nothing needs the old root. Only then is that destroyed; if
//! this fails, the next start does it.

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

/// Destroys a key whose day has come. The right to do so waives no waiting. Other keys of the
/// keyring go on, their ciphertexts too: only what wraps their versions changes.
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
        // By the permit's time. A clock that is set forward destroys early: this is the one promise
        // here that rests on it.
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
        // Read before the list of versions: one made in between moves the count.
        let counted = (count.clone(), services.directory.epoch(count).await?);
        // From the row that the gate will check, not from the HSM: what it names is what it was
        // wrapped under.
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
        // Its leases ended when the destruction was scheduled; said again for whoever missed it.
        let effect = effect.ending(vec![LeaseEnd::KeyStopped(key.record.id)]);
        let (reads, made_root) = (vec![counted], Some(made.root));
        Ok(Effect { reads, made_root, destroy_root: Some(old), ..effect })
    }
}

/// The root that a keyring's row names.
fn root_of(services: &Services, keyring: &KeyringRecord) -> Result<HsmKey, Error> {
    let role = HsmRole::Root { keyring: keyring_id(keyring)?, epoch: keyring.root_epoch };
    Ok(HsmKey { deployment: services.deployment, role })
}

/// The next root and domain key of the keyring. Both numbers go up together and are never used
/// again.
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
/// All in one commit: its size grows with the keyring. The plain material of each version is
/// dropped before the next is opened.
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
    // Names have no slash, so no other keyring's versions begin like this. The list begins after
    // the row that counts, which is no version.
    let (prefix, count) = (format!("{}/", record.name), version_count_place(&record.name).id);
    let rows = services.directory.list::<VersionRecord>((&prefix, &count), usize::MAX).await?;
    let (mut writes, mut keys) = (Vec::with_capacity(rows.len() + 2), HashMap::new());
    for row in rows {
        writes.push(rewrap(services, scene, (&old, &new), (row, &mut keys)).await?);
    }
    // The keyring's row moves too: whoever resolved it before is refused, and reads the new one.
    writes.push(put(keyring.place.clone(), keyring.epoch, &record)?);
    Ok(writes)
}

/// The write for one version: removed for the key that is destroyed, wrapped anew for the others. A
/// version that does not open stops the whole destruction: going on would lose it for good.
async fn rewrap(
    services: &Services,
    scene: &Scene<'_>,
    (old, new): (&Domain, &Domain),
    (row, keys): (Loaded<VersionRecord>, &mut HashMap<KeyId, Arc<Key>>),
) -> Result<Write, Error> {
    let (key, version) = key_and_version(&row.place).ok_or(Error::Internal)?;
    // Removed for tidiness. What shreds it is that its root will be gone.
    if scene.permit.key() == Some(key) {
        return Ok(Write { place: row.place, expected: row.epoch, body: None });
    }
    // A key's versions follow one another, so each key is looked up once.
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

/// The key and version that a place names, read from its end.
fn key_and_version(place: &Place) -> Option<(KeyId, Version)> {
    let mut parts = place.id.rsplit('/');
    let version = Version::new(parts.next()?.parse().ok()?)?;
    Some((parts.next()?.parse().ok()?, version))
}

/// Lists the keys whose day of destruction has come; for the server's own scheduled work. Reads
/// every key's row. `now` is the server's clock; the destruction itself looks again.
///
/// # Errors
/// As the store.
pub async fn due_for_destruction(services: &Services) -> Result<Vec<KeyName>, Error> {
    let now = services.now();
    let rows = services.directory.list_sound::<KeyRecord>().await?;
    let due = rows.iter().filter(|row| row.record.destruction_at.is_some_and(|at| at <= now));
    let ids = due.map(|row| row.record.id.parse().map(KeyName::Id).map_err(|_| Error::Internal));
    ids.collect()
}
