//! Key material in memory. A domain key is opened by the HSM once for each keyring; key versions are
//! unwrapped under it when they are first used. Whoever wants material shows a [`Permit`].
//!
//! ```text
//! root (HSM) ─ seals ─► domain key ─ HKDF ─► wrapping key ─ wraps ─► key version
//! ```
//!
//! The root is asked once for each keyring and generation. Callers hold ids and borrow material for
//! one use; nothing here gives a key away for keeping. What is in memory is only as safe as the
//! process: it is zeroized when it is dropped, but not locked against swapping.

use std::{collections::HashMap, sync::Arc};

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit};
use keyhaven_shared::{
    encoding::{Label, Transcript},
    ids::{DeploymentId, KeyId, KeyringId, Version},
    secret::{AuditKey, DomainKey, KeyMaterial, SigningSeed, WrappingKey},
    wrap::{self, WrapBinding},
};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    directory::Directory,
    error::Error,
    memory::Memory,
    permit::Permit,
    port::{
        Ports,
        hsm::{HsmError, HsmKey, HsmRole},
        store::{Kind, Place},
    },
    record::{Key, KeyringRecord, VersionRecord, keyring_id, version_place},
};

/// A keyring's domain key, open: only its wrapping sub-key is kept, the domain key itself is
/// dropped.
pub struct Domain {
    deployment: DeploymentId,
    keyring: KeyringId,
    generation: u32,
    wrapping: WrappingKey,
}

impl Domain {
    /// Derives the sub-keys of a domain key. The ids and the generation become a part of what each
    /// version is bound to.
    ///
    /// # Errors
    /// [`Error::Internal`] never, for sub-keys of this size.
    pub fn open(
        (deployment, keyring, generation): (DeploymentId, KeyringId, u32),
        key: &DomainKey,
    ) -> Result<Self, Error> {
        let mut derived = Ok(());
        let wrapping = WrappingKey::fill_with(|bytes| derived = derive(key, "wrap", bytes));
        derived.map(|()| Self { deployment, keyring, generation, wrapping })
    }

    /// What a version's wrapping is bound to: its place, and the key's spec, usage, origin and
    /// protection. A row that was moved, or one of these edited in the store, does not open. Not
    /// bound: state, distribution and tags, which change or are for the key's row alone to say.
    fn binding(&self, key: &Key, version: Version) -> WrapBinding {
        WrapBinding {
            deployment: self.deployment,
            keyring: self.keyring,
            key: key.id,
            version,
            spec: key.spec,
            usage: key.usage,
            origin: key.origin,
            protection: key.protection,
            generation: self.generation,
        }
    }

    /// Wraps material for its place and opens it again to check. A fault of memory found now costs
    /// a request; found later, it costs the key.
    ///
    /// # Errors
    /// [`Error::Internal`] when what was wrapped does not open.
    pub fn wrap(
        &self,
        _permit: &Permit,
        (key, version, material): (&Key, Version, &KeyMaterial),
        rng: &mut chacha20::ChaCha20Rng,
    ) -> Result<VersionRecord, Error> {
        let binding = self.binding(key, version);
        let wrapped =
            wrap::wrap(&self.wrapping, &binding, material, rng).map_err(|_| Error::Internal)?;
        // Opened before the plain material is dropped: there is no second copy anywhere.
        wrap::unwrap(&self.wrapping, &binding, &wrapped).map_err(|_| Error::Internal)?;
        let wrapped = keyhaven_shared::api::bytes::Base64Bytes(wrapped);
        Ok(VersionRecord { generation: self.generation, wrapped })
    }

    /// Opens a wrapped version. The permit need not be for this key: a destruction wraps all
    /// versions of a keyring anew.
    ///
    /// # Errors
    /// [`Error::Internal`] when the row was changed or moved. Which key and version, only the
    /// server's log tells.
    pub fn unwrap(
        &self,
        _permit: &Permit,
        (key, version): (&Key, Version),
        record: &VersionRecord,
    ) -> Result<KeyMaterial, Error> {
        wrap::unwrap(&self.wrapping, &self.binding(key, version), &record.wrapped.0).map_err(|_| {
            tracing::error!(key = %key.id, %version, "a wrapped key version does not open: changed or moved");
            Error::Internal
        })
    }
}

