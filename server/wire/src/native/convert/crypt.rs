//! Encryption in the server.
//!
//! The only documents that hold plaintext. It is taken from one wiped owner by the next, and never
//! formatted, logged or compared on the way.

use keyhaven_engine::{
    name::KeyName,
    op::{
        crypt::{self, Decrypt, Encrypt, ReEncryptFrom, ReEncryptTo},
        data_key::{self, GenerateDataKey},
    },
};
use keyhaven_shared::{
    api::{
        bytes::{Base64Bytes, PlaintextBytes},
        crypto::{self as api, Decrypted, Encrypted, GeneratedDataKey, ReEncrypt},
    },
    operation::Operation,
};

use super::context;
use crate::native::{
    arguments::Arguments,
    error::Refusal,
    routes::{Call, Later, Line, Route},
};

/// `POST /keys/{key}/encrypt`.
///
/// # Errors
/// [`Refusal::Malformed`] for pairs that make no context. How long a plaintext may be, the engine
/// says.
pub(crate) fn encrypt(arguments: &Arguments, body: api::Encrypt) -> Result<Encrypt, Refusal> {
    let (key, plaintext) = (arguments.key()?, body.plaintext.into_zeroizing());
    Ok(Encrypt { key, plaintext, context: context(body.context)? })
}

/// The ciphertext, with the key and version that it names itself.
pub(crate) fn encrypted(_: &Encrypt, answer: crypt::Encrypted) -> Encrypted {
    encrypted_document(answer)
}

/// The same for encrypting and for encrypting anew.
fn encrypted_document(answer: crypt::Encrypted) -> Encrypted {
    let crypt::Encrypted { ciphertext, key, version } = answer;
    Encrypted { ciphertext: Base64Bytes(ciphertext), key, version: version.number() }
}

/// `POST /keys/{key}/decrypt`. The key in the path must be the one that the ciphertext names.
///
/// # Errors
/// As [`encrypt`].
pub(crate) fn decrypt(arguments: &Arguments, body: api::Decrypt) -> Result<Decrypt, Refusal> {
    let (key, ciphertext) = (arguments.key()?, body.ciphertext.0);
    Ok(Decrypt { key, ciphertext, context: context(body.context)? })
}

/// The plaintext, with the key and version that it was under.
pub(crate) fn decrypted(_: &Decrypt, answer: crypt::Decrypted) -> Decrypted {
    let crypt::Decrypted { mut plaintext, key, version } = answer;
    // Moved out of one wiped owner into another: no copy is left behind.
    let plaintext = PlaintextBytes::new(std::mem::take(&mut *plaintext));
    Decrypted { plaintext, key, version: version.number() }
}

/// Two operations, each with its own decision and record: opening under one key, sealing under
/// another. So nobody can move data to a key that it may not encrypt under, or from one it may not
/// open.
pub(crate) fn re_encrypt_route(line: Line) -> Route {
    let operations = (Operation::ReEncryptFrom, Some(Operation::ReEncryptTo));
    line.runs::<ReEncrypt, _>(operations, re_encrypt)
}

/// `POST /keys/{key}/re-encrypt`, to the same key and context when no others are given.
///
/// # Errors
/// As the engine, of either half. When the second is refused, the first is on the record and
/// nothing is told.
fn re_encrypt(call: Call<'_>) -> Later<'_, Encrypted> {
    Box::pin(async move {
        let body: ReEncrypt = call.bytes.read()?;
        let key = call.arguments.key()?;
        let from = context(body.context)?;
        let to = body.to_context.map_or_else(|| Ok(from.clone()), context)?;
        // All that can be malformed is looked at before anything is opened.
        let to_key = body.to_key.as_deref().map(KeyName::parse).transpose()?;
        let (name, ciphertext) = (key.clone(), body.ciphertext.0);
        let open = ReEncryptFrom(Decrypt { key: name, ciphertext, context: from });
        let opened = call.wire.engine.execute(call.caller, &open).await?;
        let (key, plaintext) = (to_key.unwrap_or(key), opened.plaintext);
        // The plaintext is in the server alone: it goes from the first answer into the second act.
        let seal = ReEncryptTo(Encrypt { key, plaintext, context: to });
        Ok(encrypted_document(call.wire.engine.execute(call.caller, &seal).await?))
    })
}

/// `POST /keys/{key}/generate-data-key`.
///
/// # Errors
/// As [`encrypt`].
pub(crate) fn generate(
    arguments: &Arguments,
    body: api::GenerateDataKey,
) -> Result<GenerateDataKey, Refusal> {
    Ok(GenerateDataKey { key: arguments.key()?, context: context(body.context)? })
}

/// The data key in plaintext and encrypted.
pub(crate) fn generated(
    _: &GenerateDataKey,
    answer: data_key::GeneratedDataKey,
) -> GeneratedDataKey {
    let data_key::GeneratedDataKey { plaintext, ciphertext, key, version } = answer;
    // EXPOSE: giving a backend the data key is what it asked for, and was permitted.
    let plaintext = PlaintextBytes::new(plaintext.expose_secret().to_vec());
    GeneratedDataKey {
        plaintext,
        ciphertext: Base64Bytes(ciphertext),
        key,
        version: version.number(),
    }
}
