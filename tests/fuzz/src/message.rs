//! Messages: whole and in pieces, genuine, forged and cut up.

use keyhaven_shared::{
    message::{
        self, BodyDecryptor, Content, EncryptedDataKey, FrameCipher, Header, HeaderParser,
        MessageError, MessageSigner, NewMessage,
    },
    secret::MessageKey,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::genuine;

/// A header reads the same whole and in pieces.
pub fn header(data: &[u8]) {
    let whole = read_header(data, data.len());
    for size in [1, 7, 61] {
        assert_eq!(read_header(data, size), whole, "in pieces of {size}");
    }
}

/// What a reader of such pieces sees: the header and what follows it, or why there is none.
fn read_header(data: &[u8], size: usize) -> Result<Option<(String, Vec<u8>)>, MessageError> {
    let mut parser = HeaderParser::new();
    let mut at = 0;
    for piece in data.chunks(size.max(1)) {
        at += piece.len();
        if let Some((header, rest)) = parser.push(piece)? {
            let unread = data.get(at..).unwrap_or_default();
            return Ok(Some((format!("{header:?}"), [rest, unread].concat())));
        }
    }
    Ok(None)
}

/// Under the real cipher: whatever comes out is the beginning of what was written, and a message that
/// is accepted in pieces is accepted whole, and the other way round.
pub fn body(data: &[u8]) {
    let whole = message::decrypt(data, |_| Ok::<_, MessageError>(genuine::data_key()));
    if let Ok(opened) = &whole {
        assert_eq!(**opened, genuine::plaintext(opened.len()), "a forgery was accepted");
    }
    let open = |header: Header| header.dangerous_open_before_signature(&genuine::data_key());
    for size in [1, 19, data.len()] {
        let (out, end) = pushed(data, size, open);
        assert_eq!(out, genuine::plaintext(out.len()), "forged plaintext was given out");
        assert_eq!(end.err(), whole.as_ref().err().copied(), "in pieces of {size}");
    }
}

/// Under a cipher that believes everything, so that the fuzzer is not stopped by tags: the layout alone.
pub fn layout(data: &[u8]) {
    let open = |header: Header| header.open_with_cipher::<Trusting>(&genuine::data_key());
    let whole = pushed(data, data.len(), open);
    assert!(whole.0.len() <= data.len(), "more came out than went in");
    for size in [1, 13, 64] {
        assert_eq!(pushed(data, size, open), whole, "in pieces of {size}");
    }
}

/// What comes out of a message in pieces of `size`, and how it ends.
fn pushed<C: FrameCipher>(
    data: &[u8],
    size: usize,
    open: impl Fn(Header) -> Result<BodyDecryptor<C>, MessageError>,
) -> (Vec<u8>, Result<(), MessageError>) {
    let mut out = Vec::new();
    let mut parser = HeaderParser::new();
    let mut decryptor = None;
    let mut step = |piece: &[u8], out: &mut Vec<u8>| -> Result<(), MessageError> {
        if decryptor.is_none() {
            let Some((header, rest)) = parser.push(piece)? else { return Ok(()) };
            return decryptor.insert(open(header)?).push(rest, out);
        }
        decryptor
            .as_mut()
            .map_or(Ok(()), |decryptor: &mut BodyDecryptor<C>| decryptor.push(piece, out))
    };
    let pushed = data.chunks(size.max(1)).try_for_each(|piece| step(piece, &mut out));
    let end = pushed.and_then(|()| decryptor.ok_or(MessageError::Truncated)?.finish());
    (out, end)
}

/// Believes every tag.
struct Trusting;

impl FrameCipher for Trusting {
    fn new(_: &MessageKey) -> Result<Self, MessageError> {
        Ok(Self)
    }

    fn seal_in_place(
        &self,
        _: &[u8; 12],
        _: &[u8],
        _: &mut [u8],
    ) -> Result<[u8; 16], MessageError> {
        Ok([0; 16])
    }

    fn open_in_place(
        &self,
        _: &[u8; 12],
        _: &[u8],
        _: &mut [u8],
        _: &[u8; 16],
    ) -> Result<(), MessageError> {
        Ok(())
    }
}

/// The frames of two genuine messages under one data key, in an order that the input chooses, some cut:
/// only the first message's frames in their order are accepted, and only its beginning comes out.
pub fn frames(script: &[u8]) {
    let (ours, other) = (cut(0), cut(1));
    let count = ours.frames.len();
    let mut message = ours.header.clone();
    let mut in_order = true;
    for (place, step) in script.iter().enumerate() {
        let number = usize::from(step & 0x3f) % (2 * count);
        let frame = ours.frames.get(number).or_else(|| other.frames.get(number - count));
        let frame = frame.map(Vec::as_slice).unwrap_or_default();
        let kept =
            if step & 0x80 == 0 { frame } else { frame.get(..frame.len() / 2).unwrap_or_default() };
        message.extend_from_slice(kept);
        in_order &= number == place && kept.len() == frame.len();
    }
    let accepted = message::decrypt(&message, |_| Ok::<_, MessageError>(genuine::data_key()));
    assert_eq!(accepted.is_ok(), in_order && script.len() == count, "the order {script:?}");
    let (out, _) = pushed(&message, 17, |header| header.open(&genuine::data_key()));
    assert_eq!(out, genuine::plaintext(out.len()));
}

/// A message's header with its tag, and its frames.
struct Cut {
    header: Vec<u8>,
    frames: Vec<Vec<u8>>,
}

const FRAMES: usize = 5;
const FRAME_LENGTH: u32 = 8;
const FRAME: usize = FRAME_LENGTH as usize;
/// The last frame is one byte short, so that a regular frame and it differ in more than their mark.
const PLAINTEXT: usize = FRAMES * FRAME - 1;
const REGULAR_FRAME: usize = 4 + 12 + FRAME + 16;
const FINAL_FRAME: usize = 4 + 4 + 12 + 4 + (FRAME - 1) + 16;

/// The message of this number.
fn cut(number: u8) -> Cut {
    let context = genuine::context();
    let info = vec![number];
    let keys =
        [EncryptedDataKey { provider_id: "test".into(), provider_info: info, ciphertext: vec![] }];
    let new = NewMessage::new(&context, &keys).frame_length(FRAME_LENGTH);
    let mut rng = ChaCha20Rng::seed_from_u64(number.into());
    let message =
        message::encrypt(new, &genuine::data_key(), &genuine::plaintext(PLAINTEXT), &mut rng)
            .expect("all of it is legal");
    let body = (FRAMES - 1) * REGULAR_FRAME + FINAL_FRAME;
    let (header, body) = message.split_at(message.len() - body);
    let (regular, end) = body.split_at(body.len() - FINAL_FRAME);
    let frames = regular.chunks(REGULAR_FRAME).chain([end]).map(<[u8]>::to_vec).collect();
    Cut { header: header.to_vec(), frames }
}

/// What is encrypted is decrypted again: any frame length, any pieces, signed or not.
pub fn round_trip(script: &[u8]) {
    let Some((&[flags, frame, piece], plaintext)) = script.split_first_chunk::<3>() else { return };
    let frame_length =
        if flags & 1 == 0 { u32::from(frame) + 1 } else { (u32::from(frame) + 1) << 8 };
    let mut rng = genuine::rng();
    let signer = (flags & 2 != 0).then(|| MessageSigner::make(&mut rng));
    let signed = signer.as_ref().map(|signer| signer.add_to(&genuine::context()));
    let context =
        signed.unwrap_or_else(|| Ok(genuine::context())).expect("there is room for a key");
    let keys = [EncryptedDataKey {
        provider_id: String::new(),
        provider_info: vec![],
        ciphertext: vec![],
    }];
    let mut new = NewMessage::new(&context, &keys).frame_length(frame_length);
    if let Some(signer) = signer {
        new = new.signed_by(signer);
    }
    let mut message = Vec::new();
    let mut encryptor = message::Encryptor::new(new, &genuine::data_key(), &mut rng, &mut message)
        .expect("all of it is legal");
    for part in plaintext.chunks(usize::from(piece) + 1) {
        encryptor.push(part, &mut message).expect("it is short");
    }
    encryptor.finish(&mut message).expect("it is short");

    let opened = message::decrypt(&message, |header| {
        assert_eq!(header.content(), Content::Framed { frame_length });
        assert_eq!(header.context(), &context);
        Ok::<_, MessageError>(genuine::data_key())
    });
    assert_eq!(**opened.as_ref().expect("it is genuine"), *plaintext);
    let open = |header: Header| header.dangerous_open_before_signature(&genuine::data_key());
    assert_eq!(pushed(&message, usize::from(piece) + 1, open), (plaintext.to_vec(), Ok(())));
    let shorter = message.get(..message.len() - 1).unwrap_or_default();
    assert!(pushed(shorter, message.len(), open).1.is_err(), "cut by one byte, it is whole");
}
