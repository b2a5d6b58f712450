//! A key's names and tags.

use std::collections::BTreeMap;

use keyhaven_shared::operation::Operation;

use super::key::check_tags;
use crate::{
    act::{Act, Effect, Scene, TargetName},
    audit::Event,
    directory::put,
    error::Error,
    name::{self, KeyName},
    port::store::{Kind, Place, Write},
    record::{AliasRecord, Key, KeyRecord, alias_place},
    services::Services,
};

/// Gives a key a name within its keyring, or moves the name to it.
#[derive(Debug)]
pub struct SetAlias {
    /// Which key.
    pub key: KeyName,
    /// The name.
    pub alias: String,
}

impl Act for SetAlias {
    type Answer = Key;
    const OPERATION: Operation = Operation::SetAlias;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        name::check("key", &self.alias)?;
        let (keyring, key) = scene.resource.key()?;
        let place = alias_place(&keyring.record.name, &self.alias);
        let row = services.ports.store.read(place.clone()).await?;
        let mut writes = vec![];
        if let Some(body) = &row.body {
            writes.extend(
                take_from_owner(services, body, (&self.alias, key.record.id.to_string())).await?,
            );
        }
        let mut record = key.record.record.clone();
        record.aliases.retain(|alias| *alias != self.alias);
        record.aliases.push(self.alias.clone());
        writes.push(put(place, row.epoch, &AliasRecord { key: record.id.clone() })?);
        writes.push(put(key.place.clone(), key.epoch, &record)?);
        let detail = Event { subject: Some(self.alias.clone()), ..Event::default() };
        Ok(Effect::answer(Key::parse(record)?).writing(writes).noting(detail))
    }
}

/// The write that takes the alias from the key that has it, unless that is `new_owner` itself.
async fn take_from_owner(
    services: &Services,
    body: &[u8],
    (alias, new_owner): (&str, String),
) -> Result<Option<Write>, Error> {
    let owner: AliasRecord = serde_json::from_slice(body).map_err(|_| Error::Internal)?;
    if owner.key == new_owner {
        return Ok(None);
    }
    let row = services.ports.store.read(Place::new(Kind::Key, &owner.key)).await?;
    let body = row.body.ok_or(Error::Internal)?;
    let mut record: KeyRecord = serde_json::from_slice(&body).map_err(|_| Error::Internal)?;
    record.aliases.retain(|known| known != alias);
    put(row.place, row.epoch, &record).map(Some)
}

/// Takes a name from a key.
#[derive(Debug)]
pub struct RemoveAlias {
    /// Which key.
    pub key: KeyName,
    /// The name.
    pub alias: String,
}

impl Act for RemoveAlias {
    type Answer = Key;
    const OPERATION: Operation = Operation::RemoveAlias;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, services: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        let (keyring, key) = scene.resource.key()?;
        let mut record = key.record.record.clone();
        if !record.aliases.contains(&self.alias) {
            return Err(Error::NotFound("alias of this key"));
        }
        record.aliases.retain(|alias| *alias != self.alias);
        let place = alias_place(&keyring.record.name, &self.alias);
        let expected = services.directory.epoch(place.clone()).await?;
        let gone = Write { place, expected, body: None };
        let writes = vec![gone, put(key.place.clone(), key.epoch, &record)?];
        let detail = Event { subject: Some(self.alias.clone()), ..Event::default() };
        Ok(Effect::answer(Key::parse(record)?).writing(writes).noting(detail))
    }
}

/// Replaces a key's tags.
#[derive(Debug)]
pub struct TagKey {
    /// Which key.
    pub key: KeyName,
    /// All tags that it is to have.
    pub tags: BTreeMap<String, String>,
}

impl Act for TagKey {
    type Answer = Key;
    const OPERATION: Operation = Operation::TagKey;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    async fn act(&self, _: &Services, scene: &Scene<'_>) -> Result<Effect<Key>, Error> {
        check_tags(&self.tags)?;
        let (_, key) = scene.resource.key()?;
        let record = KeyRecord { tags: self.tags.clone(), ..key.record.record.clone() };
        let write = put(key.place.clone(), key.epoch, &record)?;
        Ok(Effect::answer(Key::parse(record)?).writing(vec![write]))
    }
}
