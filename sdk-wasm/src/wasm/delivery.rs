//! A data key on its way here: asked for, verified, opened, held.

use keyhaven_shared::{
    ciphertext::Ciphertext,
    context::EncryptionContext,
    delivery::{self, DeliveryError, Expectations, Lease, Recipient, UsageFlags, VerifiedDelivery},
    ids::{DeploymentId, KeyId, KeyringId, Version},
    issuer::IssuerPublicKey,
    message::About,
    secret::{DataKey, SharedSecret},
};
use rand_core::Rng;
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

use super::{
    device::DeviceKeys,
    error::Fault,
    module_keys::ModuleKeys,
    proof::whole_number,
    sweep::{sweep_on_drop, sweep_stack},
};
use crate::entropy::make_rng;

/// The installation that a device enrolled with: its id, and the issuer key that the device pinned.
#[wasm_bindgen]
pub struct Deployment {
    pub(crate) id: DeploymentId,
    pub(crate) issuer: IssuerPublicKey,
    enrolment_epoch: u64,
}

#[wasm_bindgen]
impl Deployment {
    /// Takes what enrolment told: the id, the issuer's Ed25519 key (32 bytes), and the epoch.
    ///
    /// # Errors
    /// [`Fault::Argument`] for anything malformed, and an issuer key of low order.
    #[wasm_bindgen(constructor)]
    pub fn new(id: &str, issuer: &[u8], enrolment_epoch: f64) -> Result<Self, Fault> {
        let id = id.parse().map_err(|_| Fault::Argument)?;
        let issuer = issuer.try_into().ok().and_then(IssuerPublicKey::from_bytes);
        let issuer = issuer.ok_or(Fault::Argument)?;
        Ok(Self { id, issuer, enrolment_epoch: whole_number(enrolment_epoch)? })
    }
}

/// What is asked for: the answer must match it.
#[wasm_bindgen]
pub struct DataKeyRequest {
    nonce: [u8; 32],
    context: EncryptionContext,
    flags: UsageFlags,
    max_lease: u32,
    max_offline_grace: u32,
}

#[wasm_bindgen]
impl DataKeyRequest {
    /// Begins a request with a fresh nonce. `context` holds keys and values by turns; `usage` is
    /// `encrypt` or `decrypt`; the limits are in seconds, and the compiled-in ones hold besides.
    ///
    /// # Errors
    /// [`Fault::Context`], [`Fault::Argument`] for an unknown usage, [`Fault::Randomness`].
    #[wasm_bindgen(constructor)]
    pub fn new(
        context: Vec<String>,
        usage: &str,
        max_lease: u32,
        max_offline_grace: u32,
    ) -> Result<Self, Fault> {
        let mut nonce = [0; 32];
        make_rng()?.fill_bytes(&mut nonce);
        Self::restore(context, usage, max_lease, max_offline_grace, &nonce)
    }

    /// A request that was made before, to verify its kept answer once more. Limits are those of today.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Fault::Argument`] for a nonce of another length than 32 bytes.
    pub fn restore(
        context: Vec<String>,
        usage: &str,
        max_lease: u32,
        max_offline_grace: u32,
        nonce: &[u8],
    ) -> Result<Self, Fault> {
        let context = context_from(context)?;
        let flags = UsageFlags::from_words([usage]).ok_or(Fault::Argument)?;
        let nonce = nonce.try_into().map_err(|_| Fault::Argument)?;
        Ok(Self { nonce, context, flags, max_lease, max_offline_grace })
    }

    /// The request's nonce.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn nonce(&self) -> Vec<u8> {
        self.nonce.to_vec()
    }

    /// Verifies an answer: that this deployment made it, for this request and this device, about the key
    /// that `answer` names, and no longer ago than its lease. `now` is the time in seconds.
    ///
    /// # Errors
    /// [`Fault::Delivery`], whatever is wrong.
    pub fn verify(
        &self,
        answer: &DeliveryAnswer,
        device: &DeviceKeys,
        deployment: &Deployment,
        now: f64,
    ) -> Result<Delivery, Fault> {
        self.verified((answer, device, deployment), now, delivery::Delivery::verify)
    }

    /// Verifies an answer that was verified before, and kept: that it still holds, `now` being within its
    /// lease or the offline grace after it.
    ///
    /// # Errors
    /// As [`Self::verify`].
    #[wasm_bindgen(js_name = verifyKept)]
    pub fn verify_kept(
        &self,
        answer: &DeliveryAnswer,
        device: &DeviceKeys,
        deployment: &Deployment,
        now: f64,
    ) -> Result<Delivery, Fault> {
        self.verified((answer, device, deployment), now, delivery::Delivery::verify_kept)
    }
}

