//! Whole messages in one call, for data so small that to ask WebCrypto would take longer.

use keyhaven_shared::message::{
    self, About, EncryptedDataKey, HeaderParser, MessageError, NewMessage,
};
use wasm_bindgen::prelude::wasm_bindgen;

use super::{
    delivery::{DataKeyHandle, context_from},
    error::Fault,
    frames::FrameWriter,
};
use crate::entropy::make_rng;

#[wasm_bindgen]
impl DataKeyHandle {
    /// Makes it ready to encrypt: `context` is the one that the data key was asked for, keys and values by
    /// turns, and is encoded once for all messages.
    ///
    /// # Errors
    /// [`Fault::Usage`] if the key was not delivered for encryption, [`Fault::Delivery`] if it was for
    /// another context or comes with another's ciphertext.
    pub fn prepare(
        &mut self,
        encrypted_data_key: Vec<u8>,
        context: Vec<String>,
    ) -> Result<(), Fault> {
        let context = context_from(context)?;
        self.for_encryption(&context)?;
        self.check_encrypted(&encrypted_data_key)?;
        let keys = [EncryptedDataKey::keyhaven(self.key(), self.version(), encrypted_data_key)];
        self.about = Some(About::new(&context, &keys)?);
        Ok(())
    }

    /// Whether [`Self::prepare`] was called.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn prepared(&self) -> bool {
        self.about.is_some()
    }

    /// Encrypts a whole message.
    ///
    /// # Errors
    /// [`Fault::Usage`] before [`Self::prepare`], [`Fault::Randomness`].
    pub fn seal(&self, plaintext: &[u8]) -> Result<Vec<u8>, Fault> {
        let (key, about) = self.prepared_key()?;
        Ok(message::encrypt(NewMessage::about(about), key, plaintext, &mut make_rng()?)?)
    }

    /// Begins a message whose frames WebCrypto encrypts.
    ///
    /// # Errors
    /// As [`Self::seal`], and [`Fault::Message`] for an illegal frame length.
    #[wasm_bindgen(js_name = sealFrames)]
    pub fn seal_frames(&self, frame_length: Option<u32>) -> Result<FrameWriter, Fault> {
        self.writer(|new| match frame_length {
            Some(bytes) => new.frame_length(bytes),
            None => new,
        })
    }

    /// Decrypts a whole message that is not signed; its plaintext is given out when all of it was verified.
    ///
    /// # Errors
    /// [`Fault::Usage`] and [`Fault::Delivery`] as for [`Self::prepare`], [`Fault::Message`] for a message
    /// that is not whole and genuine.
    pub fn open(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let parsed = HeaderParser::new().push(message)?;
        let (header, body) = parsed.ok_or(MessageError::Truncated)?;
        let key = self.for_decryption(header.context())?;
        let mut inner = header.open(key)?;
        let mut plaintext = zeroize::Zeroizing::new(Vec::with_capacity(body.len()));
        inner.push(body, &mut plaintext)?;
        inner.finish()?;
        Ok(core::mem::take(&mut *plaintext))
    }
}

impl DataKeyHandle {
    /// Begins a message, as `shape` wants it.
    pub(super) fn writer(
        &self,
        shape: impl FnOnce(NewMessage<'_>) -> NewMessage<'_>,
    ) -> Result<FrameWriter, Fault> {
        let (key, about) = self.prepared_key()?;
        let mut header = Vec::with_capacity(about.header_bytes());
        let new = shape(NewMessage::about(about));
        let (key, plan) = new.begin_frames(key, &mut make_rng()?, &mut header)?;
        Ok(FrameWriter { key: Some(key), plan, header })
    }
}
