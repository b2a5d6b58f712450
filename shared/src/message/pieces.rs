//! It does not matter in which pieces a message comes or is written: the answer, good or bad, is that
//! of the whole.

use proptest::{collection::vec, prelude::*};

use super::{
    attacks::{FRAME, SUITES, TEXT, data_key, parts, sealed, small, streamed},
    *,
};
use crate::{
    committed::tests::CountingRng,
    context::EncryptionContext,
    ids::{KeyId, Version},
};

/// Cuts bytes at these lengths, by turns; a length of 0 gives an empty piece.
fn cut<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut turns = lengths.iter().copied().chain([1]).cycle();
    while !bytes.is_empty() {
        let length = turns.next().unwrap().min(bytes.len());
        let (piece, rest) = bytes.split_at(length);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn written(suite: Suite, text: &[u8], frame: u32, lengths: &[usize]) -> Vec<u8> {
    let mut rng = CountingRng(5);
    let signer = suite.is_signed().then(|| MessageSigner::make(&mut rng));
    let plain = EncryptionContext::default();
    let context = signer.as_ref().map_or(plain.clone(), |signer| signer.add_to(&plain).unwrap());
    let keys = [EncryptedDataKey::keyhaven(KeyId::from_bytes([7; 16]), Version::FIRST, vec![1])];
    let mut new = NewMessage::new(&context, &keys).frame_length(frame);
    if let Some(signer) = signer {
        new = new.signed_by(signer);
    }
    let mut out = Vec::new();
    let mut encryptor = Encryptor::new(new, &data_key(), &mut rng, &mut out).unwrap();
    for piece in cut(text, lengths) {
        encryptor.push(piece, &mut out).unwrap();
    }
    encryptor.finish(&mut out).unwrap();
    out
}

/// What came out, and how it ended, with the pieces of the header and the body cut as given.
fn read(message: &[u8], lengths: &[usize]) -> (Vec<u8>, Result<(), MessageError>) {
    let (mut out, mut parser) = (Vec::new(), HeaderParser::new());
    let mut body: Option<BodyDecryptor> = None;
    let result = cut(message, lengths).into_iter().try_for_each(|piece| {
        if let Some(body) = &mut body {
            return body.push(piece, &mut out);
        }
        let Some((header, rest)) = parser.push(piece)? else { return Ok(()) };
        let opened = header.dangerous_open_before_signature(&data_key())?;
        body.insert(opened).push(rest, &mut out)
    });
    let finished = body.map_or(Err(MessageError::Truncated), BodyDecryptor::finish);
    (out, result.and(finished))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_bytes_written_do_not_depend_on_the_pieces(
        text in vec(any::<u8>(), 0..200),
        frame in 1_u32..50,
        lengths in vec(0_usize..60, 0..6),
        signed: bool,
    ) {
        let suite = SUITES[usize::from(signed)];
        let whole = written(suite, &text, frame, &[usize::MAX]);
        prop_assert_eq!(&written(suite, &text, frame, &lengths), &whole);
        prop_assert_eq!(read(&whole, &lengths), (text, Ok(())));
    }

    #[test]
    fn a_damaged_message_gets_the_same_answer_whatever_the_pieces(
        at: proptest::sample::Index,
        change in 1_u8..,
        kept: proptest::sample::Index,
        lengths in vec(0_usize..60, 0..6),
        signed: bool,
    ) {
        let mut message = small(SUITES[usize::from(signed)]);
        let at = at.index(message.len());
        message[at] ^= change;
        let whole = streamed(&message, message.len());
        prop_assert!(whole.1.is_err() && TEXT.starts_with(&whole.0));
        prop_assert_eq!(read(&message, &lengths), whole);
        message.truncate(kept.index(message.len()));
        let cut_off = streamed(&message, usize::MAX);
        prop_assert_eq!(read(&message, &lengths), cut_off);
    }

    #[test]
    fn sizes_follow_from_the_frames(length in 0_usize..200, frame in 1_usize..50) {
        let text = vec![7; length];
        let message = written(Suite::Committed, &text, u32::try_from(frame).unwrap(), &[]);
        let (header, frames, footer) = parts(&message);
        prop_assert_eq!(frames.len(), length / frame + 1);
        let last = 4 + 4 + 12 + 4 + length % frame + 16;
        let body = (length / frame) * (4 + 12 + frame + 16) + last;
        prop_assert_eq!((message.len(), footer.len()), (header.len() + body, 0));
    }
}

#[test]
fn the_header_is_complete_with_its_last_byte_and_not_before() {
    for suite in SUITES {
        let message = small(suite);
        let (header, ..) = parts(&message);
        for piece in 1..=header.len() {
            let (mut parser, mut seen) = (HeaderParser::new(), 0);
            for bytes in message.chunks(piece) {
                let answer = parser.push(bytes).unwrap();
                seen += bytes.len();
                assert_eq!(answer.is_some(), seen >= header.len(), "{seen} in {piece}s");
                if let Some((read, rest)) = answer {
                    assert_eq!(rest.len(), seen - header.len());
                    assert_eq!(read.raw, header[..header.len() - 16]);
                    break;
                }
            }
        }
    }
}

#[test]
fn empty_pieces_change_nothing() {
    let message = small(Suite::Committed);
    let mut parser = HeaderParser::new();
    assert!(parser.push(&[]).unwrap().is_none());
    let (header, body) = parser.push(&message).unwrap().unwrap();
    let (mut decryptor, mut out) = (header.open(&data_key()).unwrap(), Vec::new());
    decryptor.push(&[], &mut out).unwrap();
    decryptor.push(body, &mut out).unwrap();
    decryptor.push(&[], &mut out).unwrap();
    assert_eq!((out.as_slice(), decryptor.finish()), (TEXT, Ok(())));
}

#[test]
fn plaintext_is_appended_and_what_stood_there_is_left_alone() {
    let mut message = small(Suite::Committed);
    *message.last_mut().unwrap() ^= 1;
    let (header, body) = HeaderParser::new().push(&message).unwrap().unwrap();
    let (mut decryptor, mut out) = (header.open(&data_key()).unwrap(), b"before ".to_vec());
    assert_eq!(decryptor.push(body, &mut out), Err(MessageError::Refused));
    assert_eq!(out, [b"before ".as_slice(), &TEXT[..2 * FRAME as usize]].concat());
}

#[test]
fn a_text_as_long_as_its_frames_ends_with_an_empty_one() {
    for (length, frames, last) in [(0, 1, 0), (15, 1, 15), (16, 2, 0), (17, 2, 1), (32, 3, 0)] {
        let message = sealed(Suite::Committed, &[], &TEXT[..length], (FRAME, 0));
        let (_, found, _) = parts(&message);
        assert_eq!(found.len(), frames, "{length}");
        assert_eq!(found[frames - 1].len(), 24 + last + 16, "{length}");
    }
}
