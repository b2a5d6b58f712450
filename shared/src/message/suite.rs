//! The two algorithm suites, and how a message's keys are derived from its data key.
//!
//! ```text
//! PRK            = HKDF-SHA-512-Extract(salt = message id, IKM = data key)           RFC 5869
//! message key    = HKDF-Expand(PRK, suite id (2 bytes) ‖ "DERIVEKEY", 32 bytes)
//! commitment     = HKDF-Expand(PRK, "COMMITKEY", 32 bytes)
//! ```

use hkdf::Hkdf;
use sha2::Sha512;

use super::error::MessageError;
use crate::secret::{DataKey, MessageKey};

/// An algorithm suite with key commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// 0x0478: AES-256-GCM, HKDF-SHA-512, key commitment.
    Committed,
    /// 0x0578: the same, signed with ECDSA P-384 and SHA-384.
    CommittedSigned,
}

/// Suites of the same registry that lack key commitment: known, so that they are refused by name.
// Why none of them is read: with them one message can be made to open to two plaintexts under two
// data keys.
const NOT_COMMITTING: [u16; 9] =
    [0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378];

impl Suite {
    /// The suite's number, as it stands in a header.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Committed => 0x0478,
            Self::CommittedSigned => 0x0578,
        }
    }

    /// Whether a signature follows the body.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::CommittedSigned)
    }

    /// Reads a suite's number.
    ///
    /// # Errors
    /// [`MessageError::NotCommitting`] for the registry's others,
    /// [`MessageError::UnsupportedSuite`] for a number that it does not have.
    pub(crate) fn from_code(code: u16) -> Result<Self, MessageError> {
        match code {
            0x0478 => Ok(Self::Committed),
            0x0578 => Ok(Self::CommittedSigned),
            code if NOT_COMMITTING.contains(&code) => Err(MessageError::NotCommitting),
            _ => Err(MessageError::UnsupportedSuite),
        }
    }

    /// The message key and the commitment to it, for one message.
    pub(crate) fn derive(
        self,
        data_key: &DataKey,
        message_id: &[u8; 32],
    ) -> Result<Keys, MessageError> {
        // EXPOSE: the data key is only ever an input of HKDF.
        let hkdf = Hkdf::<Sha512>::new(Some(message_id), data_key.expose_secret());
        // In the derivation, so that a changed suite gives another key, and not the same key read
        // in another way.
        let code = self.code().to_be_bytes();
        let mut result = Ok(());
        let message_key = MessageKey::fill_with(|key| {
            result = hkdf.expand_multi_info(&[&code, b"DERIVEKEY"], key);
        });
        let mut commitment = [0; 32];
        result
            .and_then(|()| hkdf.expand(b"COMMITKEY", &mut commitment))
            .map_err(|_| MessageError::Refused)?;
        Ok(Keys { message_key, commitment })
    }
}

/// What HKDF makes of a data key for one message.
// A message key is new for each message: that is why its frames may count their IVs from 1.
pub(crate) struct Keys {
    /// Encrypts the header's tag and the frames.
    pub(crate) message_key: MessageKey,
    /// Public: it stands in the header.
    pub(crate) commitment: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_committing_suites_are_spoken() {
        for suite in [Suite::Committed, Suite::CommittedSigned] {
            assert_eq!(Suite::from_code(suite.code()), Ok(suite));
        }
        for code in 0..=u16::MAX {
            let expected = match code {
                0x0478 | 0x0578 => continue,
                code if NOT_COMMITTING.contains(&code) => MessageError::NotCommitting,
                _ => MessageError::UnsupportedSuite,
            };
            assert_eq!(Suite::from_code(code), Err(expected), "{code:04x}");
        }
    }

    #[test]
    fn the_suite_and_the_message_id_decide_the_message_key() {
        let data_key = DataKey::fill_with(|bytes| bytes.fill(1));
        // EXPOSE: the test compares keys.
        let key = |suite: Suite, id| {
            *suite.derive(&data_key, &[id; 32]).unwrap().message_key.expose_secret()
        };
        assert_ne!(key(Suite::Committed, 0), key(Suite::CommittedSigned, 0));
        assert_ne!(key(Suite::Committed, 0), key(Suite::Committed, 1));
    }
}
