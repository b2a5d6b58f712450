//! Writing a message, in pieces of any size.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    edk::EncryptedDataKey,
    error::MessageError,
    frame::{DEFAULT_FRAME_LENGTH, FrameCipher, FrameKind, IV, Place, RustCipher},
    header::{Content, Fields},
    signature::{CONTEXT_KEY, MessageSigner},
    suite::Suite,
};
use crate::{context::EncryptionContext, secret::DataKey};

/// What a new message's header is to say.
pub struct NewMessage<'a> {
    context: &'a EncryptionContext,
    encrypted_data_keys: &'a [EncryptedDataKey],
    frame_length: u32,
    signer: Option<MessageSigner>,
}

impl<'a> NewMessage<'a> {
    /// An unsigned message in frames of [`DEFAULT_FRAME_LENGTH`]. The data keys were encrypted under
    /// exactly this context.
    #[must_use]
    pub const fn new(
        context: &'a EncryptionContext,
        encrypted_data_keys: &'a [EncryptedDataKey],
    ) -> Self {
        let frame_length = DEFAULT_FRAME_LENGTH;
        Self { context, encrypted_data_keys, frame_length, signer: None }
    }

    /// Signs it (suite 0x0578). The context must hold this signer's pair: [`MessageSigner::add_to`].
    #[must_use]
    pub fn signed_by(mut self, signer: MessageSigner) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Other frames: 1 to [`MAX_FRAME_LENGTH`](super::MAX_FRAME_LENGTH) plaintext bytes each.
    #[must_use]
    pub const fn frame_length(mut self, bytes: u32) -> Self {
        self.frame_length = bytes;
        self
    }
}

/// Encrypts one message. Output is appended to the caller's buffer as soon as a frame is full.
pub struct Encryptor<C: FrameCipher = RustCipher> {
    cipher: C,
    message_id: [u8; 32],
    frame_length: u32,
    /// The next frame's number; `None` after the last number was used.
    sequence: Option<u32>,
    /// Plaintext that does not fill a frame yet.
    pending: Zeroizing<Vec<u8>>,
    signer: Option<MessageSigner>,
}

