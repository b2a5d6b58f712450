//! Making, finding, listing and destroying keys. A key is used only after all its attributes were read
//! back: one that somebody else put under our label, or changed, is refused.
//!
//! A label is a name that anybody with the token's PIN can give to an object. So a label proves
//! nothing here; what counts is what the token alone can set: that the key was made inside and can
//! never come out.

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
///
/// # Errors
/// [`HsmError::Missing`], [`HsmError::WrongAttribute`], or as the token.
pub(crate) fn find(connection: &mut Connection, key: HsmKey) -> Result<Handle, HsmError> {
    if let Some(handle) = connection.kept(key) {
        return Ok(handle);
    }
    // The count of changes was read with `kept`, before the look-up: a key made or destroyed during
    // it is noticed the next time.
    let handle = locate(connection.session()?, key)?;
    connection.keep(key, handle);
    Ok(handle)
}

/// Makes a key and reads it back; what is not as it should be is destroyed again.
///
/// Of two that make the same key at the same moment, on different machines too, at most one succeeds.
///
/// # Errors
/// [`HsmError::Refused`] if anything with the label is there, a session object included.
pub(crate) fn make(connection: &mut Connection, key: HsmKey) -> Result<(), HsmError> {
    let session = connection.session()?;
    if !objects(session, key, None)?.is_empty() {
        return Err(HsmError::Refused(format!("the key `{key}` exists")));
    }
    let made = generate(session, key).map_err(|error| failed(&error));
    // After an error, too: a call that broke off may have made it.
    connection.note_change();
    let made = made?;
    let located = locate(session, key);
    // Only what this call made is destroyed. Whatever else carries the label is somebody else's.
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
///
/// It may be repeated: one that is not there is no error. The answer is given only after the token
/// shows no such key any more, for the engine then counts what the root sealed as shredded.
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

/// Destroys everything whose label names this installation, which never came into being.
pub(crate) fn abandon(
    connection: &mut Connection,
    deployment: DeploymentId,
) -> Result<(), HsmError> {
    let session = connection.session()?;
    let (mut destroyed, prefix) = (Ok(()), format!("keyhaven/{deployment}/"));
    for object in session.find_objects(&[]).map_err(|error| failed(&error))? {
        let labels = session.get_attributes(object, &[AttributeType::Label]);
        let ours = labels.is_ok_and(|labels| labels.iter().any(|label| begins(label, &prefix)));
        if ours && let Err(error) = session.destroy_object(object) {
            // The others go all the same.
            destroyed = Err(failed(&error));
        }
    }
    connection.note_change();
    destroyed
}

fn begins(attribute: &Attribute, prefix: &str) -> bool {
    matches!(attribute, Attribute::Label(label) if label.starts_with(prefix.as_bytes()))
}

/// The installation's keys by their labels, in order. None of them has been checked; a label that
/// is not ours is passed over, since a token may serve others as well.
pub(crate) fn list(
    connection: &mut Connection,
    deployment: DeploymentId,
) -> Result<Vec<HsmKey>, HsmError> {
    let session = connection.session()?;
    let mut keys = BTreeSet::new();
    // A signing key counts by its private half, or each would be there twice.
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
            // An object of another class under our label is a decoy, and not listed as the key.
            keys.extend(key.filter(|key| key.deployment == deployment && class_of(*key) == class));
        }
    }
    Ok(keys.into_iter().collect())
}

/// Only a root seals, opens and can be destroyed.
/// An issuer or log key is never destroyed by the server: devices and auditors have pinned them.
pub(crate) fn require_root(key: HsmKey) -> Result<(), HsmError> {
    match key.role {
        HsmRole::Root { .. } => Ok(()),
        HsmRole::Issuer | HsmRole::Log => Err(HsmError::Refused(format!("`{key}` is no root"))),
    }
}

/// Looks a key up and reads it back.
///
/// All of it must hold for a key to be used once: every attribute, for a signing key that its public half
/// is the private one's, and that nothing else carries the label, of whatever class.
fn locate(session: &Session, key: HsmKey) -> Result<Handle, HsmError> {
    let wrong = |attribute| HsmError::WrongAttribute { key, attribute };
    let (labelled, parts) = (objects(session, key, None)?.len(), parts_of(key));
    if labelled > parts {
        return Err(wrong(format!("CKA_LABEL: {labelled} objects carry it instead of {parts}")));
    }
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

/// The one object of a class with the key's label, its attributes read back. Two of them are
/// refused, since it is not for us to guess which is meant.
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
/// Only objects of the token that the session sees: all, because it is logged in.
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
///
/// # Errors
/// The token's, as it is, for the caller to tell what it means.
fn generate(session: &Session, key: HsmKey) -> Result<Vec<ObjectHandle>, Error> {
    let label = key.to_string();
    match key.role {
        HsmRole::Root { .. } => {
            let template = template::root().labelled(&label);
            let made = first_taken(&template, |template| {
                session.generate_key(&Mechanism::AesKeyGen, template)
            });
            made.map(|object| vec![object])
        }
        HsmRole::Issuer | HsmRole::Log => {
            let public = template::verifier().labelled(&label);
            let private = template::signer().labelled(&label);
            first_taken(&private, |private| ed25519::generate(session, &public, private))
        }
    }
}

/// Makes with the first template that has no attribute which the token does not know.
fn first_taken<T>(
    template: &[Attribute],
    make: impl Fn(&[Attribute]) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut made = make(template);
    for weaker in template::for_any_token(template).iter().skip(1) {
        if !made.as_ref().is_err_and(is_unknown_attribute) {
            break;
        }
        made = make(weaker);
    }
    made
}

/// Whether the token has no such attribute (CKR_ATTRIBUTE_TYPE_INVALID), as older ones say of
/// newer.
const fn is_unknown_attribute(error: &Error) -> bool {
    matches!(error, Error::Pkcs11(RvError::AttributeTypeInvalid, _))
}

/// The key that an object's label names, if it is a label of ours.
fn key_of_label(attribute: &Attribute) -> Option<HsmKey> {
    let Attribute::Label(label) = attribute else {
        return None;
    };
    std::str::from_utf8(label).ok()?.parse().ok()
}

/// How many objects a key is.
const fn parts_of(key: HsmKey) -> usize {
    match key.role {
        HsmRole::Root { .. } => 1,
        HsmRole::Issuer | HsmRole::Log => 2,
    }
}

/// The class of the object that stands for a key.
const fn class_of(key: HsmKey) -> ObjectClass {
    match key.role {
        HsmRole::Root { .. } => ObjectClass::SECRET_KEY,
        HsmRole::Issuer | HsmRole::Log => ObjectClass::PRIVATE_KEY,
    }
}
