//! The rows' documents: what the store keeps, as JSON. Twins of the domain's types, and the only types
//! here that serialize. Secrets stand in them only sealed or hashed.
//!
//! They are a format: rows written by an older build must be read by a newer one. Unknown fields
//! are refused, so that an older build does not drop what a newer one wrote. Nothing here is
//! authenticated but by what is sealed inside: whoever can write to the database can change names,
//! states and rights.

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
    identity::IdentityId,
    port::store::{Kind, Place},
};

/// A document that rows of one kind hold. One type for each kind that has documents.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind of row.
    const KIND: Kind;
}

/// Declares documents alike: public fields, and no unknown ones.
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
        /// The id of the system's own keyring, which no request can name. Its domain key is what
        /// ticket and audit keys are derived from; it has no keys of its own.
        system: String,
        /// The system's domain key, sealed by its root in the HSM.
        sealed_domain: Base64Bytes,
        /// The public half of the HSM's issuer key. Ed25519, 32 bytes; compared with the HSM's at
        /// each start.
        issuer: Base64Bytes,
        /// The public half of the HSM's log key, likewise.
        log: Base64Bytes,
        /// Milliseconds since the Unix epoch.
        created_ms: u64,
    }

    /// A keyring.
    KeyringRecord of Keyring {
        /// Its id (a UUID).
        id: String,
        /// Its name.
        name: String,
        /// The epoch of its root key in the HSM. From 1; a destruction in the keyring adds one to
        /// this and the next.
        root_epoch: u32,
        /// The generation of its domain key.
        generation: u32,
        /// The domain key, sealed by the root. Nonce (12), ciphertext (32), tag (16); see
        /// `docs/formats.md`.
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
        /// The day of destruction, while it is pending. Seconds since the Unix epoch; there if and
        /// only if the state is `pending-destruction`.
        destruction_at: Option<u64>,
        /// When each version was made; the first is version 1, the last is primary. Seconds since
        /// the Unix epoch. Its length is the number of versions.
        versions_created_at: Vec<u64>,
        /// Its names within the keyring. Told to readers; what resolves is the alias's own row, and
        /// both are written together.
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
        /// The wrapped material. Salt (32), commitment (32), ciphertext (32), tag (16).
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
        /// Its groups. Names that policies use; there is no list of them to be in.
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
        /// SHA-256 of its secret, which has 256 random bits. Of the text as it is sent, in
        /// base64url.
        secret_sha256: Base64Bytes,
        /// Seconds since the Unix epoch.
        expires_at: u64,
        /// Seconds since the Unix epoch, once revoked.
        revoked_at: Option<u64>,
    }

    /// An identity that somebody else vouches for, and the principal that it is here.
    IdentityRecord of Identity {
        /// Whose.
        principal: String,
        /// Who vouches: an issuer's URL, or `sha256:` and the fingerprint of an authority's certificate.
        issuer: String,
        /// For whom: the token's subject, or the certificate's name. Compared byte by byte.
        subject: String,
        /// Seconds since the Unix epoch.
        created_at: u64,
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
        /// Bound into everything sealed to it. Always 1 so far: a device enrols once.
        enrolment_epoch: u64,
        /// Seconds since the Unix epoch.
        enrolled_at: u64,
        /// Seconds since the Unix epoch, once revoked.
        revoked_at: Option<u64>,
    }

    /// Answers that can be told again (see [`crate::once`]).
    OnceRecord of Once {
        /// In the order in which they were given.
        answers: Vec<KeptAnswer>,
    }
}

/// An answer that can be told again, without anything secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptAnswer {
    /// SHA-256 of the idempotency key.
    pub key: Base64Bytes,
    /// SHA-256 of what was asked with it.
    pub request: Base64Bytes,
    /// The id of the request that had the effect.
    pub request_id: String,
    /// When it may be forgotten, in seconds since the Unix epoch.
    pub until: u64,
    /// What is needed to tell it again.
    pub answer: serde_json::Value,
}

/// The place of the one deployment row.
#[must_use]
pub fn deployment_place() -> Place {
    Place::new(Kind::Deployment, "self")
}

/// The place of the row that counts the changes of all policies. Every change of a policy writes
/// it, and every decision reads it.
#[must_use]
pub fn policies_place() -> Place {
    // No policy can have this name: names have no `*`.
    Place::new(Kind::Policy, "*")
}

/// The place of the row that counts the versions made in a keyring, so that replacing the root
/// misses none. It has no document; its epoch is the count.
#[must_use]
pub fn version_count_place(keyring: &str) -> Place {
    // Where a key's id would stand, and no id is `*`.
    Place::new(Kind::KeyVersion, format_args!("{keyring}/*"))
}

/// The place of a key version. The keyring's name comes first, so that a list by prefix gives all
/// versions of a keyring.
#[must_use]
pub fn version_place(keyring: &str, key: KeyId, version: Version) -> Place {
    Place::new(Kind::KeyVersion, format_args!("{keyring}/{key}/{version}"))
}

/// The place of an alias.
#[must_use]
pub fn alias_place(keyring: &str, alias: &str) -> Place {
    Place::new(Kind::Alias, format_args!("{keyring}/{alias}"))
}

/// The place of an identity.
#[must_use]
pub fn identity_place(identity: IdentityId) -> Place {
    Place::new(Kind::Identity, identity)
}

/// The place of a device.
#[must_use]
pub fn device_place(device: DeviceId) -> Place {
    Place::new(Kind::Device, device)
}

/// A key, in the domain's own types; parsed once when it is loaded. No material: that is the
/// keystore's.
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
    /// The version that new encryptions use. All up to it decrypt.
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
        // A state and a date that do not belong together are no state: refusing to read them is
        // safer than taking one of the two for true.
        let state = match (record.state.as_str(), record.destruction_at) {
            ("enabled", None) => KeyState::Enabled,
            ("disabled", None) => KeyState::Disabled,
            ("pending-destruction", Some(at)) => KeyState::PendingDestruction { at },
            ("destroyed", None) => KeyState::Destroyed,
            _ => return None,
        };
        // A key has at least one version; a list that is empty gives version 0, which is none.
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

    /// The row for this key in another state. Only the state and its date change: no transition can
    /// move a key or edit what it is.
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
    /// Its public keys. Checked when they were enrolled, and again here.
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
