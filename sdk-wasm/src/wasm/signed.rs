//! Signed messages (suite 0x0578). WebCrypto makes the key of each, signs and verifies; this module says what is
//! signed, and keeps what it decrypted until JavaScript says that the signature is good.

use keyhaven_shared::message::{HeaderParser, MessageError, signature_footer};
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

use super::{delivery::DataKeyHandle, error::Fault, frames::FrameWriter};

/// A signed message, decrypted but not verified: whoever may decrypt it may have forged it.
#[wasm_bindgen]
pub struct UnverifiedMessage {
    plaintext: Zeroizing<Vec<u8>>,
    signature: [u8; 96],
    covered: usize,
}

#[wasm_bindgen]
impl UnverifiedMessage {
    /// r ‖ s, as WebCrypto takes it: ECDSA P-384 with SHA-384.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn signature(&self) -> Vec<u8> {
        self.signature.to_vec()
    }

    /// How many of the message's first bytes it signs.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn covered(&self) -> usize {
        self.covered
    }

    /// The plaintext: only after the signature was verified under the key that the context names.
    #[must_use]
    pub fn release(mut self) -> Vec<u8> {
        core::mem::take(&mut *self.plaintext)
    }
}

#[wasm_bindgen]
impl DataKeyHandle {
    /// Begins a message whose frames WebCrypto encrypts, and which WebCrypto signs by the key that the
    /// context names: all that is written, to which [`signature_end`] is added.
    ///
    /// # Errors
    /// As [`Self::seal_frames`]; [`Fault::Message`] for a context without a signature key.
    #[wasm_bindgen(js_name = sealSignedFrames)]
    pub fn seal_signed_frames(&self) -> Result<FrameWriter, Fault> {
        self.writer(|new| new.signed_elsewhere())
    }

    /// Decrypts a whole signed message.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Fault::Message`] for a message that is not signed, too.
    #[wasm_bindgen(js_name = openSigned)]
    pub fn open_signed(&self, message: &[u8]) -> Result<UnverifiedMessage, Fault> {
        let parsed = HeaderParser::new().push(message)?;
        let (header, body) = parsed.ok_or(MessageError::Truncated)?;
        let key = self.for_decryption(header.context())?;
        let mut inner = header.dangerous_open_unverified(key)?;
        let mut plaintext = Zeroizing::new(Vec::with_capacity(body.len()));
        inner.push(body, &mut plaintext)?;
        let signature = inner.dangerous_finish()?;
        let covered = message.len().saturating_sub(signature_footer(&signature).len());
        Ok(UnverifiedMessage { plaintext, signature, covered })
    }
}

/// The end of a signed message, from WebCrypto's signature r ‖ s.
///
/// # Errors
/// [`Fault::Argument`] for another length than 96 bytes.
#[wasm_bindgen(js_name = signatureEnd)]
pub fn signature_end(signature: &[u8]) -> Result<Vec<u8>, Fault> {
    Ok(signature_footer(signature.try_into().map_err(|_| Fault::Argument)?))
}

#[cfg(test)]
mod tests {
    use keyhaven_shared::message::{EncryptedDataKey, MessageSigner, NewMessage};
    use p384::ecdsa::{
        Signature, SigningKey, VerifyingKey, signature::Signer, signature::Verifier,
    };

    use super::*;
    use crate::{
        entropy::make_rng,
        wasm::{HeaderReader, story::World},
    };

    const TEXT: &[u8] = b"signed and sealed";

    /// A world whose messages' context names this key.
    fn world(named: impl IntoIterator<Item = String>) -> World {
        let mut world = World::make();
        world.pairs.extend(named);
        world
    }

    fn named(key: &SigningKey) -> [String; 2] {
        let point = key.verifying_key().to_sec1_point(true);
        let text = <base64ct::Base64 as base64ct::Encoding>::encode_string(point.as_bytes());
        ["aws-crypto-public-key".to_owned(), text]
    }

