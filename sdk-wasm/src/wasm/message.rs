//! Messages, in pieces of any size. Only frames that were authenticated are given out.

use keyhaven_shared::message::{
    self, BodyDecryptor, Content, EncryptedDataKey, HeaderParser, NewMessage,
};
use wasm_bindgen::prelude::wasm_bindgen;

use super::{
    delivery::{DataKeyHandle, context_from},
    error::Fault,
};
use crate::entropy::make_rng;

/// Encrypts one message.
#[wasm_bindgen]
pub struct Encryptor {
    inner: Option<message::Encryptor>,
    /// What was written and not yet given out: at first, the header.
    out: Vec<u8>,
}

#[wasm_bindgen]
impl Encryptor {
    /// Begins a message. Many may be encrypted under one data key: each has a key of its own, derived
    /// from a random message id.
    ///
    /// `context` is the one that the data key was asked for: keys and values by turns.
    ///
    /// # Errors
    /// [`Fault::Usage`] if the key was not delivered for encryption, [`Fault::Delivery`] if it was for
    /// another context or comes with another's ciphertext, [`Fault::Message`] for an illegal frame length.
    #[wasm_bindgen(constructor)]
    pub fn new(
        key: &DataKeyHandle,
        encrypted_data_key: Vec<u8>,
        context: Vec<String>,
        frame_length: Option<u32>,
    ) -> Result<Self, Fault> {
        let context = context_from(context)?;
        let data_key = key.for_encryption(&context)?;
        key.check_encrypted(&encrypted_data_key)?;
        let keys = [EncryptedDataKey::keyhaven(key.key(), key.version(), encrypted_data_key)];
        let mut new = NewMessage::new(&context, &keys);
        if let Some(bytes) = frame_length {
            new = new.frame_length(bytes);
        }
        let mut out = Vec::new();
        let inner = message::Encryptor::new(new, data_key, &mut make_rng()?, &mut out)?;
        Ok(Self { inner: Some(inner), out })
    }

    /// Takes plaintext, gives the bytes of the message that it completes.
    ///
    /// # Errors
    /// [`Fault::Message`] beyond 2³² − 2 frames, [`Fault::Finished`] after [`Self::finish`].
    pub fn push(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, Fault> {
        let inner = self.inner.as_mut().ok_or(Fault::Finished)?;
        let mut out = core::mem::take(&mut self.out);
        inner.push(plaintext, &mut out)?;
        Ok(out)
    }

    /// Gives the end of the message.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self) -> Result<Vec<u8>, Fault> {
        let inner = self.inner.take().ok_or(Fault::Finished)?;
        let mut out = core::mem::take(&mut self.out);
        inner.finish(&mut out)?;
        Ok(out)
    }
}

/// Gathers a message's first bytes until its header is complete.
#[wasm_bindgen]
#[derive(Default)]
pub struct HeaderReader(HeaderParser);

#[wasm_bindgen]
impl HeaderReader {
    /// Waits for the first byte.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes; gives the header as soon as it is complete. An input that ends before is truncated.
    ///
    /// # Errors
    /// [`Fault::Message`] when the bytes cannot become a header.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<MessageHeader>, Fault> {
        let Some((header, rest)) = self.0.push(bytes)? else { return Ok(None) };
        Ok(Some(MessageHeader { header, rest: rest.to_vec() }))
    }
}

/// What a message says about itself. Not believed before [`Self::open`] has succeeded.
#[wasm_bindgen]
pub struct MessageHeader {
    header: message::Header,
    /// The beginning of the body, which came with the header's end.
    rest: Vec<u8>,
}

#[wasm_bindgen]
impl MessageHeader {
    /// The id of the key that encrypted the data key.
    ///
    /// # Errors
    /// [`Fault::ForeignMessage`] when none of the message's data keys is Keyhaven's.
    #[wasm_bindgen(getter, js_name = keyId)]
    pub fn key_id(&self) -> Result<String, Fault> {
        let (key, _) = self.ours()?.keyhaven_key().ok_or(Fault::ForeignMessage)?;
        Ok(key.to_string())
    }

    /// That key's version.
    ///
    /// # Errors
    /// As [`Self::key_id`].
    #[wasm_bindgen(getter, js_name = keyVersion)]
    pub fn key_version(&self) -> Result<u32, Fault> {
        let (_, version) = self.ours()?.keyhaven_key().ok_or(Fault::ForeignMessage)?;
        Ok(version.number())
    }

