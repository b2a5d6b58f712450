//! Messages through streams: request and response bodies, object stores.

use std::error::Error as StdError;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use keyhaven_shared::{context::EncryptionContext, message::HeaderParser};

use super::{
    client::Client,
    decryption::Decryption,
    encryption::Encryption,
    error::{Error, SourceError},
};

impl Client {
    /// Encrypts a stream: gives the message's bytes as they are ready. An error of `plaintext` ends it as
    /// [`Error::Input`].
    pub fn encrypt_stream<S, B, E>(
        &self,
        key: impl Into<String>,
        context: EncryptionContext,
        plaintext: S,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send
    where
        S: Stream<Item = Result<B, E>> + Send,
        B: AsRef<[u8]> + Send,
        E: Into<Box<dyn StdError + Send + Sync>> + Send,
    {
        let (client, key) = (self.clone(), key.into());
        pumped(plaintext, Encrypting { client, key, context, running: None })
    }

    /// Decrypts a stream: gives each frame as soon as it is verified. A message without its end makes the
    /// stream fail, after the frames that were there; an error of `message` ends it as [`Error::Input`].
    pub fn decrypt_stream<S, B, E>(
        &self,
        message: S,
        required: EncryptionContext,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send
    where
        S: Stream<Item = Result<B, E>> + Send,
        B: AsRef<[u8]> + Send,
        E: Into<Box<dyn StdError + Send + Sync>> + Send,
    {
        let (client, parser) = (self.clone(), HeaderParser::new());
        pumped(message, Decrypting { client, parser, required, running: None })
    }
}

/// What turns one stream into another.
trait Coder: Send + Sized {
    /// Takes what came, gives what is ready; that may be nothing yet.
    fn push(&mut self, bytes: &[u8]) -> impl Future<Output = Result<Vec<u8>, Error>> + Send;
    /// Takes the end, gives the rest.
    fn finish(self) -> impl Future<Output = Result<Vec<u8>, Error>> + Send;
}

/// Drives a coder by a stream, one piece at a time: whoever reads slowly makes the source wait.
fn pumped<S, B, E>(source: S, coder: impl Coder) -> impl Stream<Item = Result<Bytes, Error>> + Send
where
    S: Stream<Item = Result<B, E>> + Send,
    B: AsRef<[u8]> + Send,
    E: Into<Box<dyn StdError + Send + Sync>> + Send,
{
    stream::try_unfold(Some((Box::pin(source), coder)), |state| async move {
        let Some((mut source, mut coder)) = state else { return Ok(None) };
        while let Some(bytes) = source.next().await {
            let bytes = bytes.map_err(|error| Error::Input(SourceError::new(error)))?;
            let out = coder.push(bytes.as_ref()).await?;
            // An empty piece would say nothing, and some sinks take it for the end.
            if !out.is_empty() {
                return Ok(Some((out.into(), Some((source, coder)))));
            }
        }
        // With the state gone, the next poll ends the stream; after an error `try_unfold` does so, too.
        let out = coder.finish().await?;
        Ok((!out.is_empty()).then(|| (out.into(), None)))
    })
}

/// The data key is asked for when the first bytes come, or with the end of an empty message.
struct Encrypting {
    client: Client,
    key: String,
    context: EncryptionContext,
    running: Option<Encryption>,
}

impl Encrypting {
    /// The encryption, begun if nothing has come before.
    async fn begun(&mut self) -> Result<Encryption, Error> {
        match self.running.take() {
            Some(encryption) => Ok(encryption),
            None => self.client.encryption(&self.key, &self.context).await,
        }
    }
}

impl Coder for Encrypting {
    async fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut encryption = self.begun().await?;
        let out = encryption.push(bytes)?;
        self.running = Some(encryption);
        Ok(out)
    }

    async fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.begun().await?.finish()
    }
}

/// The data key is asked for when the header is complete.
struct Decrypting {
    client: Client,
    parser: HeaderParser,
    required: EncryptionContext,
    running: Option<Decryption>,
}

impl Coder for Decrypting {
    async fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        if let Some(decryption) = &mut self.running {
            return decryption.push(bytes);
        }
        let Some((header, body)) = self.parser.push(bytes)? else { return Ok(Vec::new()) };
        // Before the key is there, nothing more is read: what waits meanwhile is one piece.
        let mut decryption = self.client.open(header, body, &self.required).await?;
        let out = decryption.push(&[])?;
        self.running = Some(decryption);
        Ok(out)
    }

    async fn finish(self) -> Result<Vec<u8>, Error> {
        // Not even a header came: that is a message that was cut off, and not an empty one.
        self.running.ok_or(Error::Truncated)?.finish()
    }
}
