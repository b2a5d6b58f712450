//! Messages through `std::io`: for files, and whatever else blocks.

use std::io::{self, Read, Write};

use keyhaven_shared::{context::EncryptionContext, message::HeaderParser};

use super::{client::Client, decryption::Decryption, encryption::Encryption, error::Error};

/// Encrypts what is written to it, into another writer. Only [`Self::finish`] writes the message's end.
///
/// ```no_run
/// # use std::{fs::File, io};
/// # use keyhaven_sdk::*;
/// # async fn put(client: &Client) -> Result<(), Error> {
/// let encryption = client.encryption("app:invoices", &context([("customer", "42")])?).await?;
/// let mut writer = EncryptingWriter::new(encryption, File::create("invoice.message")?);
/// io::copy(&mut File::open("invoice.pdf")?, &mut writer)?;
/// writer.finish()?.sync_all()?;
/// # Ok(())
/// # }
/// ```
pub struct EncryptingWriter<W: Write> {
    encryption: Encryption,
    inner: W,
}

impl<W: Write> EncryptingWriter<W> {
    /// Writes what `encryption` encrypts into `inner`.
    pub const fn new(encryption: Encryption, inner: W) -> Self {
        Self { encryption, inner }
    }

    /// Writes the end of the message, and gives the writer back.
    ///
    /// # Errors
    /// The writer's, or an [`Error`] inside.
    pub fn finish(self) -> io::Result<W> {
        let Self { encryption, mut inner } = self;
        inner.write_all(&encryption.finish()?)?;
        inner.flush()?;
        Ok(inner)
    }
}

impl<W: Write> Write for EncryptingWriter<W> {
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        let piece = plaintext.get(..PIECE).unwrap_or(plaintext);
        self.inner.write_all(&self.encryption.push(piece)?)?;
        Ok(piece.len())
    }

    /// Flushes the writer. Plaintext that does not fill a frame yet stays until it does.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Decrypts a message that another reader gives. The end of the plaintext is told only when the message was
/// whole; a message that is not gives an error in its place.
pub struct DecryptingReader<R: Read> {
    state: Reading,
    inner: R,
    opened: io::Cursor<Vec<u8>>,
    buffer: Vec<u8>,
}

enum Reading {
    Running(Decryption),
    /// The message was whole.
    Done,
    /// It was not: every read says so again.
    Failed(Error),
}

/// Bytes that are read or written at once.
const PIECE: usize = 64 * 1024;

impl Client {
    /// Reads a message's header from `inner`, asks for its data key, and gives a reader of its plaintext.
    /// The header is read on this task: `inner` should not block for long.
    ///
    /// # Errors
    /// [`Error`], by who must act; [`Error::Input`] is the reader's own.
    pub async fn decrypting_reader<R: Read>(
        &self,
        mut inner: R,
        required: &EncryptionContext,
    ) -> Result<DecryptingReader<R>, Error> {
        let (mut parser, mut buffer) = (HeaderParser::new(), vec![0; PIECE]);
        loop {
            let bytes = fill(&mut inner, &mut buffer)?;
            if bytes.is_empty() {
                return Err(Error::Truncated);
            }
            let Some((header, body)) = parser.push(bytes)? else { continue };
            let body = body.to_vec();
            let state = Reading::Running(self.open(header, &body, required).await?);
            return Ok(DecryptingReader { state, inner, opened: io::Cursor::default(), buffer });
        }
    }
}

impl<R: Read> Read for DecryptingReader<R> {
    fn read(&mut self, plaintext: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.opened.read(plaintext)?;
            if read > 0 || plaintext.is_empty() {
                return Ok(read);
            }
            if let Reading::Done = self.state {
                return Ok(0);
            }
            let bytes = fill(&mut self.inner, &mut self.buffer)?;
            let state = std::mem::replace(&mut self.state, Reading::Done);
            match state.step(bytes) {
                Ok((opened, state)) => (self.opened, self.state) = (io::Cursor::new(opened), state),
                Err(error) => {
                    self.state = Reading::Failed(error.clone());
                    return Err(error.into());
                }
            }
        }
    }
}

impl Reading {
    /// Takes bytes of the message; none are its end.
    fn step(self, bytes: &[u8]) -> Result<(Vec<u8>, Self), Error> {
        match self {
            Self::Running(decryption) if bytes.is_empty() => Ok((decryption.finish()?, Self::Done)),
            Self::Running(mut decryption) => {
                Ok((decryption.push(bytes)?, Self::Running(decryption)))
            }
            Self::Done => Ok((Vec::new(), Self::Done)),
            Self::Failed(error) => Err(error),
        }
    }
}

/// Reads once; nothing at the end.
fn fill<'a>(inner: &mut impl Read, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    loop {
        match inner.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map(|length| buffer.get(..length).unwrap_or_default()),
        }
    }
}
