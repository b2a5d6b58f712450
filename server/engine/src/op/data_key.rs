//! Data keys: in plaintext for a backend, or sealed to one device.

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

/// Makes a data key for a backend.
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
    /// The same, encrypted.
    pub ciphertext: Vec<u8>,
    /// The key's id.
    pub key: String,
    /// The version that wraps it.
    pub version: Version,
}

/// What a device asks of a delivery.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Random; the answer is bound to it.
    pub nonce: [u8; 32],
    /// What the data key may be used for.
    pub usage: UsageFlags,
    /// Seconds of lease.
    pub lease_s: u32,
    /// Seconds of offline grace.
    pub offline_grace_s: u32,
}

/// Makes a data key and seals it to the asking device.
pub struct DeliverDataKey {
    /// Under which key.
    pub key: KeyName,
    /// What the data is about.
    pub context: EncryptionContext,
    /// How it is to be delivered.
    pub wish: Wish,
}

/// Opens an encrypted data key and seals it to the asking device.
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
    /// The delivery's bytes.
    pub delivery: Vec<u8>,
    /// The data key encrypted under the key version.
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
        let data_key = DataKey::from_slice(&decrypted.plaintext).ok_or(Error::CiphertextInvalid)?;
        let blob = (self.encrypted_data_key.clone(), decrypted.version);
        let mut rng = services.ports.environment.make_rng()?;
        seal((services, &mut rng), scene, (&data_key, blob), (&self.context, &self.wish)).await
    }
}

fn delivery_facts<'a>(context: &'a EncryptionContext, wish: &Wish) -> Facts<'a> {
    Facts {
        encryption: Some(context),
        offline_grace_s: wish.offline_grace_s,
        export: wish.usage.contains(UsageFlags::EXPORT),
    }
}

/// Seals a data key to the caller's device.
async fn seal(
    (services, rng): (&Services, &mut ChaCha20Rng),
    scene: &Scene<'_>,
    (data_key, (encrypted_data_key, version)): (&DataKey, (Vec<u8>, Version)),
    (context, wish): (&EncryptionContext, &Wish),
) -> Result<Effect<SealedDataKey>, Error> {
    let (keyring, key) = scene.resource.key()?;
    let lease = lease(rng, scene, version, wish)?;
    let (device, row) = device_of(scene)?;
    let recipient = Recipient {
        deployment: services.deployment,
        keyring: keyring_id(&keyring.record)?,
        keys: &row.record.keys,
        enrolment_epoch: row.record.record.enrolment_epoch,
    };
    let terms = DeliveryTerms { nonce: wish.nonce, context_hash: context.hash(), lease };
    let signer = services.issuer.signer().await?;
    let delivery = Delivery::seal(&recipient, &terms, data_key, &signer, rng);
    let delivery = delivery.map_err(|_| Error::Internal)?.encode();
    let until = lease.not_after.saturating_add(lease.offline_grace.into());
    services.leases.hold((device, key.record.id), lease.issued_at, until);
    let detail = note(version, &delivery);
    let (key, keyring) = (key.record.record.id.clone(), keyring.record.id.clone());
    let answer = SealedDataKey { delivery, encrypted_data_key, key, version, keyring };
    Ok(Effect::answer(answer).noting(detail))
}

fn device_of<'a>(scene: &'a Scene<'_>) -> Result<(DeviceId, &'a Loaded<Device>), Error> {
    let device = scene.caller.device.as_ref().ok_or(Error::Device(DeviceFault::Unknown))?;
    let row = device.row.as_ref().ok_or(Error::Device(DeviceFault::Unknown))?;
    Ok((device.id, row))
}

/// The lease, within what the key and the protocol allow.
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
        key_epoch: key.epoch.0,
        policy_epoch: scene.permit.policy_epoch(),
    })
}
