//! Frames: a message's body is cut into pieces that are encrypted each for itself, so that a reader
//! holds one piece at a time and every byte it passes on is authenticated.
//!
//! ```text
//! regular frame = sequence (4) ‖ IV (12) ‖ ciphertext (frame length) ‖ tag (16)
//! final frame   = FF FF FF FF ‖ sequence (4) ‖ IV (12) ‖ length (4) ‖ ciphertext (length) ‖ tag (16)
//! unframed body = IV (12) ‖ length (8) ‖ ciphertext (length) ‖ tag (16)
//! ```
//! The associated data names the message, the kind of frame, its number and length: a frame cannot be
//! moved, taken to another message, or made the last one.

/// The plaintext bytes in each frame that we write. What WebCrypto and the streams around it cost for each
/// call no longer shows at this length; longer frames win nothing, and make readers wait and hold more.
pub const DEFAULT_FRAME_LENGTH: u32 = 256 * 1024;

/// The longest frame that is written or read (16 MiB), and the longest unframed body: a reader must
/// hold it before it knows whether the bytes are genuine.
pub const MAX_FRAME_LENGTH: u32 = 16 * 1024 * 1024;

/// Stands in place of a sequence number to mark the final frame.
const FINAL_MARK: [u8; 4] = [0xff; 4];

/// Bytes of an initialisation vector (SP 800-38D §5.2.1.1 recommends 96 bits).
pub(crate) const IV: usize = 12;
/// Bytes of a tag.
pub(crate) const TAG: usize = 16;

/// What a piece of a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Full, and followed by another.
    Regular,
    /// The last: as long as it says, up to a full one.
    Final,
    /// The whole body of an unframed message.
    SingleBlock,
}

impl FrameKind {
    /// The bytes before the content.
    pub(crate) const fn head_length(self) -> usize {
        match self {
            Self::Regular => 4 + IV,
            Self::Final => 4 + 4 + IV + 4,
            Self::SingleBlock => IV + 8,
        }
    }
}

/// One frame of one message, without its content: where it stands, and all that its tag covers.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Which message it belongs to.
    pub(crate) message_id: [u8; 32],
    pub(crate) kind: FrameKind,
    pub(crate) sequence: u32,
    /// Of the content, in bytes.
    pub(crate) length: u32,
    pub(crate) iv: [u8; IV],
}

impl Frame {
    /// A frame to write. Its IV is the sequence number, which no two frames of a message share: key and
    /// IV never repeat because each message has a key of its own.
    pub(crate) fn written(
        message_id: [u8; 32],
        kind: FrameKind,
        sequence: u32,
        length: u32,
    ) -> Self {
        let mut iv = [0; IV];
        if let Some(low) = iv.last_chunk_mut() {
            *low = sequence.to_be_bytes();
        }
        Self { message_id, kind, sequence, length, iv }
    }

    /// The initialisation vector.
    #[must_use]
    pub const fn iv(&self) -> &[u8; 12] {
        &self.iv
    }

    /// Whether no other follows it.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        !matches!(self.kind, FrameKind::Regular)
    }

    /// Bytes of plaintext; as many of ciphertext.
    #[must_use]
    pub const fn content_length(&self) -> usize {
        self.length as usize
    }

    /// Bytes before the ciphertext.
    #[must_use]
    pub const fn head_length(&self) -> usize {
        self.kind.head_length()
    }

    /// Bytes of the whole frame: head, ciphertext, tag.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        self.head_length() + self.content_length() + TAG
    }

    /// What stands before the ciphertext.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let (sequence, iv) = (self.sequence.to_be_bytes(), self.iv.as_slice());
        match self.kind {
            FrameKind::Regular => [sequence.as_slice(), iv].concat(),
            FrameKind::Final => {
                [&FINAL_MARK, sequence.as_slice(), iv, &self.length.to_be_bytes()].concat()
            }
            // No sequence number: there is one piece. The associated data counts it as 1.
            FrameKind::SingleBlock => [iv, &u64::from(self.length).to_be_bytes()].concat(),
        }
    }

    /// The associated data.
    #[must_use]
    pub fn aad(&self) -> Vec<u8> {
        // The format's own words. That the last frame has others is what makes a message that was
        // cut off at a frame's border be found out.
        let kind: &[u8] = match self.kind {
            FrameKind::Regular => b"AWSKMSEncryptionClient Frame",
            FrameKind::Final => b"AWSKMSEncryptionClient Final Frame",
            FrameKind::SingleBlock => b"AWSKMSEncryptionClient Single Block",
        };
        let (sequence, length) =
            (self.sequence.to_be_bytes(), u64::from(self.length).to_be_bytes());
        [&self.message_id, kind, &sequence, &length].concat()
    }
}

