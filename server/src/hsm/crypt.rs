//! Using keys: seal, open, sign. Whatever the token made is checked before it is handed on.
//!
//! A domain key is sealed with a random nonce of 96 bits. A root seals a few domain keys in its
//! life, so the bound of SP 800-38D §8.3 on random nonces, 2³² for a key, is never near.

use cryptoki::{
    error::{Error, RvError},
    mechanism::{Mechanism, aead::GcmParams},
    object::ObjectHandle,
    session::Session,
};
use keyhaven_engine::port::hsm::{HsmError, HsmKey};
use keyhaven_shared::secret::DomainKey;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    connection::{Connection, Handle},
    ed25519,
    error::{failed, is_stale_handle},
    keys,
};

/// AES-GCM's nonce in bytes (SP 800-38D §8.2.2: random, 96 bits).
const NONCE: usize = 12;
/// AES-GCM's tag in bytes.
const TAG: usize = 16;

/// A return code of PKCS#11 v3.0 that `cryptoki` has no name for.
/// A token that has it says exactly that the tag is wrong.
const CKR_AEAD_DECRYPT_FAILED: u64 = 0x42;

/// Reads every attribute of a key back.
///
/// # Errors
/// [`HsmError::Missing`], [`HsmError::WrongAttribute`], or as the token.
pub(crate) fn check(connection: &mut Connection, key: HsmKey) -> Result<(), HsmError> {
    connection.forget(key);
    keys::find(connection, key).map(drop)
}

/// Seals a domain key: nonce (12) ‖ ciphertext (32) ‖ tag (16).
///
/// The root is looked up and read back each time: sealing is rare, and a domain key sealed under
/// another key than is meant would be lost.
///
/// # Errors
/// [`HsmError::Refused`] if `root` is none, or the token does not open what it sealed; else as
/// [`keys::find`] and the token.
pub(crate) fn seal(
    connection: &mut Connection,
    root: HsmKey,
    aad: &[u8],
    secret: &DomainKey,
) -> Result<Vec<u8>, HsmError> {
    keys::require_root(root)?;
    connection.forget(root);
    let handle = keys::find(connection, root)?;
    let session = connection.session()?;
    let mut nonce = make_nonce(session)?;
    // EXPOSE: sealing is what the caller asks for.
    let body = encrypt(session, handle.object, &mut nonce, aad, secret.expose_secret())
        .map_err(|error| failed(&error))?;
    // `nonce` is read after the call: it is the one that was really used.
    let opened = decrypt(session, handle.object, nonce, aad, &body);
    // EXPOSE: what was sealed is opened again and compared before it is relied on.
    let same = opened.is_ok_and(|opened| opened.ct_eq(secret.expose_secret()).into());
    // A token may answer with more, such as a nonce in front. We would not find the parts again.
    if body.len() == DomainKey::BYTES + TAG && same {
        Ok([nonce.as_slice(), &body].concat())
    } else {
        Err(HsmError::Refused("what the token sealed does not open again".to_owned()))
    }
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`HsmError::NotOpened`] when the root is fine and the bytes, or the associated data, are not
/// those that were sealed. A token that does not work is told apart: its answer must not look like
/// a forgery.
pub(crate) fn open(
    connection: &mut Connection,
    root: HsmKey,
    aad: &[u8],
    sealed: &[u8],
) -> Result<DomainKey, HsmError> {
    keys::require_root(root)?;
    let handle = keys::find(connection, root)?;
    let (nonce, body) = sealed.split_first_chunk::<NONCE>().ok_or(HsmError::NotOpened)?;
    // Not handed to the token: an answer of another length would be no domain key.
    if body.len() != DomainKey::BYTES + TAG {
        return Err(HsmError::NotOpened);
    }
    let opened = using(connection, root, handle, |session, handle| {
        decrypt(session, handle.object, *nonce, aad, body)
    })?;
    match opened {
        Ok(opened) => DomainKey::from_slice(&opened).ok_or(HsmError::NotOpened),
        Err(error) if says_not_authentic(&error) => Err(HsmError::NotOpened),
        // The same code stands for a wrong tag and for a broken token: what it does with bytes that
        // are surely good tells which.
        Err(error) if may_say_not_authentic(&error) => {
            let handle = keys::find(connection, root)?;
            Err(if still_works(connection.session()?, handle.object) {
                HsmError::NotOpened
            } else {
                failed(&error)
            })
        }
        Err(error) => Err(failed(&error)),
    }
}

