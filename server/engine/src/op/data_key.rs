//! Data keys: in plaintext for a backend, or sealed to one device.
//!
//! A data key encrypts one object or session where the data is. The server keeps none of them: it
//! encrypts each under a key version and gives that ciphertext along, to be shown again when the
//! data key is needed. A data key that was given cannot be taken back; what ends is the lease,
//! which an honest device obeys.

use chacha20::ChaCha20Rng;
use keyhaven_shared::{
    context::EncryptionContext,
    delivery::{Delivery, DeliveryTerms, Lease, Recipient, UsageFlags},
    ids::{DeviceId, Version},
    key_spec::Distribution,
    operation::Operation,
    secret::DataKey,
};

use super::crypt::{decrypt_in, encrypt_in, facts, note};
use crate::{
    act::{Act, Effect, Scene, TargetName},
    directory::Loaded,
    error::{DeviceFault, Error},
    name::KeyName,
    record::{Device, keyring_id},
    resource::Facts,
    services::Services,
};

/// Makes a data key for a backend. The one operation that answers with key bytes in plaintext, and
/// so a right of its own.
pub struct GenerateDataKey {
    /// Under which key.
    pub key: KeyName,
    /// What the data is about.
    pub context: EncryptionContext,
}

/// A data key for a backend.
pub struct GeneratedDataKey {
    /// The data key.
    pub plaintext: DataKey,
    /// The same, encrypted. What [`super::crypt::Decrypt`] and [`UnsealDataKey`] open, with the
    /// same context.
    pub ciphertext: Vec<u8>,
    /// The key's id.
    pub key: String,
    /// The version that wraps it.
    pub version: Version,
}

/// What a device asks of a delivery. Wishes, not yet granted: policies see grace and export, the
/// key bounds the grace, and the lease has a longest length.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Random; the answer is bound to it. 32 bytes, so that an answer recorded earlier is none to
    /// this request.
    pub nonce: [u8; 32],
    /// What the data key may be used for. Signed and sealed with the key. An honest client obeys
    /// it; it is no bound on a hacked one.
    pub usage: UsageFlags,
    /// Seconds of lease. 1 to 3600.
    pub lease_s: u32,
    /// Seconds of offline grace. 0 to what the key allows: how long the device may go on, after the
    /// lease, when it cannot ask.
    pub offline_grace_s: u32,
}

/// Makes a data key and seals it to the asking device. The answer shows it to nobody else; who may
/// decrypt under the key can open the encrypted one, as ever.
pub struct DeliverDataKey {
    /// Under which key.
    pub key: KeyName,
    /// What the data is about.
    pub context: EncryptionContext,
    /// How it is to be delivered.
    pub wish: Wish,
}

/// Opens an encrypted data key and seals it to the asking device. Renewing a lease is this, too. A
/// right apart from [`DeliverDataKey`]: a device may be allowed to write new data and not to read
/// old.
pub struct UnsealDataKey {
    /// Under which key.
    pub key: KeyName,
    /// As it was given.
    pub encrypted_data_key: Vec<u8>,
    /// As it was given then.
    pub context: EncryptionContext,
    /// How it is to be delivered.
    pub wish: Wish,
}

/// A data key sealed to a device.
#[derive(Debug)]
pub struct SealedDataKey {
    /// The delivery's bytes. One length for each suite, whatever is in it; see `docs/formats.md`.
    pub delivery: Vec<u8>,
    /// The data key encrypted under the key version. To be kept with the data.
    pub encrypted_data_key: Vec<u8>,
    /// The key's id.
    pub key: String,
    /// The version that wraps it.
    pub version: Version,
    /// The keyring's id.
    pub keyring: String,
}

impl Act for GenerateDataKey {
    type Answer = GeneratedDataKey;
    const OPERATION: Operation = Operation::GenerateDataKey;

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
    ) -> Result<Effect<GeneratedDataKey>, Error> {
        let mut rng = services.ports.environment.make_rng()?;
        let plaintext = DataKey::make(&mut rng);
        // From our own generator, seeded afresh by the operating system: the HSM is not asked for
        // each.
        // EXPOSE: the data key is encrypted under the key version.
        let message = (plaintext.expose_secret().as_slice(), &self.context);
        let encrypted = encrypt_in(services, scene, message, &mut rng).await?;
        let detail = note(encrypted.version, &encrypted.ciphertext);
        let (ciphertext, key, version) = (encrypted.ciphertext, encrypted.key, encrypted.version);
        Ok(Effect::answer(GeneratedDataKey { plaintext, ciphertext, key, version }).noting(detail))
    }
}

impl Act for DeliverDataKey {
    type Answer = SealedDataKey;
    const OPERATION: Operation = Operation::DeliverDataKey;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    fn facts(&self) -> Facts<'_> {
        delivery_facts(&self.context, &self.wish)
    }

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<SealedDataKey>, Error> {
        let mut rng = services.ports.environment.make_rng()?;
        let data_key = DataKey::make(&mut rng);
        // EXPOSE: the data key is encrypted under the key version.
        let message = (data_key.expose_secret().as_slice(), &self.context);
        let encrypted = encrypt_in(services, scene, message, &mut rng).await?;
        let blob = (encrypted.ciphertext, encrypted.version);
        seal((services, &mut rng), scene, (&data_key, blob), (&self.context, &self.wish)).await
    }
}

