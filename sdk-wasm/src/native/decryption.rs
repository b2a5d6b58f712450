//! One message being read.

use std::sync::Arc;

use keyhaven_shared::{
    context::EncryptionContext,
    ids::{KeyId, Version},
    message::{BodyDecryptor, Header, HeaderParser},
};
use zeroize::Zeroizing;

use super::{
    clock::ServerClock,
    error::{Error, IntegrityFault, UnsupportedFault},
    held_key::{HeldKey, SealedKey},
    work::Work,
};

/// What a message says of itself. **Not verified**: anybody may have written it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageInfo {
    /// The key that encrypted its data key.
    pub key: KeyId,
    /// That key's version.
    pub version: Version,
    /// What it is about.
    pub context: EncryptionContext,
    /// Whether it ends with a signature.
    pub signed: bool,
}

impl MessageInfo {
    /// Reads it from a message's first bytes; `None` when more are needed.
    ///
    /// # Errors
    /// [`Error::Integrity`] or [`Error::Unsupported`] when they do not begin a message of Keyhaven.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let Some((header, _)) = HeaderParser::new().push(bytes)? else { return Ok(None) };
        let SealedKey { key, version, .. } = sealed_key(&header)?;
        let (context, signed) = (header.context().clone(), header.suite().is_signed());
        Ok(Some(Self { key, version, context, signed }))
    }
}

/// The first of a message's data keys that is Keyhaven's.
pub(crate) fn sealed_key(header: &Header) -> Result<SealedKey, Error> {
    let ours = header.encrypted_data_keys().iter().find_map(|encrypted| {
        let (key, version) = encrypted.keyhaven_key()?;
        Some(SealedKey { key, version, ciphertext: encrypted.ciphertext.clone() })
    });
    Ok(ours.ok_or(UnsupportedFault::Foreign)?)
}

/// Refuses a message whose context lacks a pair that the application requires.
pub(crate) fn require(header: &Header, required: &EncryptionContext) -> Result<(), Error> {
    let has = header.context().contains_all(required);
    if has { Ok(()) } else { Err(IntegrityFault::Context.into()) }
}

/// Decrypts a whole message's body: nothing is given out unless all of it is genuine.
pub(crate) fn whole(
    clock: &ServerClock,
    key: &HeldKey,
    header: Header,
    body: &[u8],
) -> Result<Vec<u8>, Error> {
    // What comes before the signature is verified stays here until it is.
    let open = |key: &_| Ok(header.dangerous_open_before_signature(key)?);
    let mut decryptor = key.begin(clock, open)?;
    let mut plaintext = Zeroizing::new(Vec::with_capacity(body.len()));
    decryptor.push(body, &mut plaintext)?;
    decryptor.finish()?;
    Ok(std::mem::take(&mut *plaintext))
}

/// Decrypts one message's body, in pieces of any size. Each frame comes out as soon as it is verified; that
/// the message was whole, only [`Self::finish`] tells.
pub struct Decryption {
    work: Arc<Work<BodyDecryptor>>,
    /// Plaintext of the frames that came with the header.
    out: Vec<u8>,
}

impl Decryption {
    pub(crate) fn begin(
        clock: &Arc<ServerClock>,
        key: &HeldKey,
        header: Header,
        body: &[u8],
    ) -> Result<Self, Error> {
        let decryptor = key.begin(clock, |key| Ok(header.open(key)?))?;
        let work = Work::begin(clock, key, decryptor)?;
        let mut out = Vec::new();
        work.step(|decryptor| decryptor.push(body, &mut out))?;
        Ok(Self { work, out })
    }

    /// Takes bytes of the message, gives the plaintext of the frames that they complete.
    ///
    /// # Errors
    /// [`Error::Integrity`] for a frame that was changed or moved, or bytes after the end; then nothing
    /// more is given out. [`Error::LeaseEnded`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = std::mem::take(&mut self.out);
        self.work.step(|decryptor| decryptor.push(bytes, &mut out))?;
        Ok(out)
    }

    /// Says whether the message was whole; gives what no [`Self::push`] gave yet.
    ///
    /// # Errors
    /// [`Error::Truncated`] when its end is missing: then what was given out is only its beginning.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.work.finish(BodyDecryptor::finish)?;
        Ok(std::mem::take(&mut self.out))
    }
}
