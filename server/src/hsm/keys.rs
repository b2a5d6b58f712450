//! Making, finding, listing and destroying keys. A key is used only after all its attributes were read
//! back: one that somebody else put under our label, or changed, is refused.

use std::collections::BTreeSet;

use cryptoki::{
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};
use keyhaven_engine::port::hsm::{HsmError, HsmKey, HsmRole};
use keyhaven_shared::ids::DeploymentId;

use super::{
    connection::{Connection, Handle},
    ed25519,
    error::{failed, is_stale_handle},
    template::{self, Template},
};

/// A key's checked handle: the kept one, or looked up.
pub(crate) fn find(connection: &mut Connection, key: HsmKey) -> Result<Handle, HsmError> {
    if let Some(handle) = connection.kept(key) {
        return Ok(handle);
    }
    let handle = locate(connection.session()?, key)?;
    connection.keep(key, handle);
    Ok(handle)
}

/// Makes a key and reads it back; what is not as it should be is destroyed again.
///
/// Of two that make the same key at the same moment, on different machines too, at most one succeeds.
pub(crate) fn make(connection: &mut Connection, key: HsmKey) -> Result<(), HsmError> {
    let session = connection.session()?;
    if !objects(session, key, None)?.is_empty() {
        return Err(HsmError::Refused(format!("the key `{key}` exists")));
    }
    let made = generate(session, key).map_err(|error| failed(&error));
    connection.note_change();
    let made = made?;
    let located = locate(session, key);
    if located.is_err() {
        for object in made {
            if let Err(error) = session.destroy_object(object) {
                tracing::error!(%key, %error, "a key that was made wrongly could not be destroyed");
            }
        }
    }
    located.map(drop)
}

/// Destroys a root, and whatever else of its class carries its label.
pub(crate) fn destroy_root(connection: &mut Connection, key: HsmKey) -> Result<(), HsmError> {
    require_root(key)?;
    let session = connection.session()?;
    let doomed = objects(session, key, Some(ObjectClass::SECRET_KEY))?;
    let destroyed =
        doomed.into_iter().try_for_each(|object| match session.destroy_object(object) {
            Err(error) if !is_stale_handle(&error) => Err(failed(&error)),
            // Another that destroys the same root was faster.
            Ok(()) | Err(_) => Ok(()),
        });
    connection.note_change();
    destroyed?;
    if objects(session, key, Some(ObjectClass::SECRET_KEY))?.is_empty() {
        Ok(())
    } else {
        Err(HsmError::Refused(format!("the key `{key}` is still there after it was destroyed")))
    }
}

/// The keys whose labels name this installation.
pub(crate) fn list(
    connection: &mut Connection,
    deployment: DeploymentId,
) -> Result<Vec<HsmKey>, HsmError> {
    let session = connection.session()?;
    let mut keys = BTreeSet::new();
    for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY] {
        let found =
            session.find_objects(&[Attribute::Class(class)]).map_err(|error| failed(&error))?;
        for object in found {
            let key = match session.get_attributes(object, &[AttributeType::Label]) {
                Ok(attributes) => attributes.iter().find_map(key_of_label),
                // Destroyed since it was found.
                Err(error) if is_stale_handle(&error) => None,
                Err(error) => return Err(failed(&error)),
            };
            keys.extend(key.filter(|key| key.deployment == deployment && class_of(*key) == class));
        }
    }
    Ok(keys.into_iter().collect())
}

/// Only a root seals, opens and can be destroyed.
pub(crate) fn require_root(key: HsmKey) -> Result<(), HsmError> {
    match key.role {
        HsmRole::Root { .. } => Ok(()),
        HsmRole::Issuer | HsmRole::Log => Err(HsmError::Refused(format!("`{key}` is no root"))),
    }
}

