//! What must never open: messages changed, cut, extended, re-ordered and spliced; and what must open:
//! every message, whatever its size and the pieces it comes in.

use proptest::prelude::*;

use super::*;
use crate::{
    committed::tests::CountingRng,
    context::EncryptionContext,
    ids::{KeyId, Version},
    secret::DataKey,
};

pub(super) const SUITES: [Suite; 2] = [Suite::Committed, Suite::CommittedSigned];
pub(super) const FRAME: u32 = 16;
pub(super) const TEXT: &[u8] = b"forty bytes of text, two frames and half";

pub(super) fn data_key() -> DataKey {
    DataKey::fill_with(|bytes| bytes.fill(0x42))
}

fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    EncryptionContext::from_pairs(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()))).unwrap()
}

/// A message about `pairs` in frames of `frame` bytes; `seed` decides its id and signature key.
pub(super) fn sealed(
    suite: Suite,
    pairs: &[(&str, &str)],
    text: &[u8],
    (frame, seed): (u32, u8),
) -> Vec<u8> {
    let (mut rng, mut context) = (CountingRng(seed), context(pairs));
    let keys = [EncryptedDataKey::keyhaven(KeyId::from_bytes([7; 16]), Version::FIRST, vec![1; 9])];
    let signer = suite.is_signed().then(|| MessageSigner::make(&mut rng));
    if let Some(signer) = &signer {
        context = signer.add_to(&context).unwrap();
    }
    let mut new = NewMessage::new(&context, &keys).frame_length(frame);
    if let Some(signer) = signer {
        new = new.signed_by(signer);
    }
    encrypt(new, &data_key(), text, &mut rng).unwrap()
}

pub(super) fn small(suite: Suite) -> Vec<u8> {
    sealed(suite, &[("a", "1"), ("b", "2")], TEXT, (FRAME, 0))
}

pub(super) fn opened(message: &[u8]) -> Result<Vec<u8>, MessageError> {
    decrypt(message, |_| Ok(data_key())).map(|plaintext| plaintext.to_vec())
}

/// Streams the message in pieces, and gives what came out even if it failed.
pub(super) fn streamed(message: &[u8], piece: usize) -> (Vec<u8>, Result<(), MessageError>) {
    let mut out = Vec::new();
    let mut parser = HeaderParser::new();
    let mut body: Option<BodyDecryptor> = None;
    let result = message.chunks(piece).try_for_each(|bytes| match &mut body {
        Some(body) => body.push(bytes, &mut out),
        None => parser.push(bytes)?.map_or(Ok(()), |(header, rest)| {
            let opened = body.insert(header.dangerous_open_before_signature(&data_key())?);
            opened.push(rest, &mut out)
        }),
    });
    let finished = body.map_or(Err(MessageError::Truncated), BodyDecryptor::finish);
    (out, result.and(finished))
}

/// The header with its tag, the frames, and the footer (which may be empty).
pub(super) fn parts(message: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>, Vec<u8>) {
    let (header, body) = HeaderParser::new().push(message).unwrap().unwrap();
    let Content::Framed { frame_length } = header.content() else { panic!("unframed") };
    let (mut frames, mut rest) = (Vec::new(), body);
    while !rest.starts_with(&[0xff; 4]) {
        let (frame, tail) = rest.split_at(4 + 12 + frame_length as usize + 16);
        frames.push(frame.to_vec());
        rest = tail;
    }
    let length = u32::from_be_bytes(rest[20..24].try_into().unwrap()) as usize;
    let (last, footer) = rest.split_at(24 + length + 16);
    frames.push(last.to_vec());
    (message[..message.len() - body.len()].to_vec(), frames, footer.to_vec())
}

fn joined(header: &[u8], frames: &[&Vec<u8>], footer: &[u8]) -> Vec<u8> {
    let body = frames.iter().flat_map(|frame| frame.iter().copied());
    header.iter().copied().chain(body).chain(footer.iter().copied()).collect()
}

#[test]
fn every_flipped_bit_is_refused_and_only_genuine_frames_come_out() {
    for suite in SUITES {
        let message = small(suite);
        assert_eq!(opened(&message).unwrap(), TEXT);
        for bit in 0..message.len() * 8 {
            let mut changed = message.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let (out, result) = streamed(&changed, changed.len());
            assert!(result.is_err(), "{suite:?}: bit {bit}");
            let genuine = out.len() % FRAME as usize == 0 && out.len() < TEXT.len();
            assert!(genuine && TEXT.starts_with(&out), "{suite:?}: bit {bit} let {out:?} out");
        }
    }
}

