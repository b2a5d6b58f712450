//! Data keys for a backend with an API token: in plaintext, inside TLS.

use std::sync::Arc;

use keyhaven_shared::{
    api::{
        bytes::{Base64Bytes, PlaintextBytes},
        crypto::{Decrypt, GenerateDataKey},
    },
    context::EncryptionContext,
    secret::DataKey,
};

use super::{
    api::{self, Shown},
    clock::ServerClock,
    credential::Credential,
    documents::{Decrypted, GeneratedDataKey, pairs},
    endpoint::Endpoint,
    error::{Error, IntegrityFault},
    held_key::{HeldKey, SealedKey},
    key_name::KeyName,
    limits::Limits,
};

/// Asks with an API token. What protects its data keys on their way is TLS alone, so the transport must verify
/// the server's certificate.
pub(crate) struct TokenSource {
    pub(crate) endpoint: Endpoint,
    pub(crate) token: Credential,
    pub(crate) clock: Arc<ServerClock>,
    pub(crate) limits: Limits,
}

impl TokenSource {
    /// A new data key, under the newest version of the key.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Network`], [`Error::Integrity`].
    pub(crate) async fn fresh(
        &self,
        key: &KeyName,
        context: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        let document = GenerateDataKey { context: pairs(context) };
        let path = format!("/keys/{}/generate-data-key", key.segment());
        let shown = Shown::Token(&self.token);
        let answer: GeneratedDataKey = api::post(&self.endpoint, &path, &document, shown).await?;
        // An alias may have moved; an id means one key for ever.
        if key.id().is_some_and(|asked| asked != answer.key) {
            return Err(IntegrityFault::Delivery.into());
        }
        let sealed = SealedKey::answered(answer.key, answer.version, answer.ciphertext.0)?;
        self.hold(sealed, &answer.plaintext)
    }

    /// A message's data key, opened by the server under the message's context.
    ///
    /// # Errors
    /// As [`Self::fresh`].
    pub(crate) async fn opened(
        &self,
        sealed: SealedKey,
        context: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        let ciphertext = Base64Bytes(sealed.ciphertext.clone());
        let document = Decrypt { ciphertext, context: pairs(context) };
        let path = format!("/keys/{}/decrypt", sealed.key);
        let shown = Shown::Token(&self.token);
        let answer: Decrypted = api::post(&self.endpoint, &path, &document, shown).await?;
        if (answer.key, answer.version) != (sealed.key, sealed.version) {
            return Err(IntegrityFault::Delivery.into());
        }
        self.hold(sealed, &answer.plaintext)
    }

    /// Takes a data key over: its bytes live in no other buffer of ours from here on.
    fn hold(&self, sealed: SealedKey, plaintext: &PlaintextBytes) -> Result<Arc<HeldKey>, Error> {
        // EXPOSE: the data key is taken over into its own type.
        let key = DataKey::from_slice(plaintext.expose_secret()).ok_or(IntegrityFault::Answer)?;
        Ok(HeldKey::owned(sealed, key, self.clock.now().saturating_add(self.limits.max_age)))
    }
}
