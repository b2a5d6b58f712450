//! Keys and their versions.
//!
//! A key is a line of versions under one name and one policy. Its spec, usage, origin, protection
//! and distribution are fixed when it is made, and so are bound into what its versions are wrapped
//! under, but for the distribution; state, names and tags change in other files.

use std::collections::BTreeMap;

use keyhaven_shared::{
    delivery::Lease,
    ids::{KeyId, Version},
    key_spec::{Distribution, KeySpec, KeyUsage, Origin, ProtectionLevel},
    key_state::KeyState,
    lease_event::LeaseEnd,
    operation::Operation,
};

use crate::{
    act::{Act, Effect, Scene, TargetName},
    audit::Event,
    directory::{Loaded, put},
    error::Error,
    name::{self, KeyName},
    once::{self, Kept, Repeatable},
    port::store::{Epoch, Kind, Place, Write},
    record::{
        AliasRecord, Key, KeyRecord, KeyringRecord, alias_place, version_count_place, version_place,
    },
    resource::Resource,
    services::Services,
};

/// Makes a key and its first version. The right is on the keyring: who may make keys in it need not
/// be permitted to use them.
#[derive(Debug)]
pub struct CreateKey {
    /// The keyring's name.
    pub keyring: String,
    /// A first alias. It must be free; [`Error::Conflict`] if not.
    pub alias: Option<String>,
    /// Algorithm and size.
    pub spec: KeySpec,
    /// What may leave the server.
    pub distribution: Distribution,
    /// The longest offline grace, in seconds. 0 to 604800 (7 days); the most that any delivery
    /// under this key may have.
    pub max_offline_grace_s: u32,
    /// Free labels. Policies can decide by them.
    pub tags: BTreeMap<String, String>,
}

impl Act for CreateKey {
    type Answer = Key;
    const OPERATION: Operation = Operation::CreateKey;
    const ONE_AT_A_TIME: bool = true;

    fn target(&self) -> TargetName {
        TargetName::Keyring(self.keyring.clone())
    }

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        if self.max_offline_grace_s > Lease::LONGEST_OFFLINE_GRACE_S {
            return Err(Error::InvalidRequest(
                "the offline grace is at most 604800 seconds (7 days)".to_owned(),
            ));
        }
        // The arguments first: nothing has been made yet that would have to be given up.
        check_tags(&self.tags)?;
        let keyring = scene.resource.keyring()?;
        let mut id = [0; 16];
        rand_core::Rng::fill_bytes(&mut services.ports.environment.make_rng()?, &mut id);
        // Through the same reading as a stored row, so that no key is written that cannot be read.
        let key = Key::parse(self.record(KeyId::from_random(id), scene.permit.now()))?;
        let mut writes = new_version(services, scene, (keyring, &key, Version::FIRST)).await?;
        writes.push(put(Place::new(Kind::Key, key.id), Epoch::ABSENT, &key.record)?);
        // Making a key takes no name away from another: only `SetAlias` does, which needs a right
        // on a key.
        if let Some(alias) = &self.alias {
            name::check("key", alias)?;
            let place = alias_place(&self.keyring, alias);
            let row = services.directory.read(place.clone()).await?;
            if row.body.is_some() {
                return Err(Error::Conflict(
                    "a key has that alias already: choose another, or move it",
                ));
            }
            // The epoch that was read, not `ABSENT`: an alias that was removed has left one behind.
            writes.push(put(place, row.epoch, &AliasRecord { key: key.record.id.clone() })?);
        }
        let detail =
            Event { key: Some(key.record.id.clone()), version: Some(1), ..Event::default() };
        Ok(Effect::answer(key).writing(writes).noting(detail))
    }
}

impl Repeatable for CreateKey {
    fn keep(answer: &Key) -> Result<Kept, Error> {
        Kept::of(&answer.record)
    }

    fn again(&self, _: &Services, kept: serde_json::Value) -> Result<Key, Error> {
        Key::parse(once::told(kept)?)
    }
}

impl CreateKey {
    /// The row of a new key: enabled, with one version.
    fn record(&self, id: KeyId, now: u64) -> KeyRecord {
        KeyRecord {
            id: id.to_string(),
            keyring: self.keyring.clone(),
            spec: self.spec.to_string(),
            usage: KeyUsage::EncryptDecrypt.to_string(),
            origin: Origin::Keyhaven.to_string(),
            protection: ProtectionLevel::Software.to_string(),
            distribution: self.distribution.to_string(),
            state: KeyState::Enabled.to_string(),
            destruction_at: None,
            versions_created_at: vec![now],
            aliases: self.alias.iter().cloned().collect(),
            max_offline_grace_s: self.max_offline_grace_s,
            tags: self.tags.clone(),
            created_at: now,
        }
    }
}