#[test]
fn every_cut_is_a_truncation() {
    for suite in SUITES {
        let message = small(suite);
        for length in 0..message.len() {
            assert_eq!(opened(&message[..length]), Err(MessageError::Truncated), "{length}");
            let (out, result) = streamed(&message[..length], 7);
            assert_eq!(result, Err(MessageError::Truncated), "{length}");
            assert!(out.len() < TEXT.len() && TEXT.starts_with(&out), "{length}");
        }
    }
}

#[test]
fn every_addition_and_a_second_message_are_refused() {
    for suite in SUITES {
        let message = small(suite);
        for extra in 1..=64 {
            for byte in [0, 0xff] {
                let longer = [message.as_slice(), &vec![byte; extra]].concat();
                assert_eq!(opened(&longer), Err(MessageError::TrailingData), "{extra}");
                assert_eq!(streamed(&longer, 1).1, Err(MessageError::TrailingData), "{extra}");
            }
        }
        let twice = [message.as_slice(), &message].concat();
        assert_eq!(opened(&twice), Err(MessageError::TrailingData));
    }
}

#[test]
fn no_other_version_or_suite_is_accepted_by_its_number() {
    for suite in SUITES {
        let message = small(suite);
        for code in [0x0014_u16, 0x0078, 0x0114, 0x0178, 0x0214, 0x0346, 0x0378] {
            let mut changed = message.clone();
            changed[1..3].copy_from_slice(&code.to_be_bytes());
            assert_eq!(opened(&changed), Err(MessageError::NotCommitting), "{code:04x}");
        }
        for other in SUITES.into_iter().filter(|other| *other != suite) {
            let mut changed = message.clone();
            changed[1..3].copy_from_slice(&other.code().to_be_bytes());
            assert!(opened(&changed).is_err(), "{suite:?} read as {other:?}");
        }
        for version in (0..=u8::MAX).filter(|version| *version != 2) {
            let mut changed = message.clone();
            changed[0] = version;
            assert!(opened(&changed).is_err(), "version {version}");
        }
    }
}

#[test]
fn a_signature_cannot_be_stripped_by_renaming_the_suite() {
    // The commitment does not depend on the suite, so this is left to the checks that do.
    let (header, frames, _) = parts(&small(Suite::CommittedSigned));
    let mut renamed = joined(&header, &frames.iter().collect::<Vec<_>>(), b"");
    renamed[1..3].copy_from_slice(&Suite::Committed.code().to_be_bytes());
    assert_eq!(opened(&renamed), Err(MessageError::Malformed));
}

#[test]
fn frames_cannot_be_moved_repeated_left_out_or_taken_from_another_message() {
    for suite in SUITES {
        let (header, frames, footer) = parts(&small(suite));
        let other = sealed(suite, &[("a", "1"), ("b", "2")], TEXT, (FRAME, 1));
        let (other_header, other_frames, other_footer) = parts(&other);
        let [one, two, last] = &frames[..] else { panic!("three frames") };
        let mut renumbered = two.clone();
        renumbered[..4].copy_from_slice(&1_u32.to_be_bytes());
        let tries: [(&str, &[&Vec<u8>]); 9] = [
            ("swapped", &[two, one, last]),
            ("left out", &[one, last]),
            ("the first left out", &[two, last]),
            ("all but the last left out", &[last]),
            ("repeated", &[one, one, two, last]),
            ("renumbered", &[&renumbered, two, last]),
            ("the last repeated", &[one, two, last, last]),
            ("the last too early", &[one, last, two]),
            ("another message's", &[one, &other_frames[1], last]),
        ];
        for (what, order) in tries {
            assert!(opened(&joined(&header, order, &footer)).is_err(), "{suite:?}: {what}");
        }
        let whole: &[&Vec<u8>] = &[one, two, last];
        assert!(opened(&joined(&other_header, whole, &footer)).is_err(), "{suite:?}: header");
        let footers = opened(&joined(&header, whole, &other_footer));
        assert_eq!(footers.is_err(), suite.is_signed(), "{suite:?}: footer");
    }
}

