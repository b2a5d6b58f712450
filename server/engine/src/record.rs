//! The rows' documents: what the store keeps, as JSON. Twins of the domain's types, and the only types
//! here that serialize. Secrets stand in them only sealed or hashed.

use std::collections::BTreeMap;

use keyhaven_shared::{
    api::bytes::Base64Bytes,
    device::DevicePublicKeys,
    ids::{DeviceId, KeyId, KeyringId, Version},
    key_spec::{Distribution, KeySpec, KeyUsage, Origin, ProtectionLevel},
    key_state::KeyState,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::Error,
    port::store::{Kind, Place},
};

/// A document that rows of one kind hold.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind of row.
    const KIND: Kind;
}

macro_rules! records {
    ($($(#[$doc:meta])* $name:ident of $kind:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

            impl Record for $name {
                const KIND: Kind = Kind::$kind;
            }
        )+
    };
}

records! {
    /// The installation.
    DeploymentRecord of Deployment {
        /// Its id (a UUID).
        id: String,
        /// The id of the system's own keyring, which no request can name.
        system: String,
        /// The system's domain key, sealed by its root in the HSM.
        sealed_domain: Base64Bytes,
        /// The public half of the HSM's issuer key.
        issuer: Base64Bytes,
        /// Milliseconds since the Unix epoch.
        created_ms: u64,
    }

    /// A keyring.
    KeyringRecord of Keyring {
        /// Its id (a UUID).
        id: String,
        /// Its name.
        name: String,
        /// The epoch of its root key in the HSM.
        root_epoch: u32,
        /// The generation of its domain key.
        generation: u32,
        /// The domain key, sealed by the root.
        sealed_domain: Base64Bytes,
        /// Seconds since the Unix epoch.
        created_at: u64,
    }

    /// A key.
    KeyRecord of Key {
        /// Its id (a UUID).
        id: String,
        /// Its keyring's name.
        keyring: String,
        /// Algorithm and size.
        spec: String,
        /// What it is for.
        usage: String,
        /// Where its material came from.
        origin: String,
        /// Where it is used.
        protection: String,
        /// What may leave the server.
        distribution: String,
        /// The state's word.
        state: String,
        /// The day of destruction, while it is pending.
        destruction_at: Option<u64>,
        /// When each version was made; the first is version 1, the last is primary.
        versions_created_at: Vec<u64>,
        /// Its names within the keyring.
        aliases: Vec<String>,
        /// The longest offline grace, in seconds.
        max_offline_grace_s: u32,
        /// Free labels.
        tags: BTreeMap<String, String>,
        /// Seconds since the Unix epoch.
        created_at: u64,
    }

    /// A key version.
    VersionRecord of KeyVersion {
        /// The generation of the domain key that wraps it.
        generation: u32,
        /// The wrapped material.
        wrapped: Base64Bytes,
    }

    /// An alias.
    AliasRecord of Alias {
        /// The key's id.
        key: String,
    }

    /// A principal.
    PrincipalRecord of Principal {
        /// Its name.
        name: String,
        /// Its groups.
        groups: Vec<String>,
        /// Whether it may act.
        enabled: bool,
        /// Seconds since the Unix epoch.
        created_at: u64,
    }

    /// An API token.
    TokenRecord of Token {
        /// Whose it is.
        principal: String,
        /// SHA-256 of its secret, which has 256 random bits.
        secret_sha256: Base64Bytes,
        /// Seconds since the Unix epoch.
        expires_at: u64,
        /// Seconds since the Unix epoch, once revoked.
        revoked_at: Option<u64>,
    }

    /// A policy. The one named `*` has no text and counts the changes of all.
    PolicyRecord of Policy {
        /// Cedar statements.
        text: String,
        /// Seconds since the Unix epoch.
        updated_at: u64,
    }

    /// A device.
    DeviceRecord of Device {
        /// Whose it is.
        owner: String,
        /// Its public keys, encoded.
        keys: Base64Bytes,
        /// A name for people.
        name: Option<String>,
        /// Bound into everything sealed to it.
        enrolment_epoch: u64,
        /// Seconds since the Unix epoch.
        enrolled_at: u64,
        /// Seconds since the Unix epoch, once revoked.
        revoked_at: Option<u64>,
    }
}

/// The place of the one deployment row.
#[must_use]
pub fn deployment_place() -> Place {
    Place::new(Kind::Deployment, "self")
}

/// The place of the row that counts the changes of all policies.
#[must_use]
pub fn policies_place() -> Place {
    Place::new(Kind::Policy, "*")
}

/// The place of the row that counts the versions made in a keyring, so that replacing the root misses none.
#[must_use]
pub fn version_count_place(keyring: &str) -> Place {
    Place::new(Kind::KeyVersion, format_args!("{keyring}/*"))
}

/// The place of a key version.
#[must_use]
pub fn version_place(keyring: &str, key: KeyId, version: Version) -> Place {
    Place::new(Kind::KeyVersion, format_args!("{keyring}/{key}/{version}"))
}

/// The place of an alias.
#[must_use]
pub fn alias_place(keyring: &str, alias: &str) -> Place {
    Place::new(Kind::Alias, format_args!("{keyring}/{alias}"))
}

/// The place of a device.
#[must_use]
pub fn device_place(device: DeviceId) -> Place {
    Place::new(Kind::Device, device)
}

/// A key, in the domain's own types; parsed once when it is loaded.
#[derive(Debug, Clone)]
pub struct Key {
    /// The row it was read from.
    pub record: KeyRecord,
    /// Its id.
    pub id: KeyId,
    /// Where it is in its life.
    pub state: KeyState,
    /// Algorithm and size.
    pub spec: KeySpec,
    /// What it is for.
    pub usage: KeyUsage,
    /// Where its material came from.
    pub origin: Origin,
    /// Where it is used.
    pub protection: ProtectionLevel,
    /// What may leave the server.
    pub distribution: Distribution,
    /// The version that new encryptions use.
    pub primary: Version,
}

impl Key {
    /// Reads the row's words.
    ///
    /// # Errors
    /// [`Error::Internal`] for a row that this build cannot read.
    pub fn parse(record: KeyRecord) -> Result<Self, Error> {
        let parsed = Self::try_parse(&record);
        let key = record.id.clone();
        parsed.map(|parsed| Self { record, ..parsed }).ok_or_else(|| {
            tracing::error!(key, "the store holds a key that this build cannot read");
            Error::Internal
        })
    }

    fn try_parse(record: &KeyRecord) -> Option<Self> {
        let state = match (record.state.as_str(), record.destruction_at) {
            ("enabled", None) => KeyState::Enabled,
            ("disabled", None) => KeyState::Disabled,
            ("pending-destruction", Some(at)) => KeyState::PendingDestruction { at },
            ("destroyed", None) => KeyState::Destroyed,
            _ => return None,
        };
        let primary = u32::try_from(record.versions_created_at.len()).ok()?;
        Some(Self {
            record: record.clone(),
            id: record.id.parse().ok()?,
            state,
            spec: record.spec.parse().ok()?,
            usage: record.usage.parse().ok()?,
            origin: record.origin.parse().ok()?,
            protection: record.protection.parse().ok()?,
            distribution: record.distribution.parse().ok()?,
            primary: Version::new(primary)?,
        })
    }

    /// The row for this key in another state.
    #[must_use]
    pub fn record_in(&self, state: KeyState) -> KeyRecord {
        let destruction_at = match state {
            KeyState::PendingDestruction { at } => Some(at),
            KeyState::Enabled | KeyState::Disabled | KeyState::Destroyed => None,
        };
        KeyRecord { state: state.word().to_owned(), destruction_at, ..self.record.clone() }
    }
}

/// A device with its keys, which are parsed once when it is loaded: checking the sealing key costs as
/// much as a key agreement.
#[derive(Debug)]
pub struct Device {
    /// The row it was read from.
    pub record: DeviceRecord,
    /// Its public keys.
    pub keys: DevicePublicKeys,
}

impl Device {
    /// Reads the row's keys.
    ///
    /// # Errors
    /// [`Error::Internal`] for a row that this build cannot read.
    pub fn parse(record: DeviceRecord) -> Result<Self, Error> {
        let keys = DevicePublicKeys::parse(&record.keys.0).map_err(|_| Error::Internal)?;
        Ok(Self { record, keys })
    }
}

/// A keyring's id out of its row.
///
/// # Errors
/// [`Error::Internal`] for a row that this build cannot read.
pub fn keyring_id(record: &KeyringRecord) -> Result<KeyringId, Error> {
    record.id.parse().map_err(|_| Error::Internal)
}
