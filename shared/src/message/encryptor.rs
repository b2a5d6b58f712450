//! Writing a message, in pieces of any size.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    cipher::{FrameCipher, RustCipher},
    edk::EncryptedDataKey,
    error::MessageError,
    frame::{DEFAULT_FRAME_LENGTH, Frame, IV},
    header::{About, Content},
    plan::WritePlan,
    signer::MessageSigner,
    suite::Suite,
};
use crate::{
    context::EncryptionContext,
    secret::{DataKey, MessageKey},
};

/// What a new message's header is to say.
pub struct NewMessage<'a> {
    about: Subject<'a>,
    frame_length: u32,
    signing: Signing,
}

/// Who signs a message.
enum Signing {
    Nobody,
    Here(Box<MessageSigner>),
    Elsewhere,
}

enum Subject<'a> {
    Parts(&'a EncryptionContext, &'a [EncryptedDataKey]),
    Encoded(&'a About),
}

impl<'a> NewMessage<'a> {
    /// An unsigned message in frames of [`DEFAULT_FRAME_LENGTH`]. The data keys were encrypted under
    /// exactly this context.
    #[must_use]
    pub const fn new(
        context: &'a EncryptionContext,
        encrypted_data_keys: &'a [EncryptedDataKey],
    ) -> Self {
        Self::with(Subject::Parts(context, encrypted_data_keys))
    }

    /// One of many about the same, under the same data key.
    #[must_use]
    pub const fn about(about: &'a About) -> Self {
        Self::with(Subject::Encoded(about))
    }

    const fn with(about: Subject<'a>) -> Self {
        Self { about, frame_length: DEFAULT_FRAME_LENGTH, signing: Signing::Nobody }
    }

    /// Signs it (suite 0x0578). The context must hold this signer's pair: [`MessageSigner::add_to`].
    #[must_use]
    pub fn signed_by(mut self, signer: MessageSigner) -> Self {
        self.signing = Signing::Here(Box::new(signer));
        self
    }

    /// Has it signed elsewhere, by the key that the context names: the caller signs all that is written
    /// (ECDSA P-384 with SHA-384) and ends the message with [`signature_footer`](super::signature_footer).
    #[must_use]
    pub fn signed_elsewhere(mut self) -> Self {
        self.signing = Signing::Elsewhere;
        self
    }

    /// Other frames: 1 to [`MAX_FRAME_LENGTH`](super::MAX_FRAME_LENGTH) plaintext bytes each.
    #[must_use]
    pub const fn frame_length(mut self, bytes: u32) -> Self {
        self.frame_length = bytes;
        self
    }