    /// What the Rust client writes, and the key that verifies it.
    fn written_by_rust() -> (World, Vec<u8>) {
        let signer = MessageSigner::make(&mut make_rng().unwrap());
        let (name, value) = signer.context_pair();
        let world = world([name, value]);
        let handle = world.handle("encrypt");
        let context = crate::wasm::delivery::context_from(world.pairs.clone()).unwrap();
        let keys = [EncryptedDataKey::keyhaven(handle.key(), handle.version(), world.encrypted())];
        let new = NewMessage::new(&context, &keys).signed_by(signer);
        let key = handle.for_encryption(&context).unwrap();
        let message = keyhaven_shared::message::encrypt(new, key, TEXT, &mut make_rng().unwrap());
        (world, message.unwrap())
    }

    #[test]
    fn what_is_signed_here_is_told_with_its_signature() {
        let (world, message) = written_by_rust();
        let handle = world.handle("decrypt");
        let opened = handle.open_signed(&message).unwrap();
        let header = HeaderReader::new().push(&message).unwrap().unwrap();
        let point = header.context().pop().unwrap();
        let point = <base64ct::Base64 as base64ct::Encoding>::decode_vec(&point).unwrap();
        let key = VerifyingKey::from_sec1_bytes(&point).unwrap();
        let signature = Signature::from_slice(&opened.signature()).unwrap();
        assert!(key.verify(&message[..opened.covered()], &signature).is_ok());
        assert_eq!(message[opened.covered()..], signature_end(&opened.signature()).unwrap());
        assert_eq!(opened.release(), TEXT);
    }

    #[test]
    fn a_signed_message_opens_in_no_other_way() {
        let (world, message) = written_by_rust();
        let handle = world.handle("decrypt");
        let signed = Some(Fault::Message(MessageError::SignedStream));
        assert_eq!(handle.open(&message).err(), signed);
        let header = HeaderReader::new().push(&message).unwrap().unwrap();
        assert_eq!(header.open_frames(&handle).err(), signed);
        for cut in 0..message.len() {
            assert!(handle.open_signed(&message[..cut]).is_err(), "cut to {cut}");
        }
        assert!(handle.open_signed(&[message.as_slice(), &[0]].concat()).is_err());
        let plain = World::make();
        let unsigned = plain.prepared().seal(TEXT).unwrap();
        let refused = plain.handle("decrypt").open_signed(&unsigned).err();
        assert_eq!(refused, Some(Fault::Message(MessageError::Malformed)));
    }

    #[test]
    fn a_message_that_is_signed_outside_is_one_that_rust_reads() {
        let key = SigningKey::from_slice(&[7; 48]).unwrap();
        let world = world(named(&key));
        let mut writer = world.prepared().seal_signed_frames().unwrap();
        let mut message = writer.seal_last(TEXT).unwrap();
        let signature: Signature = key.sign(&message);
        message.extend(signature_end(&signature.to_bytes()).unwrap());
        // EXPOSE: the test plays the Rust client, which has the same data key.
        let bytes = world.data_key.expose_secret();
        let data_key = || keyhaven_shared::secret::DataKey::from_slice(bytes);
        let opened = keyhaven_shared::message::decrypt(&message, |_| {
            data_key().ok_or(MessageError::Refused)
        });
        assert_eq!(opened.unwrap().as_slice(), TEXT);
    }

    #[test]
    fn a_context_names_a_key_exactly_if_its_message_is_signed() {
        let mismatch = Some(Fault::Message(MessageError::SignerMismatch));
        assert_eq!(World::make().prepared().seal_signed_frames().err(), mismatch);
        let world = world(named(&SigningKey::from_slice(&[7; 48]).unwrap()));
        assert_eq!(world.prepared().seal(TEXT).err(), mismatch);
        assert_eq!(world.prepared().seal_frames(None).err(), mismatch);
        assert_eq!(signature_end(&[1; 95]).err(), Some(Fault::Argument));
    }
}
