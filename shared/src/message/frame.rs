//! Frames: a message's body is cut into pieces that are encrypted each for itself, so that a reader
//! holds one piece at a time and every byte it passes on is authenticated.
//!
//! ```text
//! regular frame = sequence (4) ‖ IV (12) ‖ ciphertext (frame length) ‖ tag (16)
//! final frame   = FF FF FF FF ‖ sequence (4) ‖ IV (12) ‖ length (4) ‖ ciphertext (length) ‖ tag (16)
//! ```
//! The associated data names the message, the kind of frame, its number and length: a frame cannot be
//! moved, taken to another message, or made the last one.

use aes_gcm::{
    Aes256Gcm,
    aead::{AeadInOut, KeyInit},
};

use super::error::MessageError;

/// The plaintext bytes in each frame that we write. In WebCrypto a call costs several microseconds
/// however short its input, and at 64 KiB that no longer shows; larger frames win nothing and make
/// readers wait and hold more.
pub const DEFAULT_FRAME_LENGTH: u32 = 64 * 1024;

/// The longest frame that is written or read (16 MiB), and the longest unframed body: a reader must
/// hold it before it knows whether the bytes are genuine.
pub const MAX_FRAME_LENGTH: u32 = 16 * 1024 * 1024;

/// Stands in place of a sequence number to mark the final frame.
pub(crate) const FINAL_MARK: [u8; 4] = [0xff; 4];

pub(crate) const IV: usize = 12;
pub(crate) const TAG: usize = 16;

/// AES-256-GCM (SP 800-38D) under one message key, in place.
///
/// A port: browsers may bring their own. An implementation holds the key and zeroizes it on drop. It
/// must check the tag before it changes the buffer.
pub trait FrameCipher: Sized {
    /// Takes the message key; the caller zeroizes its copy.
    ///
    /// # Errors
    /// [`MessageError::Refused`] when the key cannot be used.
    fn new(key: &[u8; 32]) -> Result<Self, MessageError>;

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
}

/// The implementation that runs everywhere, in Rust.
pub struct RustCipher(Aes256Gcm);

impl FrameCipher for RustCipher {
    fn new(key: &[u8; 32]) -> Result<Self, MessageError> {
        Aes256Gcm::new_from_slice(key).map(Self).map_err(|_| MessageError::Refused)
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

/// What a piece of a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Regular,
    Final,
    /// The whole body of an unframed message.
    SingleBlock,
}

/// Which piece of which message, and how long: everything that its tag covers beside the content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) message_id: &'a [u8; 32],
    pub(crate) kind: FrameKind,
    pub(crate) sequence: u32,
    pub(crate) length: u32,
}

impl Place<'_> {
    /// The associated data.
    pub(crate) fn aad(&self) -> Vec<u8> {
        let kind: &[u8] = match self.kind {
            FrameKind::Regular => b"AWSKMSEncryptionClient Frame",
            FrameKind::Final => b"AWSKMSEncryptionClient Final Frame",
            FrameKind::SingleBlock => b"AWSKMSEncryptionClient Single Block",
        };
        let (sequence, length) =
            (self.sequence.to_be_bytes(), u64::from(self.length).to_be_bytes());
        [self.message_id, kind, &sequence, &length].concat()
    }

    /// The IV that we write: the sequence number, which no two frames of a message share. Key and IV
    /// never repeat because each message has a key of its own.
    pub(crate) fn iv(&self) -> [u8; IV] {
        let mut iv = [0; IV];
        if let Some(low) = iv.last_chunk_mut() {
            *low = self.sequence.to_be_bytes();
        }
        iv
    }

    /// What stands before the content of a frame that we write.
    pub(crate) fn head(&self) -> Vec<u8> {
        let (sequence, iv) = (self.sequence.to_be_bytes(), self.iv());
        match self.kind {
            FrameKind::Regular => [sequence.as_slice(), &iv].concat(),
            FrameKind::Final => {
                [&FINAL_MARK, sequence.as_slice(), &iv, &self.length.to_be_bytes()].concat()
            }
            FrameKind::SingleBlock => {
                [iv.as_slice(), &u64::from(self.length).to_be_bytes()].concat()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_never_share_associated_data() {
        let kinds = [FrameKind::Regular, FrameKind::Final, FrameKind::SingleBlock];
        let places = kinds.into_iter().flat_map(|kind| {
            [(1, 1), (1, 2), (2, 1)].map(|(sequence, length)| Place {
                message_id: &[0; 32],
                kind,
                sequence,
                length,
            })
        });
        let all: std::collections::BTreeSet<_> = places.map(|place| place.aad()).collect();
        assert_eq!(all.len(), 9);
    }

    #[test]
    fn a_refused_frame_leaves_no_plaintext() {
        let cipher = RustCipher::new(&[1; 32]).unwrap();
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
