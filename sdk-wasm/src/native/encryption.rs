//! One message being written.

use std::sync::Arc;

use keyhaven_shared::{
    context::EncryptionContext,
    message::{EncryptedDataKey, Encryptor, NewMessage},
};

use super::{clock::ServerClock, error::Error, held_key::HeldKey, work::Work};
use crate::entropy::make_rng;

/// Encrypts one message, in pieces of any size. Dropped before [`Self::finish`], it leaves a message
/// without its end, which no reader takes for a whole one.
pub struct Encryption {
    work: Arc<Work<Encryptor>>,
    /// What was written and not yet given out: at first, the header.
    out: Vec<u8>,
}

impl Encryption {
    pub(crate) fn begin(
        clock: &Arc<ServerClock>,
        key: &HeldKey,
        context: &EncryptionContext,
    ) -> Result<Self, Error> {
        let mut out = Vec::new();
        let sealed = &key.sealed;
        let keys =
            [EncryptedDataKey::keyhaven(sealed.key, sealed.version, sealed.ciphertext.clone())];
        let encryptor = key.begin(clock, |data_key| {
            let new = NewMessage::new(context, &keys);
            Ok(Encryptor::new(new, data_key, &mut make_rng()?, &mut out)?)
        })?;
        Ok(Self { work: Work::begin(clock, key, encryptor)?, out })
    }

    /// Takes plaintext, gives the bytes of the message that it completes.
    ///
    /// # Errors
    /// [`Error::LeaseEnded`]; [`Error::Integrity`] beyond 2³² − 2 frames.
    pub fn push(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = std::mem::take(&mut self.out);
        self.work.step(|encryptor| encryptor.push(plaintext, &mut out))?;
        Ok(out)
    }

    /// Gives the end of the message.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        let mut out = std::mem::take(&mut self.out);
        self.work.finish(|encryptor| encryptor.finish(&mut out))?;
        Ok(out)
    }
}