    /// Begins a message for who encrypts its frames elsewhere: appends its header to `out`, gives the key to
    /// encrypt them under, and the plan to follow.
    ///
    /// # Errors
    /// As [`Encryptor::new`]; [`MessageError::SignerMismatch`] for a message to be signed here, too, since a
    /// signature covers all bytes.
    pub fn begin_frames(
        self,
        data_key: &DataKey,
        rng: &mut impl CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<(MessageKey, WritePlan), MessageError> {
        let Begun { key, plan, signer, .. } = self.begin::<RustCipher>(data_key, rng, out)?;
        if signer.is_some() { Err(MessageError::SignerMismatch) } else { Ok((key, plan)) }
    }

    fn begin<C: FrameCipher>(
        self,
        data_key: &DataKey,
        rng: &mut impl CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<Begun<C>, MessageError> {
        let Self { about, frame_length, signing } = self;
        let encoded;
        let about = match about {
            Subject::Encoded(about) => about,
            Subject::Parts(context, keys) => {
                encoded = About::new(context, keys)?;
                &encoded
            }
        };
        let named = about.signature_key();
        let (fits, suite, mut signer) = match signing {
            Signing::Nobody => (named.is_none(), Suite::Committed, None),
            Signing::Elsewhere => (named.is_some(), Suite::CommittedSigned, None),
            Signing::Here(signer) => {
                let same = named == Some(signer.context_pair().1.as_str());
                (same, Suite::CommittedSigned, Some(signer))
            }
        };
        if !fits {
            return Err(MessageError::SignerMismatch);
        }
        let content = Content::framed(frame_length)?;
        let mut message_id = [0; 32];
        rng.fill_bytes(&mut message_id);
        let keys = suite.derive(data_key, &message_id)?;
        let start = out.len();
        about.encode(suite, &message_id, content, out);
        out.extend_from_slice(&keys.commitment);
        let cipher = C::new(&keys.message_key)?;
        let header = out.get(start..).unwrap_or_default();
        let tag = cipher.seal_in_place(&[0; IV], header, &mut [])?;
        out.extend_from_slice(&tag);
        if let Some(signer) = &mut signer {
            signer.update(out.get(start..).unwrap_or_default());
        }
        let plan = WritePlan::new(message_id, frame_length);
        Ok(Begun { key: keys.message_key, cipher, plan, signer })
    }
}

/// A message whose header is written.
struct Begun<C> {
    key: MessageKey,
    cipher: C,
    plan: WritePlan,
    signer: Option<Box<MessageSigner>>,
}

/// Encrypts one message. Output is appended to the caller's buffer as soon as a frame is full.
pub struct Encryptor<C: FrameCipher = RustCipher> {
    cipher: C,
    plan: WritePlan,
    /// Plaintext that does not fill a frame yet.
    pending: Zeroizing<Vec<u8>>,
    signer: Option<Box<MessageSigner>>,
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
        let Begun { cipher, plan, signer, .. } = new.begin(data_key, rng, out)?;
        Ok(Self { cipher, plan, pending: Zeroizing::new(Vec::new()), signer })
    }

    /// Takes the next plaintext; appends the frames that it fills to `out`.
    ///
    /// # Errors
    /// [`MessageError::OverLimit`] after 2³² − 2 frames.
    pub fn push(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
        let full = self.plan.frame_length() as usize;
        out.reserve(plaintext.len());
        if !self.pending.is_empty() {
            let missing = full.saturating_sub(self.pending.len());
            let (now, rest) = plaintext.split_at_checked(missing).unwrap_or((plaintext, &[]));
            self.pending.extend_from_slice(now);
            if self.pending.len() < full {
                return Ok(());
            }
            let mut content = core::mem::take(&mut self.pending);
            let frame = self.plan.regular()?;
            self.seal(&frame, &content, out)?;
            content.clear();
            (self.pending, plaintext) = (content, rest);
        }
        let frames = plaintext.chunks_exact(full);
        let rest = frames.remainder();
        for content in frames {
            let frame = self.plan.regular()?;
            self.seal(&frame, content, out)?;
        }
        if !rest.is_empty() {
            // At once, so that growing leaves no copies of plaintext behind.
            self.pending.reserve_exact(full);
            self.pending.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Ends the message: appends the final frame, and the signature of a message that is signed here.
    ///
    /// # Errors
    /// [`MessageError::OverLimit`] as [`Self::push`].
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), MessageError> {
        self.finish_with(&[], out)
    }

    /// Ends the message after the last plaintext, which is read from where it is: for a message that comes in
    /// one piece no frame's buffer is made, and none is wiped.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_with(mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
        let full = self.plan.frame_length() as usize;
        let rest = if self.pending.is_empty() { plaintext.len() % full } else { 0 };
        let (before, rest) =
            plaintext.split_at_checked(plaintext.len() - rest).unwrap_or((plaintext, &[]));
        self.push(before, out)?;
        let pending = core::mem::take(&mut self.pending);
        let content = if rest.is_empty() { &pending } else { rest };
        let frame = self.plan.last(content.len())?;
        self.seal(&frame, content, out)?;
        self.signer.map_or(Ok(()), |signer| signer.finish(out))
    }

    /// Appends one frame.
    fn seal(
        &mut self,
        frame: &Frame,
        content: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), MessageError> {
        let start = out.len();
        self.cipher.seal(frame, content, out)?;
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
    fn a_last_piece_that_is_read_where_it_is_gives_the_same_bytes() {
        let keys = [EncryptedDataKey::keyhaven(KeyId::from_bytes([1; 16]), Version::FIRST, vec![])];
        let plain = EncryptionContext::default();
        let text: Vec<u8> = (0..50).collect();
        for (length, pushed) in
            (0..50).flat_map(|length| [0, 7, 16].map(|at| (length, at.min(length))))
        {
            let (before, last) = text[..length].split_at(pushed);
            let [mut one, mut two] =
                [0; 2].map(|_| begin(NewMessage::new(&plain, &keys).frame_length(16)).unwrap());
            let [mut at_once, mut pushed] = [Vec::new(), Vec::new()];
            one.push(before, &mut at_once).unwrap();
            one.finish_with(last, &mut at_once).unwrap();
            two.push(before, &mut pushed).unwrap();
            two.push(last, &mut pushed).unwrap();
            two.finish(&mut pushed).unwrap();
            assert_eq!(at_once, pushed, "{length} bytes");
        }
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
}
