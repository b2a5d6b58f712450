//! Headers of messages.

use keyhaven_shared::message::{self, Content, EncryptedDataKey, HeaderParser, Layout};
use wasm_bindgen::prelude::wasm_bindgen;

use super::{delivery::DataKeyHandle, error::Fault, frames::FrameReader, proof::whole_number};

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
        Ok(Some(MessageHeader { header, rest: rest.len() }))
    }
}

/// What a message says about itself. Not believed before it was opened.
#[wasm_bindgen]
pub struct MessageHeader {
    header: message::Header,
    rest: usize,
}

#[wasm_bindgen]
impl MessageHeader {
    /// Bytes of the header and its tag.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn length(&self) -> usize {
        self.header.bytes()
    }

    /// How many of the bytes pushed last belong to the body.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn rest(&self) -> usize {
        self.rest
    }

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

    /// Verifies the header, and is ready for the frames, which WebCrypto decrypts.
    ///
    /// # Errors
    /// [`Fault::Message`] when the data key is another message's, the header was changed, or the message
    /// is signed; [`Fault::Usage`] and [`Fault::Delivery`] as for [`DataKeyHandle::open`].
    #[wasm_bindgen(js_name = openFrames)]
    pub fn open_frames(&self, key: &DataKeyHandle) -> Result<FrameReader, Fault> {
        let data_key = key.for_decryption(self.header.context())?;
        let (key, plan) = self.header.open_frames(data_key)?;
        Ok(FrameReader { key: Some(key), plan })
    }

    /// Where the frames stand if the body has so many bytes.
    ///
    /// # Errors
    /// [`Fault::Message`] when no body has this length.
    pub fn layout(&self, body: f64) -> Result<FrameLayout, Fault> {
        Ok(FrameLayout(Layout::of(self.header.content(), whole_number(body)?)?))
    }
}

impl MessageHeader {
    /// The first of the data keys that is ours.
    fn ours(&self) -> Result<&EncryptedDataKey, Fault> {
        let mut keys = self.header.encrypted_data_keys().iter();
        keys.find(|key| key.keyhaven_key().is_some()).ok_or(Fault::ForeignMessage)
    }
}

/// Where the frames of a body of known length stand.
#[wasm_bindgen]
pub struct FrameLayout(Layout);

#[wasm_bindgen]
impl FrameLayout {
    /// Plaintext bytes in all.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn size(&self) -> f64 {
        self.0.size() as f64
    }

    /// Frames, with the final one.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.0.frames()
    }

    /// Where in the body the frame of this number, from 1, begins; past the last, where the body ends.
    #[must_use]
    pub fn offset(&self, sequence: u32) -> f64 {
        self.0.offset(sequence) as f64
    }
}