impl Act for UnsealDataKey {
    type Answer = SealedDataKey;
    const OPERATION: Operation = Operation::UnsealDataKey;

    fn target(&self) -> TargetName {
        TargetName::Key(self.key.clone())
    }

    fn facts(&self) -> Facts<'_> {
        delivery_facts(&self.context, &self.wish)
    }

    async fn act(
        &self,
        services: &Services,
        scene: &Scene<'_>,
    ) -> Result<Effect<SealedDataKey>, Error> {
        let message = (self.encrypted_data_key.as_slice(), &self.context);
        let decrypted = decrypt_in(services, scene, message).await?;
        // What is not 32 bytes long is a message that was encrypted under this key, and not a data
        // key.
        let data_key = DataKey::from_slice(&decrypted.plaintext).ok_or(Error::CiphertextInvalid)?;
        let blob = (self.encrypted_data_key.clone(), decrypted.version);
        let mut rng = services.ports.environment.make_rng()?;
        seal((services, &mut rng), scene, (&data_key, blob), (&self.context, &self.wish)).await
    }
}

/// What policies see of a delivery.
fn delivery_facts<'a>(context: &'a EncryptionContext, wish: &Wish) -> Facts<'a> {
    Facts {
        encryption: Some(context),
        offline_grace_s: wish.offline_grace_s,
        export: wish.usage.contains(UsageFlags::EXPORT),
    }
}

/// Seals a data key to the caller's device. Speculative, like all of an act: the delivery leaves
/// only after the gate. Its signature is made here all the same, and is dropped if the gate says
/// no.
async fn seal(
    (services, rng): (&Services, &mut ChaCha20Rng),
    scene: &Scene<'_>,
    (data_key, (encrypted_data_key, version)): (&DataKey, (Vec<u8>, Version)),
    (context, wish): (&EncryptionContext, &Wish),
) -> Result<Effect<SealedDataKey>, Error> {
    let (keyring, key) = scene.resource.key()?;
    // The terms first: what cannot be granted fails before anything is sealed.
    let lease = lease(rng, scene, version, wish)?;
    let (device, row) = device_of(scene)?;
    let recipient = Recipient {
        deployment: services.deployment,
        keyring: keyring_id(&keyring.record)?,
        keys: &row.record.keys,
        // All of it from the row, nothing from the request: a request cannot choose to whom, or by
        // which suite, it is sealed.
        enrolment_epoch: row.record.record.enrolment_epoch,
    };
    let terms = DeliveryTerms { nonce: wish.nonce, context_hash: context.hash(), lease };
    let signer = services.issuer.signer().await?;
    let delivery = Delivery::seal(&recipient, &terms, data_key, &signer, rng);
    let delivery = delivery.map_err(|_| Error::Internal)?.encode();
    // A device without a connection holds on until its grace ends, so until then it is told of
    // ends.
    let until = lease.not_after.saturating_add(lease.offline_grace.into());
    services.leases.hold((device, key.record.id), lease.issued_at, until);
    // The hash of the delivery: a device that shows one can be matched with the log.
    let detail = note(version, &delivery);
    let (key, keyring) = (key.record.record.id.clone(), keyring.record.id.clone());
    let answer = SealedDataKey { delivery, encrypted_data_key, key, version, keyring };
    Ok(Effect::answer(answer).noting(detail))
}

/// The caller's device. Only endpoints for tickets lead here, so that there is one is a matter of
/// the table of endpoints; without one nothing is sealed.
fn device_of<'a>(scene: &'a Scene<'_>) -> Result<(DeviceId, &'a Loaded<Device>), Error> {
    let device = scene.caller.device.as_ref().ok_or(Error::Device(DeviceFault::Unknown))?;
    let row = device.row.as_ref().ok_or(Error::Device(DeviceFault::Unknown))?;
    Ok((device.id, row))
}

/// The lease, within what the key and the protocol allow. Times in Unix time, from the decision.
/// The serial is random: it names the lease, and does not count.
fn lease(
    rng: &mut ChaCha20Rng,
    scene: &Scene<'_>,
    version: Version,
    wish: &Wish,
) -> Result<Lease, Error> {
    let (_, key) = scene.resource.key()?;
    if key.record.distribution != Distribution::DataKeys {
        return Err(Error::InvalidRequest(
            "data keys of this key do not leave the server: use a key with distribution `data-keys`".to_owned(),
        ));
    }
    if !(1..=Lease::LONGEST_S).contains(&u64::from(wish.lease_s)) {
        return Err(Error::InvalidRequest("a lease lasts 1 to 3600 seconds".to_owned()));
    }
    let most = key.record.record.max_offline_grace_s;
    if wish.offline_grace_s > most {
        return Err(Error::InvalidRequest(format!(
            "this key allows {most} seconds of offline grace"
        )));
    }
    let mut serial = [0; 8];
    rand_core::Rng::fill_bytes(rng, &mut serial);
    let issued_at = scene.permit.now();
    Ok(Lease {
        key: key.record.id,
        version,
        serial: u64::from_be_bytes(serial),
        issued_at,
        not_after: issued_at.saturating_add(wish.lease_s.into()),
        offline_grace: wish.offline_grace_s,
        flags: wish.usage,
        // On which state it was granted: whoever finds it later can look that up in the log.
        key_epoch: key.epoch.0,
        policy_epoch: scene.permit.policy_epoch(),
    })
}
