//! Signing and verifying a message here, with the crate `p384`.

use base64ct::{Base64, Encoding};
use p384::{
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::hazmat::{PrehashSigner, PrehashVerifier},
    },
    elliptic_curve::Generate,
};
use rand_core::CryptoRng;
use sha2::{Digest, Sha384};

use super::{
    error::MessageError,
    signature::{CONTEXT_KEY, raw_signature, signature_footer},
};
use crate::context::EncryptionContext;

/// Signs one message, then is gone.
///
/// Made before the data key is asked for, because its public key is part of the context that the data
/// key is bound to.
pub struct MessageSigner {
    /// Zeroizes itself when it is dropped.
    key: SigningKey,
    /// Of all that was written so far: the message itself need not be kept.
    hash: Sha384,
}

impl MessageSigner {
    /// Makes the signing key of one message.
    #[must_use]
    pub fn make(rng: &mut impl CryptoRng) -> Self {
        Self { key: SigningKey::generate_from_rng(rng), hash: Sha384::new() }
    }

    /// The pair that a signed message's context holds.
    #[must_use]
    pub fn context_pair(&self) -> (String, String) {
        let point = self.key.verifying_key().to_sec1_point(true);
        (CONTEXT_KEY.to_owned(), Base64::encode_string(point.as_bytes()))
    }

    /// The application's context with [`Self::context_pair`] added: ask for the data key under this.
    ///
    /// # Errors
    /// [`MessageError::SignerMismatch`] when it already holds a signature key, and
    /// [`MessageError::OverLimit`] when it gets too large.
    pub fn add_to(&self, context: &EncryptionContext) -> Result<EncryptionContext, MessageError> {
        // Two signers would mean that one of them speaks for the other.
        if context.value(CONTEXT_KEY).is_some() {
            return Err(MessageError::SignerMismatch);
        }
        let pairs = context.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        EncryptionContext::from_pairs(pairs.chain([self.context_pair()]))
            .map_err(|_| MessageError::OverLimit)
    }

    /// Takes the bytes that were written, in order.
    pub(crate) fn update(&mut self, written: &[u8]) {
        self.hash.update(written);
    }

    /// The footer.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<(), MessageError> {
        let signature: Signature =
            self.key.sign_prehash(&self.hash.finalize()).map_err(|_| MessageError::Refused)?;
        out.extend_from_slice(&signature_footer(&signature.to_bytes().into()));
        Ok(())
    }
}

/// Verifies the signature of one message.
pub(crate) struct Verifier {
    key: VerifyingKey,
    hash: Sha384,
}

impl Verifier {
    /// Takes the public key out of a header's context.
    pub(crate) fn new(context: &EncryptionContext) -> Result<Self, MessageError> {
        let text = context.value(CONTEXT_KEY).ok_or(MessageError::Malformed)?;
        let point = Base64::decode_vec(text).map_err(|_| MessageError::Malformed)?;
        let key = VerifyingKey::from_sec1_bytes(&point).map_err(|_| MessageError::Malformed)?;
        Ok(Self { key, hash: Sha384::new() })
    }

    /// Takes the bytes that were read, in order.
    pub(crate) fn update(&mut self, read: &[u8]) {
        self.hash.update(read);
    }

    /// Whether this signs all that was read.
    ///
    /// # Errors
    /// [`MessageError::Refused`] for any other signature, or another encoding of this one.
    pub(crate) fn verify(self, der: &[u8]) -> Result<(), MessageError> {
        let raw = raw_signature(der).ok_or(MessageError::Refused)?;
        let signature = Signature::from_slice(&raw).map_err(|_| MessageError::Refused)?;
        self.key
            .verify_prehash(&self.hash.finalize(), &signature)
            .map_err(|_| MessageError::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committed::tests::CountingRng;

    #[test]
    fn the_public_key_joins_the_context_once() {
        let signer = MessageSigner::make(&mut CountingRng(0));
        let context = signer.add_to(&EncryptionContext::default()).unwrap();
        assert_eq!(context.value(CONTEXT_KEY).unwrap().len(), 68);
        assert_eq!(signer.add_to(&context), Err(MessageError::SignerMismatch));
    }

    #[test]
    fn a_signature_verifies_what_was_hashed_and_nothing_else() {
        let mut signer = MessageSigner::make(&mut CountingRng(0));
        let context = signer.add_to(&EncryptionContext::default()).unwrap();
        signer.update(b"message");
        let mut footer = Vec::new();
        signer.finish(&mut footer).unwrap();
        let verify = |bytes: &[u8], der: &[u8]| {
            let mut verifier = Verifier::new(&context)?;
            verifier.update(bytes);
            verifier.verify(der)
        };
        assert_eq!(verify(b"message", &footer[2..]), Ok(()));
        assert_eq!(verify(b"massage", &footer[2..]), Err(MessageError::Refused));
        assert_eq!(verify(b"message", &footer[3..]), Err(MessageError::Refused));
    }

    #[test]
    fn a_context_without_a_point_on_the_curve_is_malformed() {
        for value in ["", "AAAA", "not base64", &Base64::encode_string(&[2; 49])] {
            let pair = (CONTEXT_KEY.to_owned(), value.to_owned());
            let context = EncryptionContext::from_pairs([pair]).unwrap();
            let got = Verifier::new(&context).err();
            // [2; 49] may or may not be on the curve; the others are no points at all.
            assert!(got == Some(MessageError::Malformed) || value.len() == 68, "{value}");
        }
        assert!(Verifier::new(&EncryptionContext::default()).is_err());
    }
}
