//! What a key must be: the attributes it is made with, and those the token sets by itself. All are
//! read back, since tokens give keys roles that nobody asked for (SoftHSM2 gives all of them).
//!
//! One key has one purpose (NIST SP 800-57 Part 1 Rev. 5 §5.2). A root that could also wrap would
//! hand out other keys under itself; a signer that could also decrypt would be an oracle. So each
//! flag that a role does not need is set to false by name, and none is left to the token's default.

use cryptoki::{
    error::Error,
    object::{Attribute, AttributeInfo, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};

/// Later additions to the standard (v2.30, v2.40). A token may not know them; then the key is made
/// without, and their absence is accepted only if the token says that it has no such attribute.
const OPTIONAL: [AttributeType; 2] = [AttributeType::Copyable, AttributeType::Destroyable];

/// The attributes of one kind of key.
#[derive(Debug)]
pub(crate) struct Template {
    /// Given when the key is made, and read back.
    given: Vec<Attribute>,
    /// Set by the token, and read back.
    told: Vec<Attribute>,
}

/// A root: AES-256, made in the token, encrypts and decrypts.
/// It has no wrapping flag: domain keys are sealed as data, so no key object that the token could
/// be asked for ever stands for them.
pub(crate) fn root() -> Template {
    let mut given = private(ObjectClass::SECRET_KEY, KeyType::AES);
    given.extend([
        Attribute::ValueLen(32.into()),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ]);
    Template { given, told: never_outside() }
}

/// The private half of a signing key: Ed25519, made in the token, signs.
pub(crate) fn signer() -> Template {
    let mut given = private(ObjectClass::PRIVATE_KEY, KeyType::EC_EDWARDS);
    given.extend([
        Attribute::Sign(true),
        Attribute::SignRecover(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ]);
    Template { given, told: never_outside() }
}

/// The public half of a signing key.
/// It is public, so it can be read without a login. That it was made with the private half is seen
/// by a signature and not by an attribute.
pub(crate) fn verifier() -> Template {
    let given = vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::EC_EDWARDS),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Modifiable(false),
        Attribute::Verify(true),
        Attribute::VerifyRecover(false),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::Derive(false),
    ];
    Template { given, told: vec![Attribute::Local(true)] }
}

/// What every secret or private key must be: in the token, seen only after a login, never readable,
/// never changeable. It can be destroyed, for that is how a keyring is shredded.
fn private(class: ObjectClass, key_type: KeyType) -> Vec<Attribute> {
    vec![
        Attribute::Class(class),
        Attribute::KeyType(key_type),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        // Else a flag that is false now could be set to true after it was read back.
        Attribute::Modifiable(false),
        // A copy could be given other attributes than the key it was made from.
        Attribute::Copyable(false),
        Attribute::Destroyable(true),
    ]
}

/// What nobody can claim for a key: the token sets these by itself when it makes one. A key that
/// was brought in from outside, with its bytes known to whoever brought it, has `CKA_LOCAL` false.
fn never_outside() -> Vec<Attribute> {
    vec![
        Attribute::Local(true),
        Attribute::AlwaysSensitive(true),
        Attribute::NeverExtractable(true),
    ]
}

impl Template {
    /// The attributes to make a key with, and its label.
    /// The label comes last and takes no part in [`Self::mismatch`]: objects are found by it.
    pub(crate) fn labelled(&self, label: &str) -> Vec<Attribute> {
        let label = Attribute::Label(label.as_bytes().to_vec());
        self.given.iter().cloned().chain([label]).collect()
    }

    /// Reads every attribute back; the text names the first that is not as it must be.
    /// `None` when all is as it must be.
    ///
    /// # Errors
    /// The token's, as it is.
    pub(crate) fn mismatch(
        &self,
        session: &Session,
        object: ObjectHandle,
    ) -> Result<Option<String>, Error> {
        let wanted: Vec<_> = self.given.iter().chain(&self.told).collect();
        let types: Vec<_> = wanted.iter().map(|attribute| attribute.attribute_type()).collect();
        // In one call. Attributes that the token does not tell are left out of its answer.
        let found = session.get_attributes(object, &types)?;
        for (wanted, attribute_type) in wanted.into_iter().zip(types) {
            match found.iter().find(|found| found.attribute_type() == attribute_type) {
                Some(found) if found == wanted => {}
                Some(found) => return Ok(Some(format!("it is {found:?}, not {wanted:?}"))),
                None if is_unknown(session, object, attribute_type)? => {}
                None => return Ok(Some(format!("the token does not tell {attribute_type:?}"))),
            }
        }
        Ok(None)
    }
}

/// A template for a token that does not know the optional attributes.
/// Nothing is lost by it that the token could have kept: it does not know them.
pub(crate) fn without_optional(attributes: &[Attribute]) -> Vec<Attribute> {
    let required = |attribute: &&Attribute| !OPTIONAL.contains(&attribute.attribute_type());
    attributes.iter().filter(required).cloned().collect()
}

/// Whether the token says of an optional attribute that it has no such one. That it will not tell
/// is not enough.
fn is_unknown(
    session: &Session,
    object: ObjectHandle,
    attribute_type: AttributeType,
) -> Result<bool, Error> {
    if !OPTIONAL.contains(&attribute_type) {
        return Ok(false);
    }
    let info = session.get_attribute_info(object, &[attribute_type])?;
    Ok(matches!(info.as_slice(), [AttributeInfo::TypeInvalid]))
}
