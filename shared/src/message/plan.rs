//! The plan of a message's frames: which comes next, with which IV and associated data, and how long it
//! is. The one place that knows the order; it never sees a frame's content, so whoever encrypts (Rust in
//! memory, WebCrypto outside of it) follows the same plan.

use super::{
    error::MessageError,
    frame::{Frame, FrameKind, Head, MAX_FRAME_LENGTH, TAG},
    header::Content,
};

/// The frames of a message that is written.
#[derive(Debug)]
pub struct WritePlan {
    message_id: [u8; 32],
    frame_length: u32,
    /// The next frame's number; `None` after the last number was used.
    sequence: Option<u32>,
}

impl WritePlan {
    pub(crate) const fn new(message_id: [u8; 32], frame_length: u32) -> Self {
        Self { message_id, frame_length, sequence: Some(1) }
    }

    /// Plaintext bytes in each frame but the last.
    #[must_use]
    pub const fn frame_length(&self) -> u32 {
        self.frame_length
    }

    /// The next frame, which is full and not the last.
    ///
    /// # Errors
    /// [`MessageError::OverLimit`] after 2³² − 2 frames.
    pub fn regular(&mut self) -> Result<Frame, MessageError> {
        // A regular frame's number may not look like the final frame's mark.
        if self.sequence == Some(u32::MAX) {
            return Err(MessageError::OverLimit);
        }
        self.take(FrameKind::Regular, self.frame_length)
    }

    /// The final frame, of so many bytes.
    ///
    /// # Errors
    /// [`MessageError::OverLimit`] for more than fit, and after the final frame.
    // It may be empty, or as long as the others. Readers take both.
    pub fn last(&mut self, length: usize) -> Result<Frame, MessageError> {
        let length = u32::try_from(length).ok().filter(|length| *length <= self.frame_length);
        let frame = self.take(FrameKind::Final, length.ok_or(MessageError::OverLimit)?)?;
        // After the end nothing more is planned, so no IV can be used again.
        self.sequence = None;
        Ok(frame)
    }

    fn take(&mut self, kind: FrameKind, length: u32) -> Result<Frame, MessageError> {
        // INVARIANT: a number is given out once, and with it an IV under this message's key.
        let sequence = self.sequence.ok_or(MessageError::OverLimit)?;
        self.sequence = sequence.checked_add(1);
        Ok(Frame::written(self.message_id, kind, sequence, length))
    }
}

/// What a [`ReadPlan`] tells from a frame's first bytes.
#[derive(Debug, Clone, Copy)]
pub enum Next {
    /// That takes so many bytes at least, counted from the frame's beginning.
    Needs(usize),
    /// The frame that begins so.
    Frame(Frame),
}

/// The frames of a message that is read.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    message_id: [u8; 32],
    content: Content,
    /// The number that the next frame must have; `None` after the final frame.
    sequence: Option<u32>,
}

impl ReadPlan {
    pub(crate) const fn new(message_id: [u8; 32], content: Content) -> Self {
        Self { message_id, content, sequence: Some(1) }
    }

    /// The same message's frames from another one on; the first has number 1.
    #[must_use]
    pub const fn from(&self, sequence: u32) -> Self {
        Self { message_id: self.message_id, content: self.content, sequence: Some(sequence) }
    }

    /// Whether the final frame was taken.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.sequence.is_none()
    }

    /// Looks at the first bytes of the next frame. It is told from as few bytes as can be, so that
    /// nothing is gathered for a frame that is out of turn or too long.
    ///
    /// # Errors
    /// [`MessageError::Refused`] for a frame with another number or longer than may be,
    /// [`MessageError::OverLimit`] for an unframed body beyond [`MAX_FRAME_LENGTH`],
    /// [`MessageError::TrailingData`] after the final frame.
    pub fn look(&self, seen: &[u8]) -> Result<Next, MessageError> {
        let sequence = self.sequence.ok_or(MessageError::TrailingData)?;
        let (head, most) = match self.content {
            Content::Framed { frame_length } => {
                // From 4 bytes: a hostile frame that is out of turn costs no buffer.
                if Head::number(seen).is_some_and(|number| number != sequence) {
                    return Err(MessageError::Refused);
                }
                (Head::framed(seen), frame_length)
            }
            Content::Unframed => (Head::unframed(seen), MAX_FRAME_LENGTH),
        };
        let head = match head {
            Ok(head) => head,
            Err(needed) => return Ok(Next::Needs(needed)),
        };
        // Again, for the final frame's number, which stands after its mark.
        if head.sequence != sequence {
            return Err(MessageError::Refused);
        }
        let too_long = match self.content {
            Content::Framed { .. } => MessageError::Refused,
            Content::Unframed => MessageError::OverLimit,
        };
        // A final frame's length is bounded by the frame length that the header has authenticated.
        let length = u32::try_from(head.length.unwrap_or_else(|| most.into()));
        let length = length.ok().filter(|length| *length <= most).ok_or(too_long)?;
        let Head { kind, sequence, iv, .. } = head;
        Ok(Next::Frame(Frame { message_id: self.message_id, kind, sequence, length, iv }))
    }

    /// Goes on to the frame after this one.
    // It does not ask whether the frame was genuine: after one that was not, the reader is done.
    pub const fn advance(&mut self, frame: &Frame) {
        self.sequence = if frame.is_last() { None } else { frame.sequence.checked_add(1) };
    }
}