#[test]
fn a_message_cut_at_a_frame_border_is_truncated() {
    for suite in SUITES {
        let (header, frames, footer) = parts(&small(suite));
        for kept in 0..frames.len() {
            let cut = joined(&header, &frames[..kept].iter().collect::<Vec<_>>(), b"");
            assert_eq!(opened(&cut), Err(MessageError::Truncated), "{kept} frames");
            assert_eq!(streamed(&cut, 5).1, Err(MessageError::Truncated), "{kept} frames");
        }
        // A final frame that is empty does not stand in for the one that was cut off.
        let (_, empty, _) = parts(&sealed(suite, &[("a", "1"), ("b", "2")], b"", (FRAME, 0)));
        let ended = joined(&header, &[&frames[0], &frames[1], &empty[0]], &footer);
        assert_eq!(opened(&ended), Err(MessageError::Refused));
    }
}

#[test]
fn a_final_frame_longer_than_the_frame_length_is_refused_before_it_is_gathered() {
    let (header, frames, _) = parts(&small(Suite::Committed));
    let mut last = frames[2][..24].to_vec();
    last[20..24].copy_from_slice(&(FRAME + 1).to_be_bytes());
    let message = joined(&header, &[&frames[0], &frames[1], &last], b"");
    assert_eq!(opened(&message), Err(MessageError::Refused));
}

#[test]
fn only_the_same_context_opens() {
    let pairs: [&[(&str, &str)]; 7] = [
        &[("ab", "12")],
        &[("ab", "21")],
        &[("a", "b12")],
        &[("ab", "")],
        &[("caf\u{e9}", "")],
        &[("cafe\u{301}", "")],
        &[],
    ];
    for suite in SUITES {
        let messages = pairs.map(|pairs| parts(&sealed(suite, pairs, TEXT, (FRAME, 0))));
        for (at, (header, ..)) in messages.iter().enumerate() {
            for (other, (_, frames, footer)) in messages.iter().enumerate() {
                // The same message id, data key and text: only the header's context differs.
                let mixed = [
                    &header[..header.len() - 16],
                    &messages[other].0[messages[other].0.len() - 16..],
                ];
                let message = joined(&mixed.concat(), &frames.iter().collect::<Vec<_>>(), footer);
                assert_eq!(opened(&message).is_ok(), at == other, "{suite:?}: {at} {other}");
            }
        }
    }
}

#[test]
fn pairs_in_another_order_or_twice_do_not_open() {
    let message = small(Suite::Committed);
    let at = message.windows(14).position(|w| w == b"\0\x02\0\x01a\0\x011\0\x01b\0\x012").unwrap();
    for section in [b"\0\x02\0\x01b\0\x012\0\x01a\0\x011", b"\0\x02\0\x01a\0\x011\0\x01a\0\x012"] {
        let mut changed = message.clone();
        changed[at..at + 14].copy_from_slice(section);
        assert!(opened(&changed).is_err());
    }
}

#[test]
fn another_data_key_is_refused_by_the_commitment() {
    for suite in SUITES {
        let (header, _) = HeaderParser::new().push(&small(suite)).map(Option::unwrap).unwrap();
        let other = DataKey::fill_with(|bytes| bytes.fill(0x43));
        let error = header.dangerous_open_before_signature(&other).err();
        assert_eq!(error, Some(MessageError::Refused));
    }
}

#[test]
fn a_signed_message_streams_only_on_request_and_its_end_waits_for_the_signature() {
    let message = small(Suite::CommittedSigned);
    let (header, body) = HeaderParser::new().push(&message).unwrap().unwrap();
    assert_eq!(header.open(&data_key()).err(), Some(MessageError::SignedStream));
    let (header, _) = HeaderParser::new().push(&message).unwrap().unwrap();
    let mut decryptor = header.dangerous_open_before_signature(&data_key()).unwrap();
    let mut out = Vec::new();
    let (before, last) = body.split_at(body.len() - 1);
    decryptor.push(before, &mut out).unwrap();
    assert_eq!(out, TEXT[..32]);
    decryptor.push(last, &mut out).unwrap();
    assert_eq!((out.as_slice(), decryptor.finish()), (TEXT, Ok(())));
}

#[test]
fn after_an_error_nothing_more_comes_out() {
    let (header, frames, _) = parts(&small(Suite::Committed));
    let (header, _) = HeaderParser::new().push(&header).unwrap().unwrap();
    let mut decryptor = header.open(&data_key()).unwrap();
    let mut out = Vec::new();
    assert_eq!(decryptor.push(&frames[1], &mut out), Err(MessageError::Refused));
    assert_eq!(decryptor.push(&frames[0], &mut out), Err(MessageError::Refused));
    assert_eq!((out.len(), decryptor.finish()), (0, Err(MessageError::Refused)));
}

