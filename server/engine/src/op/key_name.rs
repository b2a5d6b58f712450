//! A key's names and tags.
//!
//! An alias is a row of its own, which resolves, and a word in the key's row, which is shown. Both
//! are written in one commit; they never disagree in the store.

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

/// Gives a key a name within its keyring, or moves the name to it. Moving needs a right on the key
/// that gets the name and none on the key that loses it: whoever encrypts by that name encrypts
/// under the new key from then on. Ciphertexts name their key by id, and decrypt as before.
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
        // Past the cache: whose name it is must be known as it is now.
        let row = services.directory.read(place.clone()).await?;
        let mut writes = vec![];
        if let Some(body) = &row.body {
            writes.extend(
                take_from_owner(services, body, (&self.alias, key.record.id.to_string())).await?,
            );
        }
        let mut record = key.record.record.clone();
        // Setting a name that the key has already is no error: it stands once, at the end.
        record.aliases.retain(|alias| *alias != self.alias);
        record.aliases.push(self.alias.clone());
        writes.push(put(place, row.epoch, &AliasRecord { key: record.id.clone() })?);
        writes.push(put(key.place.clone(), key.epoch, &record)?);
        let detail = Event { subject: Some(self.alias.clone()), ..Event::default() };
        Ok(Effect::answer(Key::parse(record)?).writing(writes).noting(detail))
    }
}

/// The write that takes the alias from the key that has it, unless that is `new_owner` itself. It
/// moves that key's epoch, so that what is under way with that key is decided anew.
async fn take_from_owner(
    services: &Services,
    body: &[u8],
    (alias, new_owner): (&str, String),
) -> Result<Option<Write>, Error> {
    let owner: AliasRecord = serde_json::from_slice(body).map_err(|_| Error::Internal)?;
    if owner.key == new_owner {
        return Ok(None);
    }
    let row = services.directory.read(Place::new(Kind::Key, &owner.key)).await?;
    // A key's row is never removed, so an alias without one is damage.
    let body = row.body.ok_or(Error::Internal)?;
    let mut record: KeyRecord = serde_json::from_slice(&body).map_err(|_| Error::Internal)?;
    record.aliases.retain(|known| known != alias);
    put(row.place, row.epoch, &record).map(Some)
}

/// Takes a name from a key. Also from a destroyed one, so that the name can be used for another.
/// The name resolves to nothing then.
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
            // The caller named the key and may change it, so there is nothing to hide.
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

/// Replaces a key's tags. All of them: a tag that is left out is gone. Policies may decide by tags,
/// so who may tag a key may change who may use it.
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
        // The key's epoch moves with its tags: a decision that rested on the old ones is not
        // released.
        let record = KeyRecord { tags: self.tags.clone(), ..key.record.record.clone() };
        let write = put(key.place.clone(), key.epoch, &record)?;
        Ok(Effect::answer(Key::parse(record)?).writing(vec![write]))
    }
}