/// Looks a key up and reads it back.
fn locate(session: &Session, key: HsmKey) -> Result<Handle, HsmError> {
    let wrong = |attribute| HsmError::WrongAttribute { key, attribute };
    match key.role {
        HsmRole::Root { .. } => {
            let object = one(session, key, ObjectClass::SECRET_KEY, &template::root())?;
            Ok(Handle { object, public: None })
        }
        HsmRole::Issuer | HsmRole::Log => {
            let object = one(session, key, ObjectClass::PRIVATE_KEY, &template::signer())?;
            let public = one(session, key, ObjectClass::PUBLIC_KEY, &template::verifier())?;
            let public = ed25519::read_public(session, public)
                .map_err(|error| failed(&error))?
                .ok_or_else(|| wrong("CKA_EC_POINT is no Ed25519 public key".to_owned()))?;
            // A public key that somebody swapped would be handed out and pinned by clients.
            ed25519::sign(session, object, &public, ed25519::PAIR_CHECK)
                .map_err(|error| failed(&error))?
                .ok_or_else(|| wrong("the public key is not the private key's".to_owned()))?;
            Ok(Handle { object, public: Some(public) })
        }
    }
}

fn one(
    session: &Session,
    key: HsmKey,
    class: ObjectClass,
    template: &Template,
) -> Result<ObjectHandle, HsmError> {
    let wrong = |attribute| HsmError::WrongAttribute { key, attribute };
    let object = match objects(session, key, Some(class))?.as_slice() {
        [] => return Err(HsmError::Missing(key)),
        [object] => *object,
        several => {
            return Err(wrong(format!("CKA_LABEL: {} {class} carry it", several.len())));
        }
    };
    match template.mismatch(session, object) {
        Ok(None) => Ok(object),
        Ok(Some(mismatch)) => Err(wrong(mismatch)),
        Err(error) if is_stale_handle(&error) => Err(HsmError::Missing(key)),
        Err(error) => Err(failed(&error)),
    }
}

/// Every object with the key's label, session objects too: those can pass for the real one as well.
fn objects(
    session: &Session,
    key: HsmKey,
    class: Option<ObjectClass>,
) -> Result<Vec<ObjectHandle>, HsmError> {
    let mut template = vec![Attribute::Label(key.to_string().into_bytes())];
    template.extend(class.map(Attribute::Class));
    session.find_objects(&template).map_err(|error| failed(&error))
}

/// Generates the key's objects. A template that is refused made nothing, so that a second one may
/// follow it.
fn generate(session: &Session, key: HsmKey) -> Result<Vec<ObjectHandle>, Error> {
    let label = key.to_string();
    match key.role {
        HsmRole::Root { .. } => {
            let template = template::root().labelled(&label);
            let generate =
                |template: &[Attribute]| session.generate_key(&Mechanism::AesKeyGen, template);
            let made = match generate(&template) {
                Err(error) if is_unknown_attribute(&error) => {
                    generate(&template::without_optional(&template))
                }
                made => made,
            };
            made.map(|object| vec![object])
        }
        HsmRole::Issuer | HsmRole::Log => {
            let public = template::verifier().labelled(&label);
            let private = template::signer().labelled(&label);
            match ed25519::generate(session, &public, &private) {
                Err(error) if is_unknown_attribute(&error) => {
                    ed25519::generate(session, &public, &template::without_optional(&private))
                }
                made => made,
            }
        }
    }
}

const fn is_unknown_attribute(error: &Error) -> bool {
    matches!(error, Error::Pkcs11(RvError::AttributeTypeInvalid, _))
}

fn key_of_label(attribute: &Attribute) -> Option<HsmKey> {
    let Attribute::Label(label) = attribute else {
        return None;
    };
    std::str::from_utf8(label).ok()?.parse().ok()
}

const fn class_of(key: HsmKey) -> ObjectClass {
    match key.role {
        HsmRole::Root { .. } => ObjectClass::SECRET_KEY,
        HsmRole::Issuer | HsmRole::Log => ObjectClass::PRIVATE_KEY,
    }
}
