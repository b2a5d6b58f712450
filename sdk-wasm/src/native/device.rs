//! This device: its keys, and what its enrolment told.

use std::{sync::Arc, time::Duration};

use keyhaven_shared::{
    api::{bytes::Base64Bytes, delivery::EnrolDevice},
    ids::{DeploymentId, DeviceId},
    issuer::IssuerPublicKey,
};
use zeroize::Zeroizing;

use super::{
    api::{self, Scheme, Shown},
    credential::Credential,
    device_keys::DeviceKeys,
    device_store::{DeviceStore, StoreLock},
    documents::EnrolledDevice,
    endpoint::Endpoint,
    error::{ArgumentFault, Error, IntegrityFault, SourceError},
    proof::Signer,
};

/// An enrolled device: to it, and to nobody else, the server seals data keys. Cheap to clone.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

struct Inner {
    keys: DeviceKeys,
    /// Pinned from then on: no later answer can change it.
    enrolment: Enrolment,
}

/// What enrolment told.
#[derive(Clone)]
pub(crate) struct Enrolment {
    pub(crate) deployment: DeploymentId,
    /// Counts this device's enrolments: what was sealed under an earlier one does not open.
    pub(crate) epoch: u64,
    /// What signs the nodes that sign deliveries and events.
    pub(crate) issuer: IssuerPublicKey,
}

/// What a new device tells of itself, and expects of its server.
#[derive(Debug, Clone, Default)]
pub struct Enrol {
    name: Option<String>,
    issuer: Option<[u8; 32]>,
}

impl Enrol {
    /// A device without a name, which trusts the issuer key that the server tells at enrolment.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A name for people, such as `billing-1`; at most 64 characters.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The server's issuer key (Ed25519): any other is refused. [`Device::issuer`] tells it.
    #[must_use]
    pub const fn issued_by(mut self, issuer: [u8; 32]) -> Self {
        self.issuer = Some(issuer);
        self
    }
}

/// How often it is looked whether another process is done with enrolling.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

impl Device {
    /// Takes up the device that `store` keeps, or makes one, which enrols with the token that `token`
    /// gives. Of several processes that do so at once, one enrols.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Tickets`] when no token came, [`IntegrityFault::Issuer`], and what the
    /// server answers.
    pub async fn open<F>(
        endpoint: &Endpoint,
        store: &impl DeviceStore,
        enrol: &Enrol,
        token: impl FnOnce() -> F + Send,
    ) -> Result<Self, Error>
    where
        F: Future<Output = Result<Credential, SourceError>> + Send,
    {
        let _lock = endpoint.in_time(lock(endpoint, store)).await?;
        let (keys, enrolment) = match store.load().await.map_err(Error::Store)? {
            Some(stored) => decode(&stored)?,
            // The keys are kept before they enrol: should the answer be lost, no enrolled key is lost with it.
            None => (DeviceKeys::make()?, None),
        };
        let enrolment = match enrolment {
            Some(enrolment) => enrolment,
            None => {
                store.save(&encode(&keys, None)).await.map_err(Error::Store)?;
                let token = async { token().await.map_err(Error::Tickets) };
                let token = endpoint.in_time(token).await?;
                let enrolment = enrolled(endpoint, &keys, enrol, &token).await?;
                store.save(&encode(&keys, Some(&enrolment))).await.map_err(Error::Store)?;
                enrolment
            }
        };
        if enrol.issuer.is_some_and(|pinned| &pinned != enrolment.issuer.as_bytes()) {
            return Err(IntegrityFault::Issuer.into());
        }
        Ok(Self(Arc::new(Inner { keys, enrolment })))
    }

