//! One question to the policies, in Cedar's terms.
//!
//! Every entity is built from its parts and never from text, and every one is checked against the
//! schema. What policies can see is all here: no clock, no address, no count. So a decision depends
//! on nothing that changes without an epoch, and can be remembered.

use std::collections::HashSet;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema,
};
use keyhaven_shared::{context::EncryptionContext, operation::Operation};

use crate::{
    caller::Caller,
    error::Error,
    port::store::{Epoch, Place},
    resource::{Facts, Resource},
};

/// What is to be decided. May it? Asked once for each decision, and for each item of a list.
pub struct Question<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// What for.
    pub operation: Operation,
    /// On what.
    pub resource: &'a Resource,
    /// With what else.
    pub facts: &'a Facts<'a>,
}

/// What a remembered decision depends on, besides the policies' epoch.
// INVARIANT: all that `context` and `entities` show to policies is in here, directly, or by the
// epoch of the row that it comes from. What were left out would let one request's decision answer
// for another's.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Remembered {
    operation: Operation,
    /// The kind of credential; the same principal may be permitted by one and not by another.
    via: &'static str,
    /// Stands for its name and its groups.
    principal: (Place, Epoch),
    /// Stands for keyring, spec, distribution and tags.
    resource: Vec<(Place, Epoch)>,
    /// SHA-256 of the encryption context; `None` where the operation has none.
    context: Option<[u8; 32]>,
    /// Whether, not which: policies cannot see a device's id.
    device: bool,
    export: bool,
    offline_grace_s: u32,
}

impl Question<'_> {
    /// What the answer depends on.
    ///
    /// # Errors
    /// [`Error::Denied`] for the server itself, which asks no policy.
    pub(super) fn about(&self) -> Result<Remembered, Error> {
        let principal = self.caller.principal.as_ref().ok_or(Error::Denied)?;
        Ok(Remembered {
            operation: self.operation,
            via: self.caller.credential.word(),
            principal: principal.read(),
            resource: self.resource.reads(),
            context: self.facts.encryption.map(EncryptionContext::hash),
            device: self.caller.device.is_some(),
            export: self.facts.export,
            offline_grace_s: self.facts.offline_grace_s,
        })
    }

    /// By name, which is never given to another: principals are not removed.
    pub(super) fn principal_uid(&self) -> Result<EntityUid, String> {
        uid("Principal", self.caller.name())
    }

    /// The operation's name in the vocabulary.
    pub(super) fn action_uid(&self) -> Result<EntityUid, String> {
        uid("Action", self.operation.name())
    }

    /// A keyring by its name, a key by its id: aliases move, and a right must not move with them.
    pub(super) fn resource_uid(&self) -> Result<EntityUid, String> {
        match self.resource {
            Resource::Deployment => uid("Deployment", "self"),
            Resource::Keyring(keyring) => uid("Keyring", &keyring.record.name),
            Resource::Key(_, key) => uid("Key", &key.record.record.id),
        }
    }

    /// What a policy sees as `context`.
    pub(super) fn context(&self) -> Result<Context, String> {
        let grace = i64::from(self.facts.offline_grace_s);
        let pairs = [
            ("via", RestrictedExpression::new_string(self.caller.credential.word().to_owned())),
            ("device", RestrictedExpression::new_bool(self.caller.device.is_some())),
            ("export", RestrictedExpression::new_bool(self.facts.export)),
            ("offline_grace_s", RestrictedExpression::new_long(grace)),
            // An entity and not a record: only entities have tags, whose names need not be in the
            // schema.
            ("encryption", RestrictedExpression::new_entity_uid(encryption_uid()?)),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value));
        Context::from_pairs(pairs).map_err(|error| error.to_string())
    }

    /// The principal with its groups, the resource with what it is in, and the encryption context.
    pub(super) fn entities(&self, schema: &Schema) -> Result<Entities, String> {
        let mut entities = Vec::new();
        let groups = self.caller.principal.as_ref().map_or(&[][..], |row| &row.record.groups);
        // Groups have no row: being named by a principal is all there is of one.
        let groups: Result<HashSet<_>, _> =
            groups.iter().map(|group| uid("Group", group)).collect();
        let groups = groups?;
        entities.extend(groups.iter().cloned().map(Entity::with_uid));
        entities.push(Entity::new_no_attrs(self.principal_uid()?, groups));

        let deployment = uid("Deployment", "self")?;
        // The whole chain key, keyring, deployment: so that `resource in` works with each.
        entities.push(Entity::with_uid(deployment.clone()));
        if let Ok(keyring) = self.resource.keyring() {
            let id = uid("Keyring", &keyring.record.name)?;
            entities.push(Entity::new_no_attrs(id.clone(), HashSet::from([deployment])));
            entities.extend(self.key_entity(id)?);
        }

        let pairs = self.facts.encryption.into_iter().flat_map(EncryptionContext::iter);
        entities.push(tagged(encryption_uid()?, &[], HashSet::new(), pairs)?);
        Entities::from_entities(entities, Some(schema)).map_err(|error| error.to_string())
    }

    /// The key with its attributes and tags; `None` when the resource is none.
    fn key_entity(&self, keyring: EntityUid) -> Result<Option<Entity>, String> {
        let Ok((_, key)) = self.resource.key() else { return Ok(None) };
        let record = &key.record.record;
        let attributes = [("spec", &record.spec), ("distribution", &record.distribution)];
        let tags = record.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        tagged(self.resource_uid()?, &attributes, HashSet::from([keyring]), tags).map(Some)
    }
}

/// An entity with tags. All values are strings: nothing a caller writes is parsed as an expression.
fn tagged<'a>(
    id: EntityUid,
    attributes: &[(&str, &String)],
    parents: HashSet<EntityUid>,
    tags: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Entity, String> {
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), text(value)));
    let tags = tags.map(|(name, value)| (name.to_owned(), text(value)));
    Entity::new_with_tags(id, attributes, parents, tags).map_err(|error| error.to_string())
}

/// The one entity that stands for the request's encryption context.
fn encryption_uid() -> Result<EntityUid, String> {
    uid("EncryptionContext", "request")
}

/// An entity's id from its parts; no text is parsed, so no name can break out of its place.
fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind: EntityTypeName =
        format!("Keyhaven::{kind}").parse().map_err(|_| format!("no entity type `{kind}`"))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}
