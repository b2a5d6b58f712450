//! What a key must be: the attributes it is made with, and those the token sets by itself. All are
//! read back, since tokens give keys roles that nobody asked for (SoftHSM2 gives all of them).
//!
//! One key has one purpose (NIST SP 800-57 Part 1 Rev. 5 §5.2). A root that could also wrap would
//! hand out other keys under itself; a signer that could also decrypt would be an oracle. So each
//! flag that a role does not need is set to false by name, and none is left to the token's default.

use cryptoki::{
    error::Error,
    mechanism::MechanismType,
    object::{Attribute, AttributeInfo, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};

/// Later additions to the standard (v2.20 to v2.40). A token may not know them; then the key is made
/// without, and their absence is accepted only if the token says that it has no such attribute.
const OPTIONAL: [AttributeType; 6] = [
    AttributeType::AllowedMechanisms,
    AttributeType::WrapWithTrusted,
    AttributeType::Copyable,
    AttributeType::Destroyable,
    AttributeType::Trusted,
    AttributeType::AlwaysAuthenticate,
];

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
        // Any other mode under this key would tell what GCM rests on: one block in ECB is the hash key.
        Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM]),
    ]);
    let mut told = never_outside(MechanismType::AES_KEY_GEN);
    // Only the security officer sets it: the key would be trusted to wrap others.
    told.push(Attribute::Trusted(false));
    Template { given, told }
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
        Attribute::AllowedMechanisms(vec![MechanismType::EDDSA]),
    ]);
    let mut told = never_outside(MechanismType::ECC_EDWARDS_KEY_PAIR_GEN);
    // Else the PIN would be asked for before each signature, and nobody is there to give it.
    told.push(Attribute::AlwaysAuthenticate(false));
    Template { given, told }
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
        // It goes with no wrapping key at all; should a token let it, then with none but a trusted one.
        Attribute::WrapWithTrusted(true),
        Attribute::Destroyable(true),
    ]
}

/// What nobody can claim for a key: the token sets these by itself when it makes one. A key that
/// was brought in from outside, with its bytes known to whoever brought it, has `CKA_LOCAL` false.
fn never_outside(made_by: MechanismType) -> Vec<Attribute> {
    vec![
        Attribute::Local(true),
        Attribute::KeyGenMechanism(made_by),
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
        for wanted in self.given.iter().chain(&self.told) {
            let attribute_type = wanted.attribute_type();
            // One a call, so that one that cannot be read is told by its name.
            let found = match session.get_attributes(object, &[attribute_type]) {
                Ok(found) => found,
                Err(error @ Error::Pkcs11(..)) => return Err(error),
                Err(_) => return Ok(Some(format!("it is something else, not {wanted:?}"))),
            };
            match found.first() {
                Some(found) if found == wanted => {}
                Some(found) => return Ok(Some(format!("it is {found:?}, not {wanted:?}"))),
                None if is_unknown(session, object, attribute_type)? => {}
                None => return Ok(Some(format!("the token does not tell {attribute_type:?}"))),
            }
        }
        Ok(None)
    }
}

/// The template, and then those for tokens that do not know some of the optional attributes: the fewer
/// are left out, the sooner it comes. A token does not say which of them it does not know.
pub(crate) fn for_any_token(attributes: &[Attribute]) -> Vec<Vec<Attribute>> {
    let known = |left_out: u32, attribute: &Attribute| {
        let at = OPTIONAL.iter().position(|optional| *optional == attribute.attribute_type());
        at.is_none_or(|at| left_out >> at & 1 == 0)
    };
    let mut choices: Vec<u32> = (0..1 << OPTIONAL.len()).collect();
    choices.sort_by_key(|left_out| left_out.count_ones());
    let mut templates = Vec::<Vec<Attribute>>::new();
    for left_out in choices {
        let template = attributes.iter().filter(|attribute| known(left_out, attribute));
        let template: Vec<_> = template.cloned().collect();
        // Not every template has all of them.
        if !templates.contains(&template) {
            templates.push(template);
        }
    }
    templates
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