/// Where the frames of a body stand, told from its length alone: for reading some of them. It is only
/// as true as that length is, until the final frame was found where it says and is genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    content: Content,
    /// Frames before the final one.
    regular: u32,
    /// Plaintext bytes in the final one.
    last: u32,
}

impl Layout {
    /// The only layout that a body of so many bytes, without a footer, can have.
    ///
    /// # Errors
    /// [`MessageError::Truncated`] when it can have none, [`MessageError::OverLimit`] for too many frames
    /// or too long an unframed body.
    pub fn of(content: Content, body: u64) -> Result<Self, MessageError> {
        let kind = match content {
            Content::Framed { .. } => FrameKind::Final,
            Content::Unframed => FrameKind::SingleBlock,
        };
        let around = (kind.head_length() + TAG) as u64;
        let rest = body.checked_sub(around).ok_or(MessageError::Truncated)?;
        // Whatever is left after whole regular frames is the final one's, and that is less than a
        // regular frame: so there is one answer.
        let (regular, last, most) = match content {
            Content::Framed { frame_length } => {
                let stride = stride(frame_length);
                (rest / stride, rest % stride, frame_length)
            }
            Content::Unframed => (0, rest, MAX_FRAME_LENGTH),
        };
        let over = || MessageError::OverLimit;
        let regular =
            u32::try_from(regular).ok().filter(|many| *many < u32::MAX).ok_or_else(over)?;
        match u32::try_from(last).ok().filter(|last| *last <= most) {
            Some(last) => Ok(Self { content, regular, last }),
            None if content == Content::Unframed => Err(over()),
            None => Err(MessageError::Truncated),
        }
    }

    /// Plaintext bytes in all.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::from(self.regular) * u64::from(self.frame_length()) + u64::from(self.last)
    }

    /// Plaintext bytes in each frame but the final one; 0 for an unframed body.
    #[must_use]
    pub const fn frame_length(&self) -> u32 {
        match self.content {
            Content::Framed { frame_length } => frame_length,
            Content::Unframed => 0,
        }
    }

    /// Frames, with the final one.
    #[must_use]
    pub const fn frames(&self) -> u32 {
        self.regular + 1
    }

    /// Where the frame with this number (from 1) begins in the body. Past the last, that is its end.
    #[must_use]
    pub fn offset(&self, sequence: u32) -> u64 {
        let before = u64::from(sequence.saturating_sub(1).min(self.regular));
        let last = if sequence > self.frames() { self.last_bytes() } else { 0 };
        before * stride(self.frame_length()) + last
    }

    fn last_bytes(&self) -> u64 {
        let kind = match self.content {
            Content::Framed { .. } => FrameKind::Final,
            Content::Unframed => FrameKind::SingleBlock,
        };
        (kind.head_length() + TAG) as u64 + u64::from(self.last)
    }
}

