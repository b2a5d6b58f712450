//! In place of the module `signer` in a build without the crate `p384`: no signer and no verifier can be made, so
//! that messages are signed and verified elsewhere or not at all.

use super::error::MessageError;
use crate::context::EncryptionContext;

/// Signs nothing: there is no value of this type.
pub enum MessageSigner {}

impl MessageSigner {
    pub(crate) fn context_pair(&self) -> (String, String) {
        match *self {}
    }

    pub(crate) fn update(&mut self, _: &[u8]) {
        match *self {}
    }

    pub(crate) fn finish(self, _: &mut Vec<u8>) -> Result<(), MessageError> {
        match self {}
    }
}

/// Verifies nothing: there is no value of this type.
pub(crate) enum Verifier {}

impl Verifier {
    pub(crate) const fn new(_: &EncryptionContext) -> Result<Self, MessageError> {
        Err(MessageError::SignedStream)
    }

    pub(crate) fn update(&mut self, _: &[u8]) {
        match *self {}
    }

    pub(crate) fn verify(self, _: &[u8]) -> Result<(), MessageError> {
        match self {}
    }
}
