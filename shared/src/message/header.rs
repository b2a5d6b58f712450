//! The header: which suite, which message, about what, and who can open its data key.
//!
//! ```text
//! header = 02 ‖ suite (2) ‖ message id (32) ‖ context ‖ encrypted data keys ‖ content type (1)
//!          ‖ frame length (4) ‖ key commitment (32)
//! tag    = AES-256-GCM(message key, IV = 12 zero bytes, AAD = header, plaintext = empty)
//! ```

use super::{
    edk::EncryptedDataKey,
    error::MessageError,
    frame::{MAX_FRAME_LENGTH, TAG},
    signature::CONTEXT_KEY,
    suite::Suite,
};
use crate::context::EncryptionContext;

/// The most encrypted data keys in a header: each may cost a reader one call to a key server.
// The format itself allows 65,535.
pub const MAX_ENCRYPTED_DATA_KEYS: u16 = 32;

/// The longest header with its tag that is read or written (64 KiB): room for the largest context and as many data
/// keys as are allowed, and what a hostile message can make a reader hold.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// The format's version. 1 has no commitment.
pub(crate) const VERSION: u8 = 2;
/// Content type: frames.
pub(crate) const FRAMED: u8 = 2;
/// Content type: one piece.
pub(crate) const UNFRAMED: u8 = 1;

/// How a message's content is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// In frames of so many plaintext bytes.
    Framed {
        /// From 1 to [`MAX_FRAME_LENGTH`].
        frame_length: u32,
    },
    /// In one piece: legacy, read and never written.
    Unframed,
}

impl Content {
    /// Frames of this length.
    pub(crate) fn framed(frame_length: u32) -> Result<Self, MessageError> {
        match frame_length {
            // A message would never end, in frames that hold nothing.
            0 => Err(MessageError::Malformed),
            1..=MAX_FRAME_LENGTH => Ok(Self::Framed { frame_length }),
            _ => Err(MessageError::OverLimit),
        }
    }
}

/// A header as it was parsed, **not yet believed**: it says which data key to ask for and under which
/// context. It is authenticated when [`Header::open`] has succeeded with that data key.
#[derive(Debug)]
pub struct Header {
    /// What it says.
    pub(crate) fields: Fields,
    /// The header's bytes as they came, since its tag covers exactly these.
    pub(crate) raw: Vec<u8>,
    /// AES-GCM's tag over `raw`, under the message key.
    pub(crate) tag: [u8; 16],
}

impl Header {
    /// The algorithm suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.fields.suite
    }

    /// The random id of this message.
    #[must_use]
    pub const fn message_id(&self) -> &[u8; 32] {
        &self.fields.message_id
    }

    /// The encryption context, with the signature key of a signed message: open the data key under
    /// this whole context, and compare what the application expects with [`EncryptionContext::contains_all`].
    #[must_use]
    pub const fn context(&self) -> &EncryptionContext {
        &self.fields.context
    }

    /// The data key, encrypted for each key that may open the message; at least one.
    #[must_use]
    pub fn encrypted_data_keys(&self) -> &[EncryptedDataKey] {
        &self.fields.encrypted_data_keys
    }

    /// Bytes of the header and its tag: where in the message the body begins.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.raw.len() + TAG
    }

    /// The layout of the body.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.fields.content
    }
}

/// What a header says.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) suite: Suite,
    pub(crate) message_id: [u8; 32],
    pub(crate) context: EncryptionContext,
    pub(crate) encrypted_data_keys: Vec<EncryptedDataKey>,
    pub(crate) content: Content,
    pub(crate) commitment: [u8; 32],
}

impl Fields {
    /// The header's bytes.
    #[cfg(test)]
    pub(crate) fn encode(&self) -> Result<Vec<u8>, MessageError> {
        let about = About::new(&self.context, &self.encrypted_data_keys)?;
        let mut out = Vec::new();
        about.encode(self.suite, &self.message_id, self.content, &mut out);
        out.extend_from_slice(&self.commitment);
        Ok(out)
    }
}

