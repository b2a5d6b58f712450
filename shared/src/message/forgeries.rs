//! Signed messages against those who may decrypt them: they know the data key, and so can write any
//! frame; what they cannot do is sign it, or have the data key opened under another context.

use super::{
    attacks::{FRAME, TEXT, data_key, opened, parts, sealed, small},
    frame::FrameKind,
    *,
};
use crate::{
    ciphertext::{self, Ciphertext},
    committed::tests::CountingRng,
    context::EncryptionContext,
    ids::{KeyId, Version},
    secret::{DataKey, KeyMaterial},
};

const KEY: KeyId = KeyId::from_bytes([7; 16]);

/// The key server's side: data keys are opened only under the context that they were made for.
fn material() -> KeyMaterial {
    KeyMaterial::fill_with(|bytes| bytes.fill(9))
}

fn wrapped(context: &EncryptionContext) -> Vec<EncryptedDataKey> {
    let (data_key, material, rng) = (data_key(), material(), &mut CountingRng(0));
    let place = (KEY, Version::FIRST, &material);
    // EXPOSE: the test plays the server that encrypts the data key.
    let bytes = ciphertext::encrypt(place, context, data_key.expose_secret(), rng).unwrap();
    vec![EncryptedDataKey::keyhaven(KEY, Version::FIRST, bytes)]
}

fn unwrapped(header: &Header) -> Result<DataKey, MessageError> {
    let [key] = header.encrypted_data_keys() else { return Err(MessageError::Malformed) };
    let parsed = Ciphertext::parse(&key.ciphertext).map_err(|_| MessageError::Malformed)?;
    let opened =
        parsed.decrypt(&material(), header.context()).map_err(|_| MessageError::Refused)?;
    DataKey::from_slice(&opened).ok_or(MessageError::Malformed)
}

fn signed(
    seed: u8,
    text: &[u8],
    keys: Option<&[EncryptedDataKey]>,
) -> (Vec<u8>, EncryptionContext) {
    let mut rng = CountingRng(seed);
    let signer = MessageSigner::make(&mut rng);
    let context = signer.add_to(&EncryptionContext::default()).unwrap();
    let own = wrapped(&context);
    let new = NewMessage::new(&context, keys.unwrap_or(&own)).frame_length(FRAME);
    let message = encrypt(new.signed_by(signer), &data_key(), text, &mut rng).unwrap();
    (message, context)
}

fn received(message: &[u8]) -> Result<Vec<u8>, MessageError> {
    decrypt(message, unwrapped).map(|plaintext| plaintext.to_vec())
}

#[test]
fn a_message_under_the_forger_s_own_signature_key_finds_no_data_key() {
    let (genuine, context) = signed(1, TEXT, None);
    assert_eq!(received(&genuine).unwrap(), TEXT);
    // The forger knows the data key, signs with a key of their own, and reuses the encrypted data key.
    let (forged, other) = signed(77, b"forged", Some(&wrapped(&context)));
    assert_ne!(context, other);
    assert_eq!(received(&forged), Err(MessageError::Refused));
    // Only the context stops them: with the data key in hand, the forged message itself is whole.
    assert_eq!(opened(&forged).unwrap(), b"forged");
}

#[test]
fn an_unsigned_message_in_place_of_a_signed_one_finds_no_data_key() {
    let (_, context) = signed(1, TEXT, None);
    let keys = wrapped(&context);
    let plain = EncryptionContext::default();
    let new = NewMessage::new(&plain, &keys);
    let forged = encrypt(new, &data_key(), b"forged", &mut CountingRng(3)).unwrap();
    assert_eq!(received(&forged), Err(MessageError::Refused));
}