impl Encryptor {
    /// Begins a message: appends its header to `out`. A data key may encrypt many, since each message
    /// has a key of its own, derived from its random id.
    ///
    /// # Errors
    /// [`MessageError::OverLimit`] or [`MessageError::Malformed`] when the header would be illegal (no
    /// data key, frames of length 0), and [`MessageError::SignerMismatch`] when the context and the
    /// signer do not fit together.
    pub fn new(
        new: NewMessage<'_>,
        data_key: &DataKey,
        rng: &mut impl CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<Self, MessageError> {
        Self::with_cipher(new, data_key, rng, out)
    }
}

impl<C: FrameCipher> Encryptor<C> {
    /// [`Encryptor::new`] with another implementation of AES-GCM.
    ///
    /// # Errors
    /// As [`Encryptor::new`].
    pub fn with_cipher(
        new: NewMessage<'_>,
        data_key: &DataKey,
        rng: &mut impl CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<Self, MessageError> {
        let NewMessage { context, encrypted_data_keys, frame_length, mut signer } = new;
        let pair = signer.as_ref().map(|signer| signer.context_pair().1);
        if context.value(CONTEXT_KEY) != pair.as_deref() {
            return Err(MessageError::SignerMismatch);
        }
        let suite = if signer.is_some() { Suite::CommittedSigned } else { Suite::Committed };
        let mut message_id = [0; 32];
        rng.fill_bytes(&mut message_id);
        let keys = suite.derive(data_key, &message_id)?;
        let header = Fields {
            suite,
            message_id,
            context: context.clone(),
            encrypted_data_keys: encrypted_data_keys.to_vec(),
            content: Content::framed(frame_length)?,
            commitment: keys.commitment,
        }
        .encode()?;
        let cipher = C::new(&keys.message_key)?;
        let tag = cipher.seal_in_place(&[0; IV], &header, &mut [])?;
        for written in [header.as_slice(), &tag] {
            out.extend_from_slice(written);
            if let Some(signer) = &mut signer {
                signer.update(written);
            }
        }
        let pending = Zeroizing::new(Vec::new());
        Ok(Self { cipher, message_id, frame_length, sequence: Some(1), pending, signer })
    }

    /// Takes the next plaintext; appends the frames that it fills to `out`.
    ///
    /// # Errors
    /// [`MessageError::OverLimit`] after 2³² − 2 frames.
    pub fn push(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
        let full = self.frame_length as usize;
        out.reserve(plaintext.len());
        if !self.pending.is_empty() {
            let missing = full.saturating_sub(self.pending.len());
            let (now, rest) = plaintext.split_at_checked(missing).unwrap_or((plaintext, &[]));
            self.pending.extend_from_slice(now);
            if self.pending.len() < full {
                return Ok(());
            }
            let mut frame = core::mem::take(&mut self.pending);
            self.seal(FrameKind::Regular, &frame, out)?;
            frame.clear();
            (self.pending, plaintext) = (frame, rest);
        }
        let frames = plaintext.chunks_exact(full);
        let rest = frames.remainder();
        for frame in frames {
            self.seal(FrameKind::Regular, frame, out)?;
        }
        if !rest.is_empty() {
            // At once, so that growing leaves no copies of plaintext behind.
            self.pending.reserve_exact(full);
            self.pending.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Ends the message: appends the final frame, and the signature of a signed message.
    ///
    /// # Errors
    /// [`MessageError::OverLimit`] as [`Self::push`].
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), MessageError> {
        let last = core::mem::take(&mut self.pending);
        self.seal(FrameKind::Final, &last, out)?;
        self.signer.map_or(Ok(()), |signer| signer.finish(out))
    }

    /// Appends one frame, encrypted where it stands.
    fn seal(
        &mut self,
        kind: FrameKind,
        content: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), MessageError> {
        let sequence = self.sequence.ok_or(MessageError::OverLimit)?;
        // A regular frame's number may not look like the final frame's mark.
        if kind == FrameKind::Regular && sequence == u32::MAX {
            return Err(MessageError::OverLimit);
        }
        let length = u32::try_from(content.len()).map_err(|_| MessageError::OverLimit)?;
        let place = Place { message_id: &self.message_id, kind, sequence, length };
        let start = out.len();
        out.extend_from_slice(&place.head());
        let body = out.len();
        out.extend_from_slice(content);
        let sealed = out.get_mut(body..).unwrap_or_default();
        let tag = self.cipher.seal_in_place(&place.iv(), &place.aad(), sealed)?;
        out.extend_from_slice(&tag);
        self.sequence = sequence.checked_add(1);
        if let Some(signer) = &mut self.signer {
            signer.update(out.get(start..).unwrap_or_default());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        committed::tests::CountingRng,
        ids::{KeyId, Version},
    };

    fn begin(new: NewMessage<'_>) -> Result<Encryptor, MessageError> {
        let data_key = DataKey::fill_with(|bytes| bytes.fill(1));
        Encryptor::new(new, &data_key, &mut CountingRng(0), &mut Vec::new())
    }

    #[test]
    fn the_context_and_the_signer_must_fit_together() {
        let keys = [EncryptedDataKey::keyhaven(KeyId::from_bytes([1; 16]), Version::FIRST, vec![])];
        let plain = EncryptionContext::default();
        let (one, two) =
            (MessageSigner::make(&mut CountingRng(0)), MessageSigner::make(&mut CountingRng(9)));
        let signed = one.add_to(&plain).unwrap();
        let mismatch = Some(MessageError::SignerMismatch);
        assert_eq!(begin(NewMessage::new(&signed, &keys)).err(), mismatch);
        assert_eq!(begin(NewMessage::new(&signed, &keys).signed_by(two)).err(), mismatch);
        assert_eq!(begin(NewMessage::new(&signed, &keys).signed_by(one)).err(), None);
        let other = MessageSigner::make(&mut CountingRng(0));
        assert_eq!(begin(NewMessage::new(&plain, &keys).signed_by(other)).err(), mismatch);
    }

    #[test]
    fn illegal_headers_are_not_written() {
        let plain = EncryptionContext::default();
        let keys = [EncryptedDataKey::keyhaven(KeyId::from_bytes([1; 16]), Version::FIRST, vec![])];
        let frames = |length| begin(NewMessage::new(&plain, &keys).frame_length(length)).err();
        assert_eq!(frames(0), Some(MessageError::Malformed));
        assert_eq!(frames((1 << 24) + 1), Some(MessageError::OverLimit));
        assert_eq!(begin(NewMessage::new(&plain, &[])).err(), Some(MessageError::Malformed));
    }

    #[test]
    fn frame_numbers_end_before_they_repeat() {
        let plain = EncryptionContext::default();
        let keys = [EncryptedDataKey::keyhaven(KeyId::from_bytes([1; 16]), Version::FIRST, vec![])];
        let mut encryptor = begin(NewMessage::new(&plain, &keys).frame_length(1)).unwrap();
        encryptor.sequence = Some(u32::MAX - 1);
        let mut out = Vec::new();
        assert_eq!(encryptor.push(b"a", &mut out), Ok(()));
        assert_eq!(encryptor.push(b"b", &mut out), Err(MessageError::OverLimit));
        // The last number is left for the final frame.
        assert_eq!(encryptor.sequence, Some(u32::MAX));
        assert_eq!(encryptor.finish(&mut out), Ok(()));
    }
}