/// What believes a delivery, at a time in seconds: new, or kept.
type Verify = fn(
    delivery::Delivery,
    &Expectations<'_>,
    &IssuerPublicKey,
    u64,
) -> Result<VerifiedDelivery, DeliveryError>;

impl DataKeyRequest {
    fn verified(
        &self,
        (answer, device, deployment): (&DeliveryAnswer, &DeviceKeys, &Deployment),
        now: f64,
        verify: Verify,
    ) -> Result<Delivery, Fault> {
        let delivery = delivery::Delivery::parse(&answer.delivery).map_err(|_| Fault::Delivery)?;
        let expected = self.expected(answer, device, deployment);
        let context_hash = expected.context_hash;
        let verified = verify(delivery, &expected, &deployment.issuer, whole_number(now)?);
        verified.map(|verified| Delivery { verified, context_hash }).map_err(|_| Fault::Delivery)
    }

    fn expected<'a>(
        &self,
        answer: &DeliveryAnswer,
        device: &'a DeviceKeys,
        deployment: &Deployment,
    ) -> Expectations<'a> {
        Expectations {
            recipient: Recipient {
                deployment: deployment.id,
                keyring: answer.keyring,
                keys: &device.keys,
                enrolment_epoch: deployment.enrolment_epoch,
            },
            nonce: self.nonce,
            key: answer.key,
            version: Some(answer.version),
            context_hash: self.context.hash(),
            flags: self.flags,
            max_lease: self.max_lease.into(),
            max_offline_grace: self.max_offline_grace,
        }
    }
}

/// A server's answer, not believed yet.
#[wasm_bindgen]
pub struct DeliveryAnswer {
    delivery: Vec<u8>,
    keyring: KeyringId,
    key: KeyId,
    version: Version,
}

#[wasm_bindgen]
impl DeliveryAnswer {
    /// Takes the sealed data key, and the ids that stand beside it in the answer.
    ///
    /// # Errors
    /// [`Fault::Delivery`] for ids that are none.
    #[wasm_bindgen(constructor)]
    pub fn new(delivery: Vec<u8>, keyring: &str, key: &str, version: u32) -> Result<Self, Fault> {
        let keyring = keyring.parse().map_err(|_| Fault::Delivery)?;
        let key = key.parse().map_err(|_| Fault::Delivery)?;
        let version = Version::new(version).ok_or(Fault::Delivery)?;
        Ok(Self { delivery, keyring, key, version })
    }
}

/// A verified answer; the data key inside is still sealed.
#[wasm_bindgen]
pub struct Delivery {
    verified: VerifiedDelivery,
    context_hash: [u8; 32],
}

#[wasm_bindgen]
impl Delivery {
    /// The X25519 public key to agree a secret with, by the device's private key.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn share(&self) -> Vec<u8> {
        self.verified.share().to_vec()
    }

    /// Opens a classical delivery with the secret that WebCrypto agreed (32 bytes); the caller overwrites
    /// its copy.
    ///
    /// # Errors
    /// [`Fault::Delivery`] when it was sealed to somebody else, in whatever respect.
    pub fn open(self, agreed: Vec<u8>) -> Result<DataKeyHandle, Fault> {
        let opened = self.verified.open(shared(agreed)?, None);
        opened_with(opened, self.context_hash)
    }

    /// Opens with the private keys in this module's memory; where the X25519 key is WebCrypto's, with the
    /// secret that it agreed.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Fault::Argument`] when the X25519 key is neither here nor there.
    #[wasm_bindgen(js_name = openWith)]
    pub fn open_with(
        self,
        keys: &ModuleKeys,
        agreed: Option<Vec<u8>>,
    ) -> Result<DataKeyHandle, Fault> {
        let ml_kem = keys.ml_kem.as_ref();
        let opened = match (agreed, &keys.x25519) {
            (Some(agreed), _) => self.verified.open(shared(agreed)?, ml_kem),
            (None, Some(private)) => self.verified.open_with_private(private, ml_kem),
            (None, None) => return Err(Fault::Argument),
        };
        opened_with(opened, self.context_hash)
    }
}

