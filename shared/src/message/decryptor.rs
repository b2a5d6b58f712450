//! Reading a message's body, in pieces of any size.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::{
    cipher::{FrameCipher, RustCipher},
    error::MessageError,
    frame::IV,
    header::Header,
    plan::{Next, ReadPlan},
    signature::{CONTEXT_KEY, MAX_SIGNATURE_BYTES, raw_signature},
    signer::Verifier,
    suite::Suite,
};
use crate::secret::{DataKey, MessageKey};

impl Header {
    /// Verifies the header under its data key, and is ready for the body of an unsigned message.
    ///
    /// First the key commitment is compared, in constant time, then the header's tag: a header that
    /// passes is the one that the holder of the data key wrote.
    ///
    /// # Errors
    /// [`MessageError::Refused`] when this is another message's data key or the header was changed.
    /// [`MessageError::SignedStream`] when the message is signed: use [`decrypt`](super::decrypt), or
    /// [`Self::dangerous_open_before_signature`].
    pub fn open(self, data_key: &DataKey) -> Result<BodyDecryptor, MessageError> {
        self.open_with_cipher(data_key)
    }

    /// [`Self::open`] with another implementation of AES-GCM.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_cipher<C: FrameCipher>(
        self,
        data_key: &DataKey,
    ) -> Result<BodyDecryptor<C>, MessageError> {
        if self.suite().is_signed() {
            return Err(MessageError::SignedStream);
        }
        let (_, cipher) = self.verified(data_key)?;
        Ok(BodyDecryptor::new(self, cipher, Signature::None))
    }

    /// [`Self::open`] that takes signed messages, too. Their frames are given out as each is
    /// authenticated by the data key, but **before the signature is verified**, all except the final
    /// one: until [`BodyDecryptor::finish`] has succeeded, everybody who may decrypt the message may
    /// have forged it. Keep such plaintext apart, and throw it away on any error.
    ///
    /// # Errors
    /// [`MessageError::Refused`] as for [`Self::open`]; [`MessageError::Malformed`] when the context of a
    /// signed message holds no key.
    pub fn dangerous_open_before_signature(
        self,
        data_key: &DataKey,
    ) -> Result<BodyDecryptor, MessageError> {
        let (_, cipher) = self.verified(data_key)?;
        let signature = match self.suite() {
            Suite::Committed => Signature::None,
            Suite::CommittedSigned => {
                Signature::Here(Box::new(Verifier::new(&self.fields.context)?))
            }
        };
        Ok(BodyDecryptor::new(self, cipher, signature))
    }

    /// [`Self::open`] of a signed message whose signature is verified elsewhere, under the key that its
    /// context names: until that is done, everybody who may decrypt the message may have forged it. It ends
    /// with [`BodyDecryptor::dangerous_finish`].
    ///
    /// # Errors
    /// [`MessageError::Refused`] as for [`Self::open`]; [`MessageError::Malformed`] when the context names
    /// no key, or the message is not signed.
    pub fn dangerous_open_unverified(
        self,
        data_key: &DataKey,
    ) -> Result<BodyDecryptor, MessageError> {
        if !self.suite().is_signed() || self.fields.context.value(CONTEXT_KEY).is_none() {
            return Err(MessageError::Malformed);
        }
        let (_, cipher) = self.verified(data_key)?;
        Ok(BodyDecryptor::new(self, cipher, Signature::Elsewhere(None)))
    }

    /// [`Self::open`] for who decrypts the frames elsewhere: the key that they are encrypted under, and
    /// the plan to follow. Nothing that was not decrypted by this plan may be given out.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_frames(&self, data_key: &DataKey) -> Result<(MessageKey, ReadPlan), MessageError> {
        if self.suite().is_signed() {
            return Err(MessageError::SignedStream);
        }
        let (key, _) = self.verified::<RustCipher>(data_key)?;
        Ok((key, ReadPlan::new(*self.message_id(), self.content())))
    }

    /// Compares the key commitment, in constant time, before anything is decrypted, then the tag.
    fn verified<C: FrameCipher>(
        &self,
        data_key: &DataKey,
    ) -> Result<(MessageKey, C), MessageError> {
        let keys = self.suite().derive(data_key, self.message_id())?;
        // Another data key would else decrypt to something, if a sender prepared the message for
        // two.
        if !bool::from(keys.commitment.ct_eq(&self.fields.commitment)) {
            return Err(MessageError::Refused);
        }
        let cipher = C::new(&keys.message_key)?;
        cipher.open_in_place(&[0; IV], &self.raw, &mut [], &self.tag)?;
        Ok((keys.message_key, cipher))
    }
}

