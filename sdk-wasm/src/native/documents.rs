//! The server's answers (requests are `keyhaven_shared::api`'s), as far as a client needs them. What a newer
//! server adds is passed over; what it leaves out is a malformed answer.

use keyhaven_shared::{
    api::{
        StringMap,
        bytes::{Base64Bytes, PlaintextBytes},
    },
    context::EncryptionContext,
    ids::{DeploymentId, DeviceId, KeyId, KeyringId, Version},
};
use serde::{Deserialize, Deserializer, de};

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$with:meta])* $field:ident: $type:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Deserialize)]
            pub(crate) struct $name { $($(#[$with])* pub(crate) $field: $type,)* }
        )+
    };
}

answers! {
    /// A data key in plaintext.
    GeneratedDataKey {
        /// 32 bytes. Zeroized with the document.
        plaintext: PlaintextBytes,
        /// The same, as the server encrypted it: for the message's header.
        ciphertext: Base64Bytes,
        #[serde(deserialize_with = "parsed")]
        key: KeyId,
        #[serde(deserialize_with = "version")]
        version: Version,
    }

    /// An opened data key in plaintext.
    Decrypted {
        plaintext: PlaintextBytes,
        #[serde(deserialize_with = "parsed")]
        key: KeyId,
        #[serde(deserialize_with = "version")]
        version: Version,
    }

    /// A data key sealed to this device.
    SealedDataKey {
        /// Signed for this request, and sealed (`docs/formats.md`).
        delivery: Base64Bytes,
        /// The same data key as the server encrypted it: for the message's header.
        encrypted_data_key: Base64Bytes,
        #[serde(deserialize_with = "parsed")]
        key: KeyId,
        #[serde(deserialize_with = "version")]
        version: Version,
        #[serde(deserialize_with = "parsed")]
        keyring: KeyringId,
    }

    /// What an enrolled device needs to know.
    EnrolledDevice {
        #[serde(deserialize_with = "parsed")]
        device: DeviceId,
        /// Bound in every delivery: one of an earlier enrolment does not open.
        enrolment_epoch: u64,
        #[serde(deserialize_with = "parsed")]
        deployment: DeploymentId,
        issuer: Base64Bytes,
    }

    /// A ticket.
    Ticket {
        ticket: String,
        id: String,
        expires_at: u64,
    }

    /// An enrolment token.
    EnrolmentToken {
        token: String,
        id: String,
        expires_at: u64,
    }

    /// A refusal (RFC 9457).
    Problem {
        code: String,
        detail: String,
        request_id: String,
    }
}

/// An id, by its own form in text.
fn parsed<'de, D: Deserializer<'de>, T: core::str::FromStr>(
    deserializer: D,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| de::Error::custom("not an id"))
}

/// A key's version, by its number.
fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    let number = u32::deserialize(deserializer)?;
    Version::new(number).ok_or_else(|| de::Error::custom("versions count from 1"))
}

/// A context as requests write it.
pub(crate) fn pairs(context: &EncryptionContext) -> StringMap {
    context.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