/// Signs with the issuer or log key.
///
/// # Errors
/// [`HsmError::Refused`] if the key is a root, or the signature does not verify under the public
/// key.
pub(crate) fn sign(
    connection: &mut Connection,
    key: HsmKey,
    message: &[u8],
) -> Result<[u8; 64], HsmError> {
    let handle = find_signer(connection, key)?;
    let signed = using(connection, key, handle, |session, handle| match &handle.public {
        Some(public) => ed25519::sign(session, handle.object, public, message),
        None => Ok(None),
    })?;
    let faulty = || HsmError::Refused("what the token signed does not verify".to_owned());
    signed.map_err(|error| failed(&error))?.ok_or_else(faulty)
}

/// The public key of the issuer or log key.
/// As it was read back from the token and tried against the private key.
pub(crate) fn public_key(connection: &mut Connection, key: HsmKey) -> Result<[u8; 32], HsmError> {
    let handle = find_signer(connection, key)?;
    handle.public.map(|public| public.to_bytes()).ok_or(HsmError::Missing(key))
}

/// A root is refused by its role, whatever its attributes allow.
fn find_signer(connection: &mut Connection, key: HsmKey) -> Result<Handle, HsmError> {
    if keys::require_root(key).is_ok() {
        return Err(HsmError::Refused("a root signs nothing".to_owned()));
    }
    keys::find(connection, key)
}

/// Runs `work`, and once more with the key looked up anew if its handle is no longer good: such a call
/// was refused before it began.
fn using<T>(
    connection: &mut Connection,
    key: HsmKey,
    handle: Handle,
    work: impl Fn(&Session, Handle) -> Result<T, Error>,
) -> Result<Result<T, Error>, HsmError> {
    match work(connection.session()?, handle) {
        Err(error) if is_stale_handle(&error) => {
            connection.forget(key);
            let handle = keys::find(connection, key)?;
            Ok(work(connection.session()?, handle))
        }
        answer => Ok(answer),
    }
}

/// Mixes the token's randomness with the operating system's, so that one broken generator alone never
/// repeats a nonce.
/// Exclusive or: the result is as unpredictable as the better of the two.
fn make_nonce(session: &Session) -> Result<[u8; NONCE], HsmError> {
    let (mut nonce, mut own) = ([0; NONCE], [0; NONCE]);
    session.generate_random_slice(&mut nonce).map_err(|error| failed(&error))?;
    getrandom::fill(&mut own).map_err(|error| {
        HsmError::Refused(format!("the operating system's randomness: {error}"))
    })?;
    for (mixed, own) in nonce.iter_mut().zip(own) {
        *mixed ^= own;
    }
    Ok(nonce)
}

/// AES-256-GCM (SP 800-38D). A token that insists on a nonce of its own writes it to `nonce`.
/// The answer is ciphertext and tag, as `CKM_AES_GCM` gives them.
fn encrypt(
    session: &Session,
    root: ObjectHandle,
    nonce: &mut [u8; NONCE],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let parameters = GcmParams::new(nonce, aad, (TAG as u64 * 8).into())?;
    session.encrypt(&Mechanism::AesGcm(parameters), root, plaintext)
}

/// The plaintext is wiped when it is dropped. The token checks the tag before it gives any of it.
fn decrypt(
    session: &Session,
    root: ObjectHandle,
    mut nonce: [u8; NONCE],
    aad: &[u8],
    body: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let parameters = GcmParams::new(&mut nonce, aad, (TAG as u64 * 8).into())?;
    session.decrypt(&Mechanism::AesGcm(parameters), root, body).map(Zeroizing::new)
}

/// The codes that modules use for a wrong tag and for nothing else here: the lengths are checked.
const fn says_not_authentic(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::DataInvalid
                | RvError::DataLenRange
                | RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::SignatureInvalid
                | RvError::UnknownErrorCode(CKR_AEAD_DECRYPT_FAILED),
            _
        )
    )
}

/// SoftHSM2 says `CKR_GENERAL_ERROR` for a wrong tag, which can also mean that the token is broken.
const fn may_say_not_authentic(error: &Error) -> bool {
    matches!(error, Error::Pkcs11(RvError::GeneralError | RvError::FunctionFailed, _))
}

/// Whether the root seals and opens a probe: tells changed bytes from a broken token.
fn still_works(session: &Session, root: ObjectHandle) -> bool {
    let Ok(mut nonce) = make_nonce(session) else {
        return false;
    };
    // The probe's associated data is its own label, so what it seals opens as no domain key.
    let probe = [0; DomainKey::BYTES];
    encrypt(session, root, &mut nonce, b"keyhaven/v1/hsm-probe", &probe)
        .and_then(|body| decrypt(session, root, nonce, b"keyhaven/v1/hsm-probe", &body))
        .is_ok_and(|opened| *opened == probe)
}