/// The rows of a new version: its wrapped material, and the keyring's count of versions. The count
/// is written by every new version and read by every destruction in the keyring. Without it, a
/// version made while all others are wrapped anew would stay under the root that is then destroyed.
async fn new_version(
    services: &Services,
    scene: &Scene<'_>,
    (keyring, key, version): (&Loaded<KeyringRecord>, &Key, Version),
) -> Result<Vec<Write>, Error> {
    let made = (keyring.record.as_ref(), key, version);
    let record = services.keystore.make_version(&scene.permit, made).await?;
    let place = version_place(&keyring.record.name, key.id, version);
    let count = version_count_place(&keyring.record.name);
    let counted = services.directory.epoch(count.clone()).await?;
    Ok(vec![
        // A version's number is never used again, so nothing may stand there.
        put(place, Epoch::ABSENT, &record)?,
        Write { place: count, expected: counted, body: None },
    ])
}

/// Tags are at most 50, keys and values at most 128 and 256 bytes. A bound on rows, and on what
/// each decision hands to Cedar.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Error> {
    let fits = |(key, value): (&String, &String)| {
        !key.is_empty() && key.len() <= 128 && value.len() <= 256
    };
    if tags.len() <= 50 && tags.iter().all(fits) {
        return Ok(());
    }
    Err(Error::InvalidRequest(
        "a key has at most 50 tags, of 1 to 128 bytes with values of at most 256".to_owned(),
    ))
}

/// Tells about one key. In every state, a destroyed one too. No material, no wrapped material.
#[derive(Debug)]
pub struct DescribeKey {
    /// Which.
    pub key: KeyName,
}

impl Act for DescribeKey {
    type Answer = Key;
    const OPERATION: Operation = Operation::DescribeKey;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, _: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        let (_, key) = scene.resource.key()?;
        Ok(Effect::answer(Key::clone(&key.record)))
    }
}

/// Lists the keys of a keyring that the caller may describe. The right to list shows no key by
/// itself: each is decided about as if it were asked for alone, though not recorded.
#[derive(Debug)]
pub struct ListKeys {
    /// The keyring's name.
    pub keyring: String,
    /// Ids after this one.
    pub after: String,
    /// At most so many are looked at. In all keyrings: a page may have fewer keys of this one, or
    /// none, and still not be the last.
    pub limit: usize,
}

/// A page of keys.
#[derive(Debug)]
pub struct KeyPage {
    /// Those of the page that the caller may describe.
    pub keys: Vec<Key>,
    /// The id to go on after; `None` at the end. It may be that of a key which the caller may not
    /// describe; an id is no secret.
    pub next: Option<String>,
}

impl Act for ListKeys {
    type Answer = KeyPage;
    const OPERATION: Operation = Operation::ListKeys;

    fn target(&self) -> TargetName {
        TargetName::Keyring(self.keyring.clone())
    }

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<KeyPage>, Error> {
        let keyring = scene.resource.keyring()?;
        let rows = services.directory.list::<KeyRecord>(("", &self.after), self.limit).await?;
        // From what was looked at, not from what is shown: a page of keys that are not shown is not
        // the end.
        let next = (rows.len() == self.limit).then(|| rows.last().map(|row| row.place.id.clone()));
        let mut keys = Vec::new();
        for row in rows.into_iter().filter(|row| row.record.keyring == keyring.record.name) {
            let key = Key::parse(KeyRecord::clone(&row.record))?;
            let (place, epoch) = row.read();
            let loaded = Loaded { place, epoch, record: std::sync::Arc::new(key) };
            // With the row's own epoch, so that a remembered decision is about this very key.
            let resource = Resource::Key(keyring.clone(), loaded.clone());
            if scene.may_also(Operation::DescribeKey, &resource) {
                keys.push(Key::clone(&loaded.record));
            }
        }
        Ok(Effect::answer(KeyPage { keys, next: next.flatten() }))
    }
}

/// Makes a new version, which new encryptions use. Older versions decrypt on: rotating bounds how
/// much is encrypted under one version, and takes nothing back. What must become unreadable has to
/// be encrypted anew, and its key destroyed.
#[derive(Debug)]
pub struct RotateKey {
    /// Which.
    pub key: KeyName,
}

impl Act for RotateKey {
    type Answer = Key;
    const OPERATION: Operation = Operation::RotateKey;
    const ONE_AT_A_TIME: bool = true;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        let (keyring, key) = scene.resource.key()?;
        // The numbers are not reused, so a key that has used them all is at its end.
        let version = key.record.primary.next();
        let version = version.ok_or(Error::Conflict("the key has no version numbers left"))?;
        // The version's number is its place in this list, so it is added at the end, never between.
        let mut record = key.record.record.clone();
        record.versions_created_at.push(scene.permit.now());
        let rotated = Key::parse(record)?;
        let mut writes = new_version(services, scene, (keyring, &rotated, version)).await?;
        writes.push(put(key.place.clone(), key.epoch, &rotated.record)?);
        let detail = Event { version: Some(version.number()), ..Event::default() };
        // Devices stop *encrypting* under older versions; what decrypts goes on.
        let ends = vec![LeaseEnd::KeyRotated(key.record.id, version)];
        Ok(Effect::answer(rotated).writing(writes).noting(detail).ending(ends))
    }
}

impl Repeatable for RotateKey {
    fn keep(answer: &Key) -> Result<Kept, Error> {
        Kept::of(&answer.record)
    }

    fn again(&self, _: &Services, kept: serde_json::Value) -> Result<Key, Error> {
        Key::parse(once::told(kept)?)
    }
}