/// Decrypts one message's body. Only authenticated frames are given out; after an error nothing more.
pub struct BodyDecryptor<C: FrameCipher = RustCipher> {
    cipher: C,
    /// Which frame must come next.
    plan: ReadPlan,
    /// What the next bytes belong to.
    state: State,
    /// The beginning of a unit (frame or footer) that is not complete yet.
    pending: Vec<u8>,
    signature: Signature,
    /// The final frame's plaintext of a signed message, until its signature is verified.
    held: Zeroizing<Vec<u8>>,
}

/// Who verifies the signature.
enum Signature {
    /// There is none, or it was verified.
    None,
    Here(Box<Verifier>),
    /// With r ‖ s, when it was read.
    Elsewhere(Option<[u8; 96]>),
}

// No way leads back: an error stays, and the end stays the end.
#[derive(Clone, Copy)]
enum State {
    Body,
    Footer,
    Done,
    Failed(MessageError),
}

impl<C: FrameCipher> BodyDecryptor<C> {
    fn new(header: Header, cipher: C, mut signature: Signature) -> Self {
        let Header { fields, raw, tag } = header;
        if let Signature::Here(verifier) = &mut signature {
            verifier.update(&raw);
            verifier.update(&tag);
        }
        Self {
            cipher,
            plan: ReadPlan::new(fields.message_id, fields.content),
            state: State::Body,
            pending: Vec::new(),
            signature,
            held: Zeroizing::new(Vec::new()),
        }
    }

