//! Ed25519 in a token: making a pair, reading its public key, signing with a check.
//!
//! The mechanisms are `CKM_EC_EDWARDS_KEY_PAIR_GEN` and `CKM_EDDSA`, new in PKCS#11 v3.0. The
//! latter without parameters is pure Ed25519 (RFC 8032 §5.1), over the message itself.

use cryptoki::{
    error::{Error, RvError},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, ObjectHandle},
    session::Session,
};
use ed25519_dalek::{Signature, VerifyingKey};

/// Signed to see that a private and a public key belong together. It is no transcript (those begin
/// with a length) and no checkpoint (those have lines), so the signature serves for nothing else.
pub(crate) const PAIR_CHECK: &[u8] = b"keyhaven/v1/hsm-pair-check";

/// `CKA_EC_PARAMS` of edwards25519 (PKCS#11 v3.0 §2.3.5): id-Ed25519 of RFC 8410 §3 as an OID, and the
/// curve's name as a PrintableString for the tokens that know only that.
const CURVE: [&[u8]; 2] = [b"\x06\x03\x2b\x65\x70", b"\x13\x0cedwards25519"];

/// Makes a pair; the answer holds both objects.
/// The private one comes first. The curve's OID is tried first, and the name only when the token
/// has refused that, having made nothing.
pub(crate) fn generate(
    session: &Session,
    public: &[Attribute],
    private: &[Attribute],
) -> Result<Vec<ObjectHandle>, Error> {
    let generate = |curve: &[u8]| {
        let mut public = public.to_vec();
        public.push(Attribute::EcParams(curve.to_vec()));
        session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public, private)
    };
    let [object_id, name] = CURVE;
    let made = match generate(object_id) {
        Err(Error::Pkcs11(
            RvError::AttributeValueInvalid
            | RvError::CurveNotSupported
            | RvError::DomainParamsInvalid,
            _,
        )) => generate(name),
        made => made,
    };
    made.map(|(public, private)| vec![private, public])
}

/// The public key of a public-key object; `None` if it is none on this curve.
/// Nothing is said of the private key: whether they belong together is seen by signing.
pub(crate) fn read_public(
    session: &Session,
    object: ObjectHandle,
) -> Result<Option<VerifyingKey>, Error> {
    let types = [AttributeType::EcParams, AttributeType::EcPoint];
    let attributes = session.get_attributes(object, &types)?;
    let [Attribute::EcParams(curve), Attribute::EcPoint(point)] = attributes.as_slice() else {
        return Ok(None);
    };
    // A point of another curve may have as many bytes, and would be read as a key of this one.
    Ok(CURVE.contains(&curve.as_slice()).then(|| parse_point(point)).flatten())
}

/// Signs and verifies strictly (RFC 8032 §5.1.7, no small-order keys); `None` for a signature that does
/// not verify, which must go nowhere: a faulty one can give a private key away.
pub(crate) fn sign(
    session: &Session,
    private: ObjectHandle,
    public: &VerifyingKey,
    message: &[u8],
) -> Result<Option<[u8; 64]>, Error> {
    let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
    // The message goes into the token whole. It hashes it twice, so a digest cannot be handed in.
    let signature = session.sign(&mechanism, private, message)?;
    let Ok(signature) = <[u8; 64]>::try_from(signature) else {
        return Ok(None);
    };
    let verified = public.verify_strict(message, &Signature::from_bytes(&signature));
    Ok(verified.is_ok().then_some(signature))
}

/// Reads `CKA_EC_POINT`: an OCTET STRING around the 32 bytes as the standard wants, or the bare bytes
/// as some tokens give them.
/// A key of small order is none: some signatures verify under it for any message.
fn parse_point(point: &[u8]) -> Option<VerifyingKey> {
    let bare = match point {
        [0x04, 0x20, bare @ ..] if bare.len() == 32 => bare,
        bare => bare,
    };
    let key = VerifyingKey::from_bytes(bare.try_into().ok()?).ok()?;
    (!key.is_weak()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_bare_and_wrapped_and_no_other_way() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
        let bare = key.to_bytes();
        assert_eq!(parse_point(&bare), Some(key));
        assert_eq!(parse_point(&[b"\x04\x20".as_slice(), &bare].concat()), Some(key));
        assert_eq!(parse_point(&[b"\x03\x20".as_slice(), &bare].concat()), None);
        assert_eq!(parse_point(&bare[1..]), None);
        let mut small_order = [0; 32];
        small_order[0] = 1;
        assert_eq!(parse_point(&small_order), None);
    }
}
