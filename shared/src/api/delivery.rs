//! Data keys sealed to a device, and the tickets and enrolments that lead there.

use super::{StringMap, bytes::Base64Bytes, documents};

documents! {
    /// Mints a ticket for one user's device to use the key in the path.
    MintTicket {
        /// The principal (user) it is for.
        subject: String,
        /// What it allows: `DeliverDataKey`, `UnsealDataKey`.
        operations: Vec<String>,
        /// Pairs the request's encryption context must have.
        #[serde(default)]
        context: StringMap,
        /// Whether the request's context must be exactly `context` (true) or may have more pairs.
        #[serde(default)]
        context_exact: bool,
        /// The one device that may use it; any of the subject's devices when left out.
        #[serde(default)]
        device: Option<String>,
        /// How often it may be used, 1 to 1000; 1 when left out.
        #[serde(default = "default_uses")]
        uses: u32,
        /// Seconds it is good for, 1 to 3600; 300 when left out.
        #[serde(default = "default_ticket_life")]
        expires_in_s: u32,
    }

    /// A ticket.
    Ticket {
        /// For the header `Authorization: Keyhaven-Ticket …`.
        ticket: String,
        /// Its `jti`, as it stands in the audit log.
        id: String,
        /// When it ends.
        expires_at: u64,
    }

    /// Mints a token with which one device of a user enrols, once.
    MintEnrolmentToken {
        /// The principal (user) the device will belong to.
        subject: String,
        /// The web origin that the enrolling page must have, such as `https://app.example`; any when left out.
        #[serde(default)]
        origin: Option<String>,
        /// Seconds it is good for, 1 to 3600; 300 when left out.
        #[serde(default = "default_ticket_life")]
        expires_in_s: u32,
    }

    /// An enrolment token.
    EnrolmentToken {
        /// For the header `Authorization: Keyhaven-Enrolment …`.
        token: String,
        /// Its `jti`, as it stands in the audit log.
        id: String,
        /// When it ends.
        expires_at: u64,
    }

    /// Enrols a device. Signed by the device's authentication key.
    EnrolDevice {
        /// The public keys, in the encoding of `docs/formats.md`.
        keys: Base64Bytes,
        /// The page's origin, when it is a page.
        #[serde(default)]
        origin: Option<String>,
        /// A name for people, such as `Firefox on Linux`; at most 64 characters.
        #[serde(default)]
        name: Option<String>,
    }

    /// What an enrolled device needs to know.
    EnrolledDevice {
        /// The device's id: the thumbprint of its keys.
        device: String,
        /// Bound into everything sealed to it.
        enrolment_epoch: u64,
        /// The installation's id.
        deployment: String,
        /// The HSM's issuer key (Ed25519): pin it.
        issuer: Base64Bytes,
        /// The server's clock.
        server_time: u64,
    }

    /// A device, for an operator.
    Device {
        /// Its id.
        device: String,
        /// The principal it belongs to.
        owner: String,
        /// A name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// When it enrolled.
        enrolled_at: u64,
        /// When it was revoked, if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revoked_at: Option<u64>,
    }

    /// A page of devices.
    DeviceList {
        /// In order of id.
        devices: Vec<Device>,
        /// Ask again with `after` set to this for the next page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// Asks for a new data key under the key in the path, sealed to the asking device.
    DeliverDataKey {
        /// 32 random bytes; the answer is bound to them.
        nonce: Base64Bytes,
        /// What the data is about.
        #[serde(default)]
        context: StringMap,
        /// What the data key may be used for: `encrypt`, `decrypt`, `export`.
        #[serde(default = "default_flags")]
        usage: Vec<String>,
        /// Seconds of lease, 1 to 3600; 300 when left out.
        #[serde(default = "default_lease")]
        lease_s: u32,
        /// Seconds of offline grace; at most what the key allows.
        #[serde(default)]
        offline_grace_s: u32,
    }

    /// Asks for an encrypted data key to be opened and sealed to the asking device.
    UnsealDataKey {
        /// As `deliver-data-key` gave it, from the message's header.
        encrypted_data_key: Base64Bytes,
        /// 32 random bytes; the answer is bound to them.
        nonce: Base64Bytes,
        /// As it was given when the data key was made.
        #[serde(default)]
        context: StringMap,
        /// What the data key may be used for: `encrypt`, `decrypt`, `export`.
        #[serde(default = "default_unseal_flags")]
        usage: Vec<String>,
        /// Seconds of lease, 1 to 3600; 300 when left out.
        #[serde(default = "default_lease")]
        lease_s: u32,
        /// Seconds of offline grace; at most what the key allows.
        #[serde(default)]
        offline_grace_s: u32,
    }

    /// A data key sealed to the device.
    SealedDataKey {
        /// The delivery, in the encoding of `docs/formats.md`.
        delivery: Base64Bytes,
        /// The data key encrypted under the key version: keep it in the message.
        encrypted_data_key: Base64Bytes,
        /// The key's id.
        key: String,
        /// The version that wraps the data key.
        version: u32,
        /// The keyring's id, which the delivery is bound to.
        keyring: String,
    }
}

/// A ticket that is stolen after its use is worth nothing.
const fn default_uses() -> u32 {
    1
}

/// Five minutes: from a backend's answer to the page's request.
const fn default_ticket_life() -> u32 {
    300
}

/// Five minutes: how long a device that heard of no revocation goes on.
const fn default_lease() -> u32 {
    300
}

/// A new data key encrypts, and decrypts what it encrypted.
fn default_flags() -> Vec<String> {
    vec!["encrypt".to_owned(), "decrypt".to_owned()]
}

/// Whoever opens a message wants to read it. Writing under the same key has to be asked for.
fn default_unseal_flags() -> Vec<String> {
    vec!["decrypt".to_owned()]
}