/// The key of the audit log's request hashes, out of the system's domain key. The same after a
/// restart, so that hashes of one body can be compared over the whole log.
///
/// # Errors
/// [`Error::Internal`] never, for a key of this size.
pub fn derive_audit_key(key: &DomainKey) -> Result<AuditKey, Error> {
    let mut derived = Ok(());
    let audit = AuditKey::fill_with(|bytes| derived = derive(key, "audit", bytes));
    derived.map(|()| audit)
}

/// The seed of the key that signs tickets, out of the system's domain key. The same after a
/// restart, so that what was minted before it stays good.
///
/// # Errors
/// [`Error::Internal`] never, for a key of this size.
pub fn derive_ticket_seed(key: &DomainKey) -> Result<SigningSeed, Error> {
    let mut derived = Ok(());
    let seed = SigningSeed::fill_with(|bytes| derived = derive(key, "tickets", bytes));
    derived.map(|()| seed)
}

/// A sub-key for one purpose: HKDF-Expand with SHA-256 (RFC 5869 §2.3). Extracting is left out, as
/// §3.3 allows for a key that is uniform. Another purpose gives an independent key, so no key has
/// two roles.
fn derive(key: &DomainKey, purpose: &str, output: &mut [u8; 32]) -> Result<(), Error> {
    let info = Transcript::new(Label::DOMAIN_SUBKEY).field(purpose.as_bytes()).finish();
    // EXPOSE: the parent of the sub-key; uniform already, so only HKDF's expand step is needed.
    let hkdf = Hkdf::<Sha256>::from_prk(key.expose_secret()).map_err(|_| Error::Internal)?;
    hkdf.expand(&info, output).map_err(|_| Error::Internal)
}

/// The MAC of rows, with its key out of the system's domain key.
///
/// # Errors
/// [`Error::Internal`] never, for a key of this size.
pub fn derive_row_mac(key: &DomainKey) -> Result<Hmac<Sha256>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    derive(key, "row MAC", &mut bytes)?;
    <Hmac<Sha256> as KeyInit>::new_from_slice(bytes.as_slice()).map_err(|_| Error::Internal)
}

/// What a root sealed is its check value: it stands in a row, and no other key opens it. So another key
/// behind the label is told as such.
pub(crate) fn other_value(key: HsmKey, error: HsmError) -> HsmError {
    if error != HsmError::NotOpened {
        return error;
    }
    let attribute = "its value is another: it does not open the domain key that it sealed";
    HsmError::WrongAttribute { key, attribute: attribute.to_owned() }
}

/// What a sealed domain key is bound to.
/// The associated data of the HSM's AES-GCM. With epoch and generation in it, an older sealed key
/// put back into a newer row does not open.
#[must_use]
pub fn domain_aad(
    deployment: DeploymentId,
    keyring: KeyringId,
    epoch: u32,
    generation: u32,
) -> Vec<u8> {
    Transcript::new(Label::DOMAIN_KEY)
        .field(deployment.as_bytes())
        .field(keyring.as_bytes())
        .number(epoch.into())
        .number(generation.into())
        .finish()
}

/// Material in memory, and the way to it.
/// Shared by all requests. Both caches can be dropped at any time: the store and the HSM have
/// everything.
pub struct Keystore {
    deployment: DeploymentId,
    ports: Ports,
    directory: Arc<Directory>,
    /// One generation of each keyring; the next takes its place.
    domains: Memory<HashMap<KeyringId, Arc<Domain>>>,
    /// By key, so that stopping a key drops all its versions at once.
    materials: Memory<HashMap<KeyId, HashMap<Version, Arc<KeyMaterial>>>>,
}

/// Beyond this many keys the cache of materials starts anew; a bound on memory.
const MOST_CACHED: usize = 100_000;

impl Keystore {
    /// An empty keystore.
    #[must_use]
    pub fn new(deployment: DeploymentId, ports: Ports, directory: Arc<Directory>) -> Self {
        let (domains, materials) = (Memory::default(), Memory::default());
        Self { deployment, ports, directory, domains, materials }
    }