/// A frame's head as it was read; nothing of it is authenticated yet.
pub(crate) struct Head {
    pub(crate) kind: FrameKind,
    pub(crate) sequence: u32,
    /// Told by final frames and unframed bodies.
    pub(crate) length: Option<u64>,
    pub(crate) iv: [u8; IV],
}

impl Head {
    /// Reads the head of a frame; or says how many bytes that takes at least.
    pub(crate) fn framed(seen: &[u8]) -> Result<Self, usize> {
        let (number, rest) = seen.split_first_chunk::<4>().ok_or(4_usize)?;
        let kind = if *number == FINAL_MARK { FrameKind::Final } else { FrameKind::Regular };
        Self::rest(kind, *number, rest).ok_or(kind.head_length())
    }

    /// The number of a frame whose head is not all there; `None` for the final frame, and too few bytes.
    pub(crate) fn number(seen: &[u8]) -> Option<u32> {
        let number = seen.first_chunk().filter(|number| **number != FINAL_MARK)?;
        Some(u32::from_be_bytes(*number))
    }

    /// Reads what stands before an unframed body; or says how many bytes that takes.
    pub(crate) fn unframed(seen: &[u8]) -> Result<Self, usize> {
        let kind = FrameKind::SingleBlock;
        let parse = || {
            let (iv, rest) = seen.split_first_chunk()?;
            let length = Some(u64::from_be_bytes(*rest.first_chunk()?));
            Some(Self { kind, sequence: 1, length, iv: *iv })
        };
        parse().ok_or(kind.head_length())
    }

    /// What follows the number or the mark; `None` as long as some of it is missing.
    fn rest(kind: FrameKind, number: [u8; 4], rest: &[u8]) -> Option<Self> {
        if kind == FrameKind::Regular {
            let sequence = u32::from_be_bytes(number);
            return Some(Self { kind, sequence, length: None, iv: *rest.first_chunk()? });
        }
        let (sequence, rest) = rest.split_first_chunk()?;
        let (iv, rest) = rest.split_first_chunk()?;
        let length = u32::from_be_bytes(*rest.first_chunk()?);
        let sequence = u32::from_be_bytes(*sequence);
        Some(Self { kind, sequence, length: Some(length.into()), iv: *iv })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_never_share_associated_data() {
        let kinds = [FrameKind::Regular, FrameKind::Final, FrameKind::SingleBlock];
        let frames = kinds.into_iter().flat_map(|kind| {
            [(1, 1), (1, 2), (2, 1)]
                .map(|(sequence, length)| Frame::written([0; 32], kind, sequence, length))
        });
        let all: std::collections::BTreeSet<_> = frames.map(|frame| frame.aad()).collect();
        assert_eq!(all.len(), 9);
    }

    #[test]
    fn a_head_that_is_written_is_read_and_a_shorter_one_is_waited_for() {
        for kind in [FrameKind::Regular, FrameKind::Final, FrameKind::SingleBlock] {
            let frame = Frame::written([0; 32], kind, 1, 77);
            let bytes = frame.head();
            assert_eq!(bytes.len(), frame.head_length());
            let read = |seen: &[u8]| match kind {
                FrameKind::SingleBlock => Head::unframed(seen),
                FrameKind::Regular | FrameKind::Final => Head::framed(seen),
            };
            let head = read(&bytes).ok().unwrap();
            assert_eq!((head.kind, head.sequence, head.iv), (kind, 1, frame.iv));
            assert_eq!(head.length, frame.is_last().then_some(77));
            for seen in 0..bytes.len() {
                let needed = read(&bytes[..seen]).err().unwrap();
                assert!(needed > seen && needed <= bytes.len(), "{kind:?} {seen}");
            }
        }
    }
}
