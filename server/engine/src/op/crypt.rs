//! Encryption in the server, of small messages.

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

/// The largest message, in bytes.
pub const LARGEST_PLAINTEXT: usize = 64 * 1024;

/// Encrypts a small message.
pub struct Encrypt {
    /// Under which key.
    pub key: KeyName,
    /// The message.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// What it is about.
    pub context: EncryptionContext,
}

/// What was encrypted.
#[derive(Debug)]
pub struct Encrypted {
    /// Names its key and version itself.
    pub ciphertext: Vec<u8>,
    /// The key's id.
    pub key: String,
    /// The version that encrypted.
    pub version: Version,
}

/// Decrypts what [`Encrypt`] or a data key operation made.
pub struct Decrypt {
    /// Under which key.
    pub key: KeyName,
    /// As it was given.
    pub ciphertext: Vec<u8>,
    /// As it was given then.
    pub context: EncryptionContext,
}

/// What was decrypted.
pub struct Decrypted {
    /// The message.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The key's id.
    pub key: String,
    /// The version that had encrypted.
    pub version: Version,
}

/// The first half of encrypting anew: opens the old ciphertext for the server alone.
pub struct ReEncryptFrom(
    /// What to open.
    pub Decrypt,
);

/// The second half: seals it anew.
pub struct ReEncryptTo(
    /// What to seal.
    pub Encrypt,
);

/// Encrypts under the scene's key's primary version.
pub(crate) async fn encrypt_in(
    services: &Services,
    scene: &Scene<'_>,
    (plaintext, context): (&[u8], &EncryptionContext),
    rng: &mut ChaCha20Rng,
) -> Result<Encrypted, Error> {
    let (keyring, key) = scene.resource.key()?;
    let version = key.record.primary;
    let place = (keyring.record.as_ref(), key.record.as_ref());
    let material = services.keystore.material(&scene.permit, place, version).await?;
    let under = (key.record.id, version, material.as_ref());
    let ciphertext = ciphertext::encrypt(under, context, plaintext, rng)?;
    Ok(Encrypted { ciphertext, key: key.record.record.id.clone(), version })
}

/// Decrypts under the scene's key. A ciphertext of another key looks like a changed one.
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
    if parsed.key != key.record.id || parsed.version > key.record.primary {
        return Err(Error::CiphertextInvalid);
    }
    let place = (keyring.record.as_ref(), key.record.as_ref());
    let material = services.keystore.material(&scene.permit, place, parsed.version).await?;
    let plaintext = parsed.decrypt(&material, context)?;
    Ok(Decrypted { plaintext, key: key.record.record.id.clone(), version: parsed.version })
}

/// What the record says of a ciphertext that was made or used.
pub(crate) fn note(version: Version, ciphertext: &[u8]) -> Event {
    Event {
        version: Some(version.number()),
        result_hash: Some(Sha256::digest(ciphertext).into()),
        ..Event::default()
    }
}

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
        if self.plaintext.len() > LARGEST_PLAINTEXT {
            return Err(Error::InvalidRequest(
                "the plaintext is larger than 64 KiB: generate a data key and encrypt with that"
                    .to_owned(),
            ));
        }
        let message = (self.plaintext.as_slice(), &self.context);
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