/// The part of a header that is the same in all messages about one thing under one data key: context and
/// encrypted data keys. Encoded once, for as many messages as one likes.
// Not the suite, the id or the commitment: those are each message's own.
#[derive(Debug, Clone)]
pub struct About {
    /// Context and encrypted data keys, as they stand in a header.
    bytes: Vec<u8>,
    /// What the context says of a signer, compared when a message is begun.
    signature_key: Option<String>,
}

impl About {
    /// Encodes what messages are about. The data keys were encrypted under exactly this context.
    ///
    /// # Errors
    /// [`MessageError::Malformed`] without data keys, [`MessageError::OverLimit`] for too many, or too
    /// long ones.
    pub fn new(
        context: &EncryptionContext,
        encrypted_data_keys: &[EncryptedDataKey],
    ) -> Result<Self, MessageError> {
        // Nobody could ever open it.
        if encrypted_data_keys.is_empty() {
            return Err(MessageError::Malformed);
        }
        let count = u16::try_from(encrypted_data_keys.len()).unwrap_or(u16::MAX);
        if count > MAX_ENCRYPTED_DATA_KEYS {
            return Err(MessageError::OverLimit);
        }
        let mut bytes = Vec::new();
        put(&mut bytes, &encode_context(context)?)?;
        bytes.extend_from_slice(&count.to_be_bytes());
        for key in encrypted_data_keys {
            put(&mut bytes, key.provider_id.as_bytes())?;
            put(&mut bytes, &key.provider_info)?;
            put(&mut bytes, &key.ciphertext)?;
        }
        // Readers count the tag, too.
        let fits = bytes.len() + AROUND_ABOUT <= MAX_HEADER_BYTES;
        // Copied out here, for the context itself is not kept.
        let signature_key = context.value(CONTEXT_KEY).map(str::to_owned);
        if fits { Ok(Self { bytes, signature_key }) } else { Err(MessageError::OverLimit) }
    }

    /// The signature key that the context names.
    pub(crate) fn signature_key(&self) -> Option<&str> {
        self.signature_key.as_deref()
    }

    /// Bytes of a header with its tag.
    #[must_use]
    pub const fn header_bytes(&self) -> usize {
        self.bytes.len() + AROUND_ABOUT
    }

    /// Appends a header without its commitment, which comes after it.
    pub(crate) fn encode(
        &self,
        suite: Suite,
        message_id: &[u8; 32],
        content: Content,
        out: &mut Vec<u8>,
    ) {
        out.push(VERSION);
        out.extend_from_slice(&suite.code().to_be_bytes());
        out.extend_from_slice(message_id);
        out.extend_from_slice(&self.bytes);
        let (content_type, frame_length) = match content {
            Content::Framed { frame_length } => (FRAMED, frame_length),
            Content::Unframed => (UNFRAMED, 0),
        };
        // The commitment comes after it: it is known only when the message key is.
        out.push(content_type);
        out.extend_from_slice(&frame_length.to_be_bytes());
    }
}

/// Version, suite, message id; content type, frame length, commitment, tag.
const AROUND_ABOUT: usize = (1 + 2 + 32) + (1 + 4 + 32 + TAG);

/// The pairs sorted by key bytes, after their number; nothing at all when there are none.
fn encode_context(context: &EncryptionContext) -> Result<Vec<u8>, MessageError> {
    let mut out = Vec::new();
    // The format writes an empty context as a length of 0, and not as a count of 0.
    if !context.is_empty() {
        let count = u16::try_from(context.iter().len()).map_err(|_| MessageError::OverLimit)?;
        out.extend_from_slice(&count.to_be_bytes());
    }
    // Sorted, as the specification asks of a context that is authenticated.
    for (key, value) in context.iter() {
        put(&mut out, key.as_bytes())?;
        put(&mut out, value.as_bytes())?;
    }
    Ok(out)
}

/// Appends bytes after their length (2 bytes).
fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), MessageError> {
    let length = u16::try_from(bytes.len()).map_err(|_| MessageError::OverLimit)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}
