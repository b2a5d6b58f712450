//! Encryption in the server, of small messages.
//!
//! Each message is encrypted under a key of its own, derived from the key version, and committed to
//! it: `docs/formats.md` draws the bytes. So no count of messages is ever too many for one version,
//! and a ciphertext opens under one key and one context only.

use chacha20::ChaCha20Rng;
use keyhaven_shared::{
    ciphertext::{self, Ciphertext, ParseCiphertextError},
    context::EncryptionContext,
    ids::Version,
    operation::Operation,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    act::{Act, Effect, Scene, TargetName},
    audit::Event,
    error::Error,
    name::KeyName,
    resource::Facts,
    services::Services,
};

/// The largest message, in bytes. 64 KiB: what is larger is for a data key, so that it need not
/// pass through the server.
pub const LARGEST_PLAINTEXT: usize = 64 * 1024;

/// Encrypts a small message. Under the key's primary version.
pub struct Encrypt {
    /// Under which key.
    pub key: KeyName,
    /// The message.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// What it is about. Authenticated, not encrypted, and not stored: it must be given again, to
    /// the byte, to decrypt.
    pub context: EncryptionContext,
}

/// What was encrypted.
#[derive(Debug)]
pub struct Encrypted {
    /// Names its key and version itself. 105 bytes longer than the message.
    pub ciphertext: Vec<u8>,
    /// The key's id.
    pub key: String,
    /// The version that encrypted.
    pub version: Version,
}

/// Decrypts what [`Encrypt`] or a data key operation made. The right covers both: whoever may
/// decrypt under a key can also have every data key under it in plaintext.
pub struct Decrypt {
    /// It must be the one that the ciphertext names; that name alone decides nothing.
    /// Under which key.
    pub key: KeyName,
    /// As it was given.
    pub ciphertext: Vec<u8>,
    /// As it was given then.
    pub context: EncryptionContext,
}

/// What was decrypted. In plaintext, for a backend; it is zeroized when it is dropped.
pub struct Decrypted {
    /// The message.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The key's id.
    pub key: String,
    /// The version that had encrypted.
    pub version: Version,
}

/// The first half of encrypting anew: opens the old ciphertext for the server alone. A right of its
/// own, and less than [`Decrypt`]: the caller gets the message only if it may also read what the
/// second half makes.
pub struct ReEncryptFrom(
    /// What to open.
    pub Decrypt,
);

/// The second half: seals it anew. Decided and recorded by itself; if it is refused, the first half
/// stands in the log and the message is dropped.
pub struct ReEncryptTo(
    /// What to seal.
    pub Encrypt,
);

/// Encrypts under the scene's key's primary version. For messages and for data keys, which are
/// encrypted alike. As [`crate::keystore::Keystore::material`] fails.
pub(crate) async fn encrypt_in(
    services: &Services,
    scene: &Scene<'_>,
    (plaintext, context): (&[u8], &EncryptionContext),
    rng: &mut ChaCha20Rng,
) -> Result<Encrypted, Error> {
    let (keyring, key) = scene.resource.key()?;
    // From the row that the gate checks: after a rotation nothing is released under the old
    // version.
    let version = key.record.primary;
    let place = (keyring.record.as_ref(), key.record.as_ref());
    let material = services.keystore.material(&scene.permit, place, version).await?;
    let under = (key.record.id, version, material.as_ref());
    let ciphertext = ciphertext::encrypt(under, context, plaintext, rng)?;
    Ok(Encrypted { ciphertext, key: key.record.record.id.clone(), version })
}

/// Decrypts under the scene's key. A ciphertext of another key looks like a changed one. So does
/// one of another suite, or with another context.
pub(crate) async fn decrypt_in(
    services: &Services,
    scene: &Scene<'_>,
    (bytes, context): (&[u8], &EncryptionContext),
) -> Result<Decrypted, Error> {
    let (keyring, key) = scene.resource.key()?;
    let parsed = Ciphertext::parse(bytes).map_err(|error| match error {
        ParseCiphertextError::NotCiphertext | ParseCiphertextError::UnknownSuite => {
            Error::CiphertextInvalid
        }
    })?;
    // The decision was about the scene's key. A ciphertext that names another must not lead to that
    // one's material; one that names a version to come must not read the store.
    if parsed.key != key.record.id || parsed.version > key.record.primary {
        return Err(Error::CiphertextInvalid);
    }
    let place = (keyring.record.as_ref(), key.record.as_ref());
    let material = services.keystore.material(&scene.permit, place, parsed.version).await?;
    let plaintext = parsed.decrypt(&material, context)?;
    Ok(Decrypted { plaintext, key: key.record.record.id.clone(), version: parsed.version })
}

/// What the record says of a ciphertext that was made or used. Its hash: whoever has the ciphertext
/// finds its entries, and the log alone gives nothing to decrypt.
pub(crate) fn note(version: Version, ciphertext: &[u8]) -> Event {
    Event {
        version: Some(version.number()),
        result_hash: Some(Sha256::digest(ciphertext).into()),
        ..Event::default()
    }
}

/// What policies see of an operation that has nothing but a context.
pub(crate) fn facts(context: &EncryptionContext) -> Facts<'_> {
    Facts { encryption: Some(context), ..Facts::default() }
}

impl Act for Encrypt {
    type Answer = Encrypted;
    const OPERATION: Operation = Operation::Encrypt;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    fn facts(&self) -> Facts<'_> {
        facts(&self.context)
    }

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<Encrypted>, Error> {
        // Here and not in the protocol, so that every protocol has the same bound.
        if self.plaintext.len() > LARGEST_PLAINTEXT {
            return Err(Error::InvalidRequest(
                "the plaintext is larger than 64 KiB: generate a data key and encrypt with that"
                    .to_owned(),
            ));
        }
        let message = (self.plaintext.as_slice(), &self.context);
        // A generator for this one message: salts that come twice would need two equal seeds.
        let mut rng = services.ports.environment.make_rng()?;
        let encrypted = encrypt_in(services, scene, message, &mut rng).await?;
        let detail = note(encrypted.version, &encrypted.ciphertext);
        Ok(Effect::answer(encrypted).noting(detail))
    }
}

impl Act for Decrypt {
    type Answer = Decrypted;
    const OPERATION: Operation = Operation::Decrypt;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    fn facts(&self) -> Facts<'_> {
        facts(&self.context)
    }

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<Decrypted>, Error> {
        let decrypted = decrypt_in(services, scene, (&self.ciphertext, &self.context)).await?;
        // Of what came in. A hash of what came out could be searched for short messages.
        let detail = note(decrypted.version, &self.ciphertext);
        Ok(Effect::answer(decrypted).noting(detail))
    }
}

impl Act for ReEncryptFrom {
    type Answer = Decrypted;
    const OPERATION: Operation = Operation::ReEncryptFrom;

    fn target(&self) -> TargetName {
        self.0.target()
    }

    fn facts(&self) -> Facts<'_> {
        self.0.facts()
    }

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<Decrypted>, Error> {
        self.0.act(services, scene).await
    }
}

impl Act for ReEncryptTo {
    type Answer = Encrypted;
    const OPERATION: Operation = Operation::ReEncryptTo;

    fn target(&self) -> TargetName {
        self.0.target()
    }

    fn facts(&self) -> Facts<'_> {
        self.0.facts()
    }

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<Encrypted>, Error> {
        self.0.act(services, scene).await
    }
}
