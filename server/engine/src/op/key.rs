//! Keys and their versions.

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
    port::store::{Epoch, Kind, Place, Write},
    record::{
        AliasRecord, Key, KeyRecord, KeyringRecord, alias_place, version_count_place, version_place,
    },
    resource::Resource,
    services::Services,
};

/// Makes a key and its first version.
#[derive(Debug)]
pub struct CreateKey {
    /// The keyring's name.
    pub keyring: String,
    /// A first alias.
    pub alias: Option<String>,
    /// Algorithm and size.
    pub spec: KeySpec,
    /// What may leave the server.
    pub distribution: Distribution,
    /// The longest offline grace, in seconds.
    pub max_offline_grace_s: u32,
    /// Free labels.
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
        check_tags(&self.tags)?;
        let keyring = scene.resource.keyring()?;
        let mut id = [0; 16];
        rand_core::Rng::fill_bytes(&mut services.ports.environment.make_rng()?, &mut id);
        let key = Key::parse(self.record(KeyId::from_random(id), scene.permit.now()))?;
        let mut writes = new_version(services, scene, (keyring, &key, Version::FIRST)).await?;
        writes.push(put(Place::new(Kind::Key, key.id), Epoch::ABSENT, &key.record)?);
        if let Some(alias) = &self.alias {
            name::check("key", alias)?;
            let place = alias_place(&self.keyring, alias);
            let row = services.ports.store.read(place.clone()).await?;
            if row.body.is_some() {
                return Err(Error::Conflict(
                    "a key has that alias already: choose another, or move it",
                ));
            }
            writes.push(put(place, row.epoch, &AliasRecord { key: key.record.id.clone() })?);
        }
        let detail =
            Event { key: Some(key.record.id.clone()), version: Some(1), ..Event::default() };
        Ok(Effect::answer(key).writing(writes).noting(detail))
    }
}

impl CreateKey {
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

/// The rows of a new version: its wrapped material, and the keyring's count of versions.
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
        put(place, Epoch::ABSENT, &record)?,
        Write { place: count, expected: counted, body: None },
    ])
}

/// Tags are at most 50, keys and values at most 128 and 256 bytes.
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

/// Tells about one key.
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

/// Lists the keys of a keyring that the caller may describe.
#[derive(Debug)]
pub struct ListKeys {
    /// The keyring's name.
    pub keyring: String,
    /// Ids after this one.
    pub after: String,
    /// At most so many are looked at.
    pub limit: usize,
}

/// A page of keys.
#[derive(Debug)]
pub struct KeyPage {
    /// Those of the page that the caller may describe.
    pub keys: Vec<Key>,
    /// The id to go on after; `None` at the end.
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
        let next = (rows.len() == self.limit).then(|| rows.last().map(|row| row.place.id.clone()));
        let mut keys = Vec::new();
        for row in rows.into_iter().filter(|row| row.record.keyring == keyring.record.name) {
            let key = Key::parse(KeyRecord::clone(&row.record))?;
            let (place, epoch) = row.read();
            let loaded = Loaded { place, epoch, record: std::sync::Arc::new(key) };
            let resource = Resource::Key(keyring.clone(), loaded.clone());
            if scene.may_also(Operation::DescribeKey, &resource) {
                keys.push(Key::clone(&loaded.record));
            }
        }
        Ok(Effect::answer(KeyPage { keys, next: next.flatten() }))
    }
}

/// Makes a new version, which new encryptions use.
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
        let version = key.record.primary.next();
        let version = version.ok_or(Error::Conflict("the key has no version numbers left"))?;
        let mut record = key.record.record.clone();
        record.versions_created_at.push(scene.permit.now());
        let rotated = Key::parse(record)?;
        let mut writes = new_version(services, scene, (keyring, &rotated, version)).await?;
        writes.push(put(key.place.clone(), key.epoch, &rotated.record)?);
        let detail = Event { version: Some(version.number()), ..Event::default() };
        let ends = vec![LeaseEnd::KeyRotated(key.record.id, version)];
        Ok(Effect::answer(rotated).writing(writes).noting(detail).ending(ends))
    }
}
