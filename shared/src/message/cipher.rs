//! The AES-GCM of frames, where it is done in memory: a port.

use aes_gcm::{
    Aes256Gcm,
    aead::{AeadInOut, KeyInit},
};

use zeroize::Zeroize;

use super::{
    error::MessageError,
    frame::{Frame, IV, TAG},
};
use crate::secret::MessageKey;

/// AES-256-GCM (SP 800-38D) under one message key, in place.
///
/// A port for who can encrypt where it stands; WebCrypto, which cannot, follows the plan of frames
/// ([`WritePlan`](super::WritePlan), [`ReadPlan`](super::ReadPlan)) by itself. An implementation holds the key and zeroizes it on drop. It
/// must check the tag before it changes the buffer.
pub trait FrameCipher: Sized {
    /// Takes up a message key.
    ///
    /// # Errors
    /// [`MessageError::Refused`] when the key cannot be used.
    fn new(key: &MessageKey) -> Result<Self, MessageError>;

    /// Encrypts the buffer and gives the tag.
    ///
    /// # Errors
    /// [`MessageError::OverLimit`] for more bytes than the algorithm takes.
    fn seal_in_place(
        &self,
        iv: &[u8; IV],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; TAG], MessageError>;

    /// Decrypts the buffer; on error the buffer holds no plaintext.
    ///
    /// # Errors
    /// [`MessageError::Refused`] when the tag is not that of these bytes.
    fn open_in_place(
        &self,
        iv: &[u8; IV],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), MessageError>;

    /// Appends a frame: head, ciphertext, tag.
    ///
    /// # Errors
    /// As [`Self::seal_in_place`].
    // Encrypted where it will be sent from: no other copy of the plaintext is made here.
    fn seal(&self, frame: &Frame, content: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
        out.extend_from_slice(&frame.head());
        let start = out.len();
        out.extend_from_slice(content);
        let buffer = out.get_mut(start..).unwrap_or_default();
        let tag = self.seal_in_place(frame.iv(), &frame.aad(), buffer)?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Appends the plaintext of a frame, given whole; or leaves `out` as it was.
    ///
    /// # Errors
    /// [`MessageError::Refused`] for a frame that is not genuine.
    fn open(&self, frame: &Frame, whole: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
        // The caller has cut exactly one frame; anything else fails the tag.
        let sealed = whole.get(frame.head_length()..).unwrap_or_default();
        let (content, tag) = sealed.split_last_chunk().ok_or(MessageError::Refused)?;
        let start = out.len();
        out.extend_from_slice(content);
        let buffer = out.get_mut(start..).unwrap_or_default();
        let result = self.open_in_place(frame.iv(), &frame.aad(), buffer, tag);
        // An implementation that decrypts before it checks must not leave what it made in the
        // caller's buffer.
        if result.is_err() {
            buffer.zeroize();
            out.truncate(start);
        }
        result
    }
}

/// The implementation that runs everywhere, in Rust.
// With AES instructions where the processor has them; else constant-time in software.
pub struct RustCipher(Aes256Gcm);

impl FrameCipher for RustCipher {
    fn new(key: &MessageKey) -> Result<Self, MessageError> {
        // EXPOSE: the cipher expands it.
        Aes256Gcm::new_from_slice(key.expose_secret()).map(Self).map_err(|_| MessageError::Refused)
    }

    fn seal_in_place(
        &self,
        iv: &[u8; IV],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; TAG], MessageError> {
        self.0
            .encrypt_inout_detached(&(*iv).into(), aad, buffer.into())
            .map(Into::into)
            .map_err(|_| MessageError::OverLimit)
    }

    fn open_in_place(
        &self,
        iv: &[u8; IV],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), MessageError> {
        self.0
            .decrypt_inout_detached(&(*iv).into(), aad, buffer.into(), &(*tag).into())
            .map_err(|_| MessageError::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_frame_leaves_no_plaintext() {
        let cipher = RustCipher::new(&MessageKey::fill_with(|key| key.fill(1))).unwrap();
        let mut buffer = *b"plaintext";
        let mut tag = cipher.seal_in_place(&[0; IV], b"", &mut buffer).unwrap();
        let sealed = buffer;
        tag[0] ^= 1;
        assert_eq!(
            cipher.open_in_place(&[0; IV], b"", &mut buffer, &tag),
            Err(MessageError::Refused)
        );
        assert_eq!(buffer, sealed);
    }
}