/// Bytes of a regular frame.
fn stride(frame_length: u32) -> u64 {
    (FrameKind::Regular.head_length() + TAG) as u64 + u64::from(frame_length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(frame_length: u32) -> Content {
        Content::Framed { frame_length }
    }

    fn look(plan: &ReadPlan, seen: &[u8]) -> Result<Frame, MessageError> {
        match plan.look(seen)? {
            Next::Frame(frame) => Ok(frame),
            Next::Needs(bytes) => panic!("{bytes} bytes are needed"),
        }
    }

    #[test]
    fn the_frames_written_are_the_frames_read() {
        let (mut write, mut read) = (WritePlan::new([1; 32], 7), ReadPlan::new([1; 32], framed(7)));
        for length in [7, 7, 3] {
            let last = length != 7;
            let written = if last { write.last(length) } else { write.regular() }.unwrap();
            let found = look(&read, &written.head()).unwrap();
            assert_eq!(
                (found.aad(), found.iv(), found.is_last()),
                (written.aad(), written.iv(), last)
            );
            assert_eq!(found.frame_bytes(), written.head().len() + length + 16);
            assert!(!read.is_done());
            read.advance(&found);
        }
        assert!(read.is_done());
        assert_eq!(read.look(&[0]).err(), Some(MessageError::TrailingData));
        assert_eq!(write.last(0).err(), Some(MessageError::OverLimit));
        assert_eq!(write.regular().err(), Some(MessageError::OverLimit));
    }

    #[test]
    fn frame_numbers_end_before_they_repeat() {
        let mut plan = WritePlan::new([1; 32], 1);
        plan.sequence = Some(u32::MAX - 1);
        assert!(plan.regular().is_ok());
        assert_eq!(plan.regular().err(), Some(MessageError::OverLimit));
        // The last number is left for the final frame.
        assert_eq!(plan.last(1).unwrap().sequence, u32::MAX);
        let read = ReadPlan::new([1; 32], framed(1)).from(u32::MAX);
        let head = Frame::written([1; 32], FrameKind::Final, u32::MAX, 1).head();
        assert!(look(&read, &head).unwrap().is_last());
    }

    #[test]
    fn a_final_frame_is_no_longer_than_the_others() {
        assert_eq!(WritePlan::new([1; 32], 7).last(8).err(), Some(MessageError::OverLimit));
        let plan = ReadPlan::new([1; 32], framed(7));
        let head = Frame::written([1; 32], FrameKind::Final, 1, 8).head();
        assert_eq!(plan.look(&head).err(), Some(MessageError::Refused));
    }

    #[test]
    fn a_frame_out_of_turn_is_refused_by_its_number_alone() {
        let plan = ReadPlan::new([1; 32], framed(7)).from(5);
        for number in [0, 1, 4, 6] {
            let regular = Frame::written([1; 32], FrameKind::Regular, number, 7).head();
            assert_eq!(plan.look(&regular[..4]).err(), Some(MessageError::Refused), "{number}");
            let last = Frame::written([1; 32], FrameKind::Final, number, 7).head();
            assert_eq!(plan.look(&last).err(), Some(MessageError::Refused), "{number}");
        }
    }

    #[test]
    fn lengths_that_no_body_has_are_truncated() {
        let layout = |body| Layout::of(framed(7), body).err();
        for body in (0..40).chain(48..79).chain(87..118) {
            assert_eq!(layout(body), Some(MessageError::Truncated), "{body}");
        }
        let endless = Layout::of(framed(1), u64::MAX);
        assert_eq!(endless, Err(MessageError::OverLimit));
        let most = u64::from(MAX_FRAME_LENGTH) + 36;
        assert_eq!(Layout::of(Content::Unframed, most).unwrap().size(), most - 36);
        assert_eq!(Layout::of(Content::Unframed, most + 1), Err(MessageError::OverLimit));
        assert_eq!(Layout::of(Content::Unframed, 35), Err(MessageError::Truncated));
    }

    proptest! {
        #[test]
        fn a_layout_is_that_of_the_frames_that_were_written(
            frame_length in 1_u32..50,
            regular in 0_u32..9,
            last in 0_u32..50,
        ) {
            let last = last % (frame_length + 1);
            let mut plan = WritePlan::new([1; 32], frame_length);
            let mut offsets = vec![0];
            for _ in 0..regular {
                offsets.push(offsets.last().unwrap() + plan.regular().unwrap().frame_bytes() as u64);
            }
            let body = offsets.last().unwrap() + plan.last(last as usize).unwrap().frame_bytes() as u64;
            offsets.push(body);
            let layout = Layout::of(framed(frame_length), body).unwrap();
            prop_assert_eq!(layout.frames(), regular + 1);
            prop_assert_eq!(layout.size(), u64::from(regular * frame_length + last));
            let told: Vec<_> = (1..=regular + 2).map(|sequence| layout.offset(sequence)).collect();
            prop_assert_eq!(told, offsets);
        }
    }
}