#[test]
fn a_full_final_frame_as_others_write_it_is_read() {
    // We end with an empty final frame when the text fills its frames; the other way is legal, too.
    let (header, ..) = parts(&sealed(Suite::Committed, &[], &TEXT[..16], (FRAME, 0)));
    let (header_read, _) = HeaderParser::new().push(&header).unwrap().unwrap();
    let keys = Suite::Committed.derive(&data_key(), header_read.message_id()).unwrap();
    let cipher = RustCipher::new(&keys.message_key).unwrap();
    let kind = frame::FrameKind::Final;
    let place = Frame::written(*header_read.message_id(), kind, 1, 16);
    let mut content = TEXT[..16].to_vec();
    // The IV need not be the sequence number either.
    let iv = [0xee; 12];
    let tag = cipher.seal_in_place(&iv, &place.aad(), &mut content).unwrap();
    let mut head = place.head();
    head[8..20].copy_from_slice(&iv);
    let message = [header.as_slice(), &head, &content, &tag].concat();
    assert_eq!(opened(&message).unwrap(), &TEXT[..16]);
}

#[test]
fn unframed_content_is_read_within_its_bound() {
    let keys = [EncryptedDataKey::keyhaven(KeyId::from_bytes([7; 16]), Version::FIRST, vec![])];
    let derived = Suite::Committed.derive(&data_key(), &[5; 32]).unwrap();
    let header = header::Fields {
        suite: Suite::Committed,
        message_id: [5; 32],
        context: EncryptionContext::default(),
        encrypted_data_keys: keys.to_vec(),
        content: Content::Unframed,
        commitment: derived.commitment,
    }
    .encode()
    .unwrap();
    let cipher = RustCipher::new(&derived.message_key).unwrap();
    let header_tag = cipher.seal_in_place(&[0; 12], &header, &mut []).unwrap();
    let (kind, length) = (frame::FrameKind::SingleBlock, u32::try_from(TEXT.len()).unwrap());
    let place = Frame::written([5; 32], kind, 1, length);
    let mut content = TEXT.to_vec();
    let tag = cipher.seal_in_place(place.iv(), &place.aad(), &mut content).unwrap();
    let message = [header.as_slice(), &header_tag, &place.head(), &content, &tag].concat();
    for piece in 1..=message.len() {
        assert_eq!(streamed(&message, piece), (TEXT.to_vec(), Ok(())), "{piece}");
    }
    for length in 0..message.len() {
        assert_eq!(opened(&message[..length]), Err(MessageError::Truncated), "{length}");
    }
    let mut hostile = [header.as_slice(), &header_tag, &place.head()].concat();
    let at = hostile.len() - 8;
    hostile[at..].copy_from_slice(&(u64::from(MAX_FRAME_LENGTH) + 1).to_be_bytes());
    assert_eq!(opened(&hostile), Err(MessageError::OverLimit));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_text_comes_back_whatever_the_frames_and_pieces(
        text in proptest::collection::vec(any::<u8>(), 0..300),
        frame in 1_u32..80,
        pieces in (1_usize..200, 1_usize..200),
        signed: bool,
    ) {
        let suite = if signed { Suite::CommittedSigned } else { Suite::Committed };
        let whole = sealed(suite, &[("k", "v")], &text, (frame, 3));
        prop_assert_eq!(&opened(&whole).unwrap(), &text);
        let (out, result) = streamed(&whole, pieces.0);
        prop_assert_eq!((out, result), (text.clone(), Ok(())));

        let keys = [EncryptedDataKey::keyhaven(KeyId::from_bytes([7; 16]), Version::FIRST, vec![])];
        let (context, mut piecewise) = (EncryptionContext::default(), Vec::new());
        let new = NewMessage::new(&context, &keys).frame_length(frame);
        let mut encryptor =
            Encryptor::new(new, &data_key(), &mut CountingRng(0), &mut piecewise).unwrap();
        for piece in text.chunks(pieces.1) {
            encryptor.push(piece, &mut piecewise).unwrap();
        }
        encryptor.finish(&mut piecewise).unwrap();
        prop_assert_eq!(opened(&piecewise).unwrap(), text);
    }
}