fn shared(agreed: Vec<u8>) -> Result<SharedSecret, Fault> {
    SharedSecret::from_slice(&Zeroizing::new(agreed)).ok_or(Fault::Argument)
}

fn opened_with(
    opened: Result<(DataKey, Lease), DeliveryError>,
    context_hash: [u8; 32],
) -> Result<DataKeyHandle, Fault> {
    // What was opened and then refused leaves no handle that would sweep up when it is freed.
    let opened = opened.inspect_err(|_| sweep_stack());
    let (key, lease) = opened.map_err(|_| Fault::Delivery)?;
    Ok(DataKeyHandle { key, lease, context_hash, about: None })
}

/// A data key. Its bytes never leave this module; `free()` zeroizes them.
#[wasm_bindgen]
pub struct DataKeyHandle {
    key: DataKey,
    lease: Lease,
    context_hash: [u8; 32],
    /// What the messages that it encrypts say alike, once it is prepared to encrypt.
    pub(super) about: Option<About>,
}

sweep_on_drop!(DataKeyHandle);

#[wasm_bindgen]
impl DataKeyHandle {
    /// The key that wraps this data key.
    #[wasm_bindgen(getter, js_name = keyId)]
    #[must_use]
    pub fn key_id(&self) -> String {
        self.lease.key.to_string()
    }

    /// That key's version.
    #[wasm_bindgen(getter, js_name = keyVersion)]
    #[must_use]
    pub fn key_version(&self) -> u32 {
        self.lease.version.number()
    }

    /// When the lease began, in seconds of the server's time.
    #[wasm_bindgen(getter, js_name = issuedAt)]
    #[must_use]
    pub fn issued_at(&self) -> f64 {
        self.lease.issued_at as f64
    }

    /// When it ends, in seconds of the server's time.
    #[wasm_bindgen(getter, js_name = notAfter)]
    #[must_use]
    pub fn not_after(&self) -> f64 {
        self.lease.not_after as f64
    }

    /// Seconds for which it goes on after that while the server cannot be reached.
    #[wasm_bindgen(getter, js_name = offlineGrace)]
    #[must_use]
    pub fn offline_grace(&self) -> u32 {
        self.lease.offline_grace
    }
}

impl DataKeyHandle {
    pub(crate) const fn key(&self) -> KeyId {
        self.lease.key
    }

    pub(crate) const fn version(&self) -> Version {
        self.lease.version
    }

    /// The key, prepared to encrypt.
    pub(crate) fn prepared_key(&self) -> Result<(&DataKey, &About), Fault> {
        Ok((&self.key, self.about.as_ref().ok_or(Fault::Usage)?))
    }

    /// Refuses an encrypted data key that names another key or version than the lease: nobody could open
    /// the message.
    pub(crate) fn check_encrypted(&self, encrypted_data_key: &[u8]) -> Result<(), Fault> {
        let named = Ciphertext::parse(encrypted_data_key).map_err(|_| Fault::Delivery)?;
        let same = (named.key, named.version) == (self.key(), self.version());
        if same { Ok(()) } else { Err(Fault::Delivery) }
    }

    /// The key, if it may encrypt data about `context`.
    pub(crate) fn for_encryption(&self, context: &EncryptionContext) -> Result<&DataKey, Fault> {
        self.for_use(UsageFlags::ENCRYPT, context)
    }

    /// The key, if it may decrypt data about `context`.
    pub(crate) fn for_decryption(&self, context: &EncryptionContext) -> Result<&DataKey, Fault> {
        self.for_use(UsageFlags::DECRYPT, context)
    }

    fn for_use(&self, usage: UsageFlags, context: &EncryptionContext) -> Result<&DataKey, Fault> {
        if !self.lease.flags.contains(usage) {
            return Err(Fault::Usage);
        }
        let same = self.context_hash == context.hash();
        if same { Ok(&self.key) } else { Err(Fault::Delivery) }
    }
}

/// A context from keys and values by turns.
pub(crate) fn context_from(texts: Vec<String>) -> Result<EncryptionContext, Fault> {
    let mut texts = texts.into_iter();
    let mut pairs = Vec::new();
    while let Some(key) = texts.next() {
        pairs.push((key, texts.next().ok_or(Fault::Argument)?));
    }
    Ok(EncryptionContext::from_pairs(pairs)?)
}