    /// Takes the next bytes; appends the plaintext of the frames that they complete to `out`.
    ///
    /// # Errors
    /// [`MessageError::Refused`] for a frame that was changed, moved or is another message's,
    /// [`MessageError::TrailingData`] for bytes after the end. The plaintext of earlier frames stays in
    /// `out`; the failed frame adds nothing, and every later call gives the same error.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
        let result = self.push_units(bytes, out);
        // For good: who goes on after an error would skip a frame.
        if let Err(error) = result {
            self.state = State::Failed(error);
        }
        result
    }

    /// Says whether the message was whole.
    ///
    /// # Errors
    /// [`MessageError::Truncated`] when the final frame or the signature is missing: then what was
    /// given out is only the beginning of the message. [`MessageError::SignedStream`] when its signature is
    /// verified elsewhere.
    pub fn finish(self) -> Result<(), MessageError> {
        self.whole()?;
        match self.signature {
            Signature::None => Ok(()),
            Signature::Here(_) | Signature::Elsewhere(_) => Err(MessageError::SignedStream),
        }
    }

    /// Says whether the message was whole, and gives its signature, r ‖ s: what was given out is genuine if
    /// this signs all bytes of the message before its [footer](super::signature_footer).
    ///
    /// # Errors
    /// As [`Self::finish`]; [`MessageError::Malformed`] when the signature is not verified elsewhere.
    pub fn dangerous_finish(self) -> Result<[u8; 96], MessageError> {
        self.whole()?;
        match self.signature {
            Signature::Elsewhere(signature) => signature.ok_or(MessageError::Truncated),
            Signature::None | Signature::Here(_) => Err(MessageError::Malformed),
        }
    }

    const fn whole(&self) -> Result<(), MessageError> {
        match self.state {
            State::Done => Ok(()),
            State::Body | State::Footer => Err(MessageError::Truncated),
            State::Failed(error) => Err(error),
        }
    }

    /// Cuts the bytes into units. A unit that lies whole in `bytes` is read from there; only one that
    /// is spread over several calls is gathered first.
    fn push_units(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
        loop {
            match self.state {
                State::Failed(error) => return Err(error),
                State::Done if bytes.is_empty() => return Ok(()),
                // Bytes after the end are nobody's: unsigned, and not authenticated.
                State::Done => return Err(MessageError::TrailingData),
                State::Body | State::Footer => {}
            }
            if !self.pending.is_empty() {
                bytes = self.gather(bytes, out)?;
                if bytes.is_empty() {
                    return Ok(());
                }
                continue;
            }
            let needed = self.needed(bytes)?;
            let Some((unit, rest)) = bytes.split_at_checked(needed) else {
                self.pending.extend_from_slice(bytes);
                return Ok(());
            };
            self.take(unit, out)?;
            bytes = rest;
        }
    }

    /// Moves as many bytes as are known to be missing to the unit that is being gathered, reads it if
    /// that completes it, and gives the bytes that are left.
    fn gather<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], MessageError> {
        let missing = self.needed(&self.pending)?.saturating_sub(self.pending.len());
        let (now, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        self.pending.extend_from_slice(now);
        if self.pending.len() >= self.needed(&self.pending)? {
            let mut unit = core::mem::take(&mut self.pending);
            self.take(&unit, out)?;
            unit.clear();
            self.pending = unit;
        }
        Ok(rest)
    }

    /// How long the unit that begins so is, as far as can be told: at least more than was seen as long
    /// as its own length field was not.
    fn needed(&self, seen: &[u8]) -> Result<usize, MessageError> {
        if matches!(self.state, State::Footer) {
            let Some((length, _)) = seen.split_first_chunk::<2>() else {
                return Ok(2);
            };
            let length = usize::from(u16::from_be_bytes(*length));
            // Refused from its length alone, before anything is gathered for it.
            let possible = length <= MAX_SIGNATURE_BYTES;
            return if possible { Ok(2 + length) } else { Err(MessageError::Refused) };
        }
        Ok(match self.plan.look(seen)? {
            Next::Needs(bytes) => bytes,
            Next::Frame(frame) => frame.frame_bytes(),
        })
    }

    /// Reads one whole unit.
    fn take(&mut self, unit: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
        if matches!(self.state, State::Footer) {
            let der = unit.get(2..).unwrap_or_default();
            self.signature = match core::mem::replace(&mut self.signature, Signature::None) {
                Signature::None => return Err(MessageError::Refused),
                Signature::Here(verifier) => verifier.verify(der).map(|()| Signature::None)?,
                Signature::Elsewhere(_) => {
                    Signature::Elsewhere(Some(raw_signature(der).ok_or(MessageError::Refused)?))
                }
            };
            out.extend_from_slice(&self.held);
            self.held.zeroize();
            self.state = State::Done;
            return Ok(());
        }
        if let Signature::Here(verifier) = &mut self.signature {
            verifier.update(unit);
        }
        let Next::Frame(frame) = self.plan.look(unit)? else { return Err(MessageError::Refused) };
        self.plan.advance(&frame);
        // A reader who acts on the whole message waits for its end: so the end is what is held
        // back.
        if frame.is_last() && !matches!(self.signature, Signature::None) {
            let mut held = core::mem::take(&mut self.held);
            self.cipher.open(&frame, unit, &mut held)?;
            self.held = held;
            self.state = State::Footer;
            return Ok(());
        }
        self.cipher.open(&frame, unit, out)?;
        if frame.is_last() {
            self.state = State::Done;
        }
        Ok(())
    }
}