    /// A keyring's domain, opened by the HSM when it is not in memory in this generation. Needs no
    /// permit, as it lends no key of a user. Two requests may ask the HSM at once; both get the
    /// same.
    ///
    /// # Errors
    /// As the HSM; [`Error::Internal`] when the sealed key does not open.
    pub async fn domain(&self, keyring: &KeyringRecord) -> Result<Arc<Domain>, Error> {
        let id = keyring_id(keyring)?;
        let known = self.domains.look(|domains| domains.get(&id).cloned());
        // An older generation opens none of the rows that are valid now.
        if let Some(domain) = known.filter(|domain| domain.generation == keyring.generation) {
            return Ok(domain);
        }
        let since = self.domains.begin();
        let role = HsmRole::Root { keyring: id, epoch: keyring.root_epoch };
        let root = HsmKey { deployment: self.deployment, role };
        let aad = domain_aad(self.deployment, id, keyring.root_epoch, keyring.generation);
        let key = self.ports.hsm.open(root, aad, keyring.sealed_domain.0.clone()).await;
        let key = key.map_err(|error| other_value(root, error))?;
        let domain = Arc::new(Domain::open((self.deployment, id, keyring.generation), &key)?);
        self.domains.keep(since, |domains| drop(domains.insert(id, Arc::clone(&domain))));
        Ok(domain)
    }

    /// The domain that a version was wrapped under. A version that was wrapped anew after the caller's
    /// keyring was read is not taken for a changed one: the gate refuses the caller's result as stale.
    async fn domain_of(
        &self,
        keyring: &KeyringRecord,
        generation: u32,
    ) -> Result<Arc<Domain>, Error> {
        if keyring.generation == generation {
            return self.domain(keyring).await;
        }
        let place = Place::new(Kind::Keyring, &keyring.name);
        self.directory.forget(&place);
        let newest = self.directory.load::<KeyringRecord>(place).await?.ok_or(Error::Internal)?;
        self.domain(&newest.record).await
    }

    /// The material of a key version. Lent to one operation: the cache, or the last borrower,
    /// zeroizes it when it is dropped. The gate still decides whether what was made with it is
    /// released.
    ///
    /// # Errors
    /// [`Error::CiphertextInvalid`] for a version that the key does not have; as the store and the
    /// HSM. [`Error::Internal`] for a permit for another key, and for a row that does not open.
    pub async fn material(
        &self,
        permit: &Permit,
        (keyring, key): (&KeyringRecord, &Key),
        version: Version,
    ) -> Result<Arc<KeyMaterial>, Error> {
        // A decision about one key opens no other, whatever the act asks for.
        if permit.key() != Some(key.id) {
            return Err(Error::Internal);
        }
        if let Some(material) = self.cached(key.id, version) {
            return Ok(material);
        }
        let since = self.materials.begin();
        // Past the rows in memory: a wrapped version is read once for each time it is opened, so a copy
        // of it there would only take up room.
        let row = self.directory.read(version_place(&keyring.name, key.id, version)).await?;
        let Some(body) = row.body else { return Err(Error::CiphertextInvalid) };
        let record: VersionRecord = serde_json::from_slice(&body).map_err(|_| Error::Internal)?;
        let domain = self.domain_of(keyring, record.generation).await?;
        let material = Arc::new(domain.unwrap(permit, (key, version), &record)?);
        self.materials.keep(since, |materials| {
            if materials.len() >= MOST_CACHED {
                // All at once: each is opened again when it is needed, at the price of one row.
                materials.clear();
            }
            materials.entry(key.id).or_default().insert(version, Arc::clone(&material));
        });
        Ok(material)
    }

    /// Makes and wraps a new version's material. It is not cached, and gone from memory when this
    /// returns: the row may never be committed.
    ///
    /// # Errors
    /// As [`Self::domain`]; without randomness.
    pub async fn make_version(
        &self,
        permit: &Permit,
        (keyring, key, version): (&KeyringRecord, &Key, Version),
    ) -> Result<VersionRecord, Error> {
        let domain = self.domain(keyring).await?;
        let mut rng = self.ports.environment.make_rng()?;
        let material = KeyMaterial::make(&mut rng);
        domain.wrap(permit, (key, version, &material), &mut rng)
    }

    /// Drops, and so zeroizes, a key's material as soon as the operations under way let it go.
    /// Called after each change of the key's row, in this process.
    pub fn forget(&self, key: KeyId) {
        self.materials.forget(|materials| drop(materials.remove(&key)));
    }

    /// Drops all domains. Called after each change of a keyring's row, which is when a root is replaced:
    /// the next use of each keyring asks the HSM once.
    pub fn forget_domains(&self) {
        self.domains.forget(HashMap::clear);
    }

    /// Material that is in memory. The permit was checked by the caller.
    fn cached(&self, key: KeyId, version: Version) -> Option<Arc<KeyMaterial>> {
        self.materials.look(|materials| materials.get(&key)?.get(&version).cloned())
    }
}