#[test]
fn a_frame_that_a_reader_wrote_anew_breaks_the_signature() {
    let (genuine, _) = signed(1, TEXT, None);
    let (header, mut frames, footer) = parts(&genuine);
    let (read, _) = HeaderParser::new().push(&genuine).unwrap().unwrap();
    let keys = Suite::CommittedSigned.derive(&data_key(), read.message_id()).unwrap();
    let cipher = RustCipher::new(&keys.message_key).unwrap();
    let kind = FrameKind::Regular;
    let place = Frame::written(*read.message_id(), kind, 1, FRAME);
    let mut content = *b"sixteen others!!";
    let tag = cipher.seal_in_place(place.iv(), &place.aad(), &mut content).unwrap();
    frames[0] = [place.head().as_slice(), &content, &tag].concat();
    let forged = [header, frames.concat(), footer].concat();
    assert_eq!(received(&forged), Err(MessageError::Refused));

    // As a stream the forged frame does come out, as its name warns, but the end is refused.
    let (read, body) = HeaderParser::new().push(&forged).unwrap().unwrap();
    let mut stream = read.dangerous_open_before_signature(&data_key()).unwrap();
    let mut out = Vec::new();
    assert_eq!(stream.push(body, &mut out), Err(MessageError::Refused));
    assert_eq!(out, [b"sixteen others!!".as_slice(), &TEXT[16..32]].concat());
    assert_eq!(stream.finish(), Err(MessageError::Refused));
}

#[test]
fn footers_of_every_wrong_form_are_refused() {
    let message = small(Suite::CommittedSigned);
    let (header, frames, footer) = parts(&message);
    let body = [header, frames.concat()].concat();
    let length = footer.len() - 2;
    let with = |footer: &[u8]| opened(&[body.as_slice(), footer].concat());
    assert_eq!(with(&footer).unwrap(), TEXT);

    let prefixed = |der: &[u8]| [&u16::try_from(der.len()).unwrap().to_be_bytes(), der].concat();
    let der = &footer[2..];
    assert_eq!(with(&[]), Err(MessageError::Truncated), "none");
    assert_eq!(with(&footer[..1]), Err(MessageError::Truncated), "half a length");
    assert_eq!(with(&footer[..length]), Err(MessageError::Truncated), "cut");
    assert_eq!(with(&[0, 0]), Err(MessageError::Refused), "empty");
    assert_eq!(with(&[0, 105]), Err(MessageError::Refused), "longer than any signature");
    assert_eq!(with(&[0xff, 0xff]), Err(MessageError::Refused), "as long as can be");
    assert_eq!(with(&prefixed(&der[..length - 1])), Err(MessageError::Refused), "shortened");
    assert_eq!(with(&prefixed(&[der, &[0]].concat())), Err(MessageError::Refused), "padded");
    // DER of the integers 0 and 0, and of 1 and 1.
    for value in [0, 1] {
        let small = [0x30, 6, 2, 1, value, 2, 1, value];
        assert_eq!(with(&prefixed(&small)), Err(MessageError::Refused), "r = s = {value}");
    }
}

#[test]
fn the_signature_of_another_message_by_the_same_key_does_not_serve() {
    // The same seed makes the same signature key and message id: only the text differs.
    let pairs: &[(&str, &str)] = &[("a", "1")];
    let one = sealed(Suite::CommittedSigned, pairs, TEXT, (FRAME, 0));
    let other = sealed(Suite::CommittedSigned, pairs, &TEXT[..39], (FRAME, 0));
    let ((header, frames, footer), (same, _, foreign)) = (parts(&one), parts(&other));
    assert_eq!(header, same);
    assert_ne!(footer, foreign);
    let swapped = [header, frames.concat(), foreign].concat();
    assert_eq!(opened(&swapped), Err(MessageError::Refused));
}

#[test]
fn two_messages_never_share_a_signature_key_or_an_id() {
    let mut rng = CountingRng(0);
    let pairs = [MessageSigner::make(&mut rng), MessageSigner::make(&mut rng)]
        .map(|signer| signer.context_pair());
    assert_eq!(pairs[0].0, pairs[1].0);
    assert_ne!(pairs[0].1, pairs[1].1);
    let ids = [0, 1].map(|seed| {
        let message = sealed(Suite::Committed, &[], TEXT, (FRAME, seed));
        let (header, _) = HeaderParser::new().push(&message).unwrap().unwrap();
        *header.message_id()
    });
    assert_ne!(ids[0], ids[1]);
}
