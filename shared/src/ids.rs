//! Identifiers. Their only constructors parse or take random bytes, so a value of one of these types
//! is always well formed. Ids are public: they are printed, logged and compared without care.

use core::{fmt, str::FromStr};

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::hex::push_hex;

/// The text was not an identifier of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed {kind}: expected {expected}")]
pub struct ParseIdError {
    /// Which identifier was asked for. The text itself is not repeated: it is the caller's.
    kind: &'static str,
    /// How one is written.
    expected: &'static str,
}

// A type for each kind of id: a keyring's passed for a key's does not compile. All have one layout,
// and nothing but their type tells them apart.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Makes an id of 16 random bytes by setting the version 4 and variant bits of RFC 9562 §5.4.
            // The caller's generator must be a cryptographic one: the id of a ticket is spent once,
            // so two must never be equal.
            #[must_use]
            pub const fn from_random(mut bytes: [u8; 16]) -> Self {
                bytes[6] = (bytes[6] & 0x0f) | 0x40;
                bytes[8] = (bytes[8] & 0x3f) | 0x80;
                Self(bytes)
            }

            /// Takes the 16 bytes that [`Self::as_bytes`] gave.
            // Any 16 bytes: the version bits say how an id was made, and no decision rests on that.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, as they stand in every binary format.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            /// Reads the lower-case hyphenated form and no other, so that an id has one spelling.
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_uuid(text).map(Self).ok_or(ParseIdError {
                    kind: $kind,
                    expected: "a UUID in lower-case hyphenated form",
                })
            }
        }
    };
}

uuid_id!(
    /// One installation of Keyhaven: bound into everything that is sealed or signed, so that nothing
    /// made by one installation means anything to another.
    DeploymentId,
    "deployment id"
);
uuid_id!(
    /// A keyring: the boundary of ownership with a root key line of its own.
    KeyringId,
    "keyring id"
);
uuid_id!(
    /// A key: a line of key versions under one policy.
    KeyId,
    "key id"
);
uuid_id!(
    /// One API token (its name in the audit log, never its secret).
    TokenId,
    "token id"
);
uuid_id!(
    /// A ticket or enrolment token: the `jti` that is spent when it is used.
    TicketId,
    "ticket id"
);

/// The number of a key version within its key; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(u32);

impl Version {
    /// The version a key is created with.
    pub const FIRST: Self = Self(1);

    /// A version by its number; `None` for 0, which no key has.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number, from 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The version after this one; `None` after 2³² − 1.
    // Never wraps: version 1 made again would be bound to the same place as the first.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A device: the SHA-256 thumbprint of its public keys, so that the id proves which keys are meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId([u8; 32]);

impl DeviceId {
    /// Takes a thumbprint as computed over a device's public keys.
    #[must_use]
    pub const fn from_thumbprint(thumbprint: [u8; 32]) -> Self {
        Self(thumbprint)
    }

    /// The 32 bytes of the thumbprint.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64UrlUnpadded::encode_string(&self.0))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// `base64ct` refuses padding, other alphabets and set bits after the last byte (RFC 4648 §3.5), so
// a thumbprint has one spelling.
impl FromStr for DeviceId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut thumbprint = [0; 32];
        match Base64UrlUnpadded::decode(text, &mut thumbprint) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self(thumbprint)),
            Ok(_) | Err(_) => Err(ParseIdError {
                kind: "device id",
                expected: "32 bytes in unpadded base64url (43 characters)",
            }),
        }
    }
}

/// How many groups of bytes a UUID's text has, and how long each is (RFC 9562 §4).
const UUID_GROUPS: [usize; 5] = [4, 2, 2, 2, 6];

/// Writes the form 8-4-4-4-12.
fn write_uuid(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut rest, mut text) = (bytes.iter(), String::with_capacity(36));
    for (position, length) in UUID_GROUPS.into_iter().enumerate() {
        if position > 0 {
            text.push('-');
        }
        rest.by_ref().take(length).for_each(|byte| push_hex(&mut text, *byte));
    }
    f.write_str(&text)
}

/// Reads that form, in lower case; `None` for any other.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut groups = text.split('-');
    let mut bytes = [0; 16];
    let mut rest = bytes.iter_mut();
    for length in UUID_GROUPS {
        let group = groups.next()?.as_bytes();
        if group.len() != length * 2 {
            return None;
        }
        for (pair, byte) in group.chunks_exact(2).zip(rest.by_ref()) {
            let &[high, low] = pair else { return None };
            *byte = (hex_digit(high)? << 4) | hex_digit(low)?;
        }
    }
    groups.next().is_none().then_some(bytes)
}

/// The value of a digit. Ids are public, so branching on them tells nobody anything.
const fn hex_digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_one_spelling() {
        let id = KeyId::from_random([0xab; 16]);
        let text = id.to_string();
        assert_eq!(text, "abababab-abab-4bab-abab-abababababab");
        assert_eq!(text.parse(), Ok(id));
        for other in [
            text.to_uppercase(),
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("{text}-00"),
            text.chars().take(35).collect(),
            String::new(),
        ] {
            assert!(other.parse::<KeyId>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_device_id_round_trips_and_refuses_other_lengths() {
        let id = DeviceId::from_thumbprint([7; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for other in ["", "AAAA", "@@@@", &"A".repeat(44)] {
            assert!(other.parse::<DeviceId>().is_err(), "{other}");
        }
    }

    #[test]
    fn versions_count_from_one_and_end() {
        assert_eq!(Version::new(0), None);
        assert_eq!(Version::FIRST.next().map(Version::number), Some(2));
        assert_eq!(Version::new(u32::MAX).and_then(Version::next), None);
    }
}