    /// The device's id: the thumbprint of its public keys. Tickets may be bound to it.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.0.keys.id()
    }

    /// The server's issuer key, to pin with [`Enrol::issued_by`].
    #[must_use]
    pub fn issuer(&self) -> &[u8; 32] {
        self.0.enrolment.issuer.as_bytes()
    }

    /// Its private keys.
    pub(crate) fn keys(&self) -> &DeviceKeys {
        &self.0.keys
    }

    /// What its enrolment told.
    pub(crate) fn enrolment(&self) -> &Enrolment {
        &self.0.enrolment
    }
}

/// Waits until no other process takes up or enrols this device.
async fn lock(endpoint: &Endpoint, store: &impl DeviceStore) -> Result<StoreLock, Error> {
    loop {
        if let Some(lock) = store.try_lock().map_err(Error::Store)? {
            return Ok(lock);
        }
        endpoint.runtime().sleep(LOCK_PAUSE).await;
    }
}

/// Enrols the device, by a token that is good once.
///
/// # Errors
/// What the server answers; [`IntegrityFault::Answer`] for an answer about another device.
async fn enrolled(
    endpoint: &Endpoint,
    keys: &DeviceKeys,
    enrol: &Enrol,
    token: &Credential,
) -> Result<Enrolment, Error> {
    let document = EnrolDevice {
        keys: Base64Bytes(keys.public().encode()),
        // Origins are what browsers have.
        origin: None,
        name: enrol.name.clone(),
    };
    // Nothing is proven yet: the machine's own clock dates the request.
    let signer = Signer { keys, created: endpoint.runtime().moment().unix().as_secs() };
    let shown = Shown::Pass(Scheme::Enrolment, token, signer);
    let answer: EnrolledDevice = api::post(endpoint, "/devices", &document, shown).await?;
    let issuer = answer.issuer.0.as_slice().try_into().ok();
    let issuer = issuer.and_then(IssuerPublicKey::from_bytes).ok_or(IntegrityFault::Answer)?;
    if answer.device != keys.id() {
        return Err(IntegrityFault::Answer.into());
    }
    Ok(Enrolment { deployment: answer.deployment, epoch: answer.enrolment_epoch, issuer })
}

/// The last byte is the format's version.
const MAGIC: &[u8; 4] = b"KHK1";

/// The layout of `docs/formats.md`.
fn encode(keys: &DeviceKeys, enrolment: Option<&Enrolment>) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAGIC.len() + DeviceKeys::BYTES + 57));
    bytes.extend_from_slice(MAGIC);
    // EXPOSE: the device's store keeps its keys over a restart.
    bytes.extend_from_slice(&keys.expose_secrets());
    if let Some(Enrolment { deployment, epoch, issuer }) = enrolment {
        bytes.extend_from_slice(deployment.as_bytes());
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(issuer.as_bytes());
    }
    bytes
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`ArgumentFault::StoredDevice`] for anything else.
fn decode(bytes: &[u8]) -> Result<(DeviceKeys, Option<Enrolment>), ArgumentFault> {
    let secrets = bytes.strip_prefix(MAGIC).ok_or(ArgumentFault::StoredDevice)?;
    let (secrets, rest) =
        secrets.split_at_checked(DeviceKeys::BYTES).ok_or(ArgumentFault::StoredDevice)?;
    let keys = DeviceKeys::from_secrets(secrets)?;
    let enrolment = if rest.is_empty() { None } else { Some(enrolment(rest)?) };
    Ok((keys, enrolment))
}

/// Reads what was stored of the enrolment; a device without it was kept before its enrolment was answered.
fn enrolment(bytes: &[u8]) -> Result<Enrolment, ArgumentFault> {
    let read = || {
        let (deployment, rest) = bytes.split_first_chunk::<16>()?;
        let (epoch, issuer) = rest.split_first_chunk::<8>()?;
        Some(Enrolment {
            deployment: DeploymentId::from_bytes(*deployment),
            epoch: u64::from_be_bytes(*epoch),
            issuer: IssuerPublicKey::from_bytes(issuer.try_into().ok()?)?,
        })
    };
    read().ok_or(ArgumentFault::StoredDevice)
}

#[cfg(test)]
mod tests;