    /// The data key as the server encrypted it.
    ///
    /// # Errors
    /// As [`Self::key_id`].
    #[wasm_bindgen(getter, js_name = encryptedDataKey)]
    pub fn encrypted_data_key(&self) -> Result<Vec<u8>, Fault> {
        Ok(self.ours()?.ciphertext.clone())
    }

    /// The encryption context: keys and values by turns.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn context(&self) -> Vec<String> {
        let pairs = self.header.context().iter();
        pairs.flat_map(|(key, value)| [key.to_owned(), value.to_owned()]).collect()
    }

    /// The message's random id (32 bytes).
    #[wasm_bindgen(getter, js_name = messageId)]
    #[must_use]
    pub fn message_id(&self) -> Vec<u8> {
        self.header.message_id().to_vec()
    }

    /// Whether the message ends with a signature, which says who wrote it.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn signed(&self) -> bool {
        self.header.suite().is_signed()
    }

    /// Plaintext bytes in a frame; none when the body is in one piece.
    #[wasm_bindgen(getter, js_name = frameLength)]
    #[must_use]
    pub fn frame_length(&self) -> Option<u32> {
        match self.header.content() {
            Content::Framed { frame_length } => Some(frame_length),
            Content::Unframed => None,
        }
    }

    /// Verifies the header, and is ready for the body.
    ///
    /// # Errors
    /// [`Fault::Message`] when the data key is another message's, the header was changed, or the message
    /// is signed (see [`Self::open_whole`]); [`Fault::Usage`] and [`Fault::Delivery`] as for [`Encryptor`].
    pub fn open(self, key: &DataKeyHandle) -> Result<Decryptor, Fault> {
        let data_key = key.for_decryption(self.header.context())?;
        let mut opened = Vec::new();
        let mut inner = self.header.open(data_key)?;
        inner.push(&self.rest, &mut opened)?;
        Ok(Decryptor { inner: Some(inner), out: opened })
    }

    /// Decrypts a message whose every byte was pushed, and gives its plaintext when all of it, and the
    /// signature of a signed message, was verified.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Decryptor`].
    #[wasm_bindgen(js_name = openWhole)]
    pub fn open_whole(self, key: &DataKeyHandle) -> Result<Vec<u8>, Fault> {
        let data_key = key.for_decryption(self.header.context())?;
        let mut inner = self.header.dangerous_open_before_signature(data_key)?;
        let mut plaintext = zeroize::Zeroizing::new(Vec::with_capacity(self.rest.len()));
        inner.push(&self.rest, &mut plaintext)?;
        inner.finish()?;
        Ok(core::mem::take(&mut *plaintext))
    }
}

impl MessageHeader {
    /// The first of the data keys that is ours.
    fn ours(&self) -> Result<&EncryptedDataKey, Fault> {
        let mut keys = self.header.encrypted_data_keys().iter();
        keys.find(|key| key.keyhaven_key().is_some()).ok_or(Fault::ForeignMessage)
    }
}

/// Decrypts one message's body.
#[wasm_bindgen]
pub struct Decryptor {
    inner: Option<BodyDecryptor>,
    /// Plaintext of the frames that came with the header.
    out: Vec<u8>,
}

#[wasm_bindgen]
impl Decryptor {
    /// Takes bytes, gives the plaintext of the frames that they complete.
    ///
    /// # Errors
    /// [`Fault::Message`] for a frame that was changed or moved, or bytes after the end; the plaintext of
    /// this call's earlier frames is then lost, and nothing more is given out.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let inner = self.inner.as_mut().ok_or(Fault::Finished)?;
        let mut out = core::mem::take(&mut self.out);
        inner.push(bytes, &mut out)?;
        Ok(out)
    }

    /// Says whether the message was whole; gives what no [`Self::push`] gave yet.
    ///
    /// # Errors
    /// [`Fault::Message`] when its end is missing, [`Fault::Finished`] the second time.
    pub fn finish(&mut self) -> Result<Vec<u8>, Fault> {
        self.inner.take().ok_or(Fault::Finished)?.finish()?;
        Ok(core::mem::take(&mut self.out))
    }
}
