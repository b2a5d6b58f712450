//! How much a message may make its reader hold, what a header may say, and how each field of it is
//! refused when it was changed.

use proptest::{collection::vec, prelude::*};

use super::{
    attacks::{TEXT, data_key, opened, parts, small},
    header::Fields,
    *,
};
use crate::{
    context::EncryptionContext,
    ids::{KeyId, Version},
};

fn fields(keys: Vec<EncryptedDataKey>) -> Fields {
    Fields {
        suite: Suite::Committed,
        message_id: [5; 32],
        context: EncryptionContext::default(),
        encrypted_data_keys: keys,
        content: Content::Framed { frame_length: 16 },
        commitment: Suite::Committed.derive(&data_key(), &[5; 32]).unwrap().commitment,
    }
}

fn key_of(length: usize) -> EncryptedDataKey {
    EncryptedDataKey::keyhaven(KeyId::from_bytes([7; 16]), Version::FIRST, vec![3; length])
}

/// Two data keys that make the encoded header so long.
fn header_of(length: usize) -> Result<Vec<u8>, MessageError> {
    let rest = length - fields(vec![key_of(0), key_of(0)]).encode()?.len();
    fields(vec![key_of(40_000), key_of(rest - 40_000)]).encode()
}

fn parse(bytes: &[u8]) -> Result<Option<Header>, MessageError> {
    Ok(HeaderParser::new().push(bytes)?.map(|(header, _)| header))
}

#[test]
fn the_longest_header_that_is_written_is_read() {
    let longest = header_of(MAX_HEADER_BYTES - 16).unwrap();
    let whole = [longest.as_slice(), &[0; 16]].concat();
    assert_eq!(whole.len(), MAX_HEADER_BYTES);
    assert_eq!(parse(&whole).unwrap().unwrap().raw, longest);
    for longer in [MAX_HEADER_BYTES - 15, MAX_HEADER_BYTES, MAX_HEADER_BYTES + 1] {
        assert_eq!(header_of(longer), Err(MessageError::OverLimit), "{longer}");
    }
}

#[test]
fn a_reader_holds_no_more_than_the_limit_of_a_header() {
    // Two data keys of half the limit each: the second does not fit any more.
    let mut hostile = fields(vec![key_of(0), key_of(0)]).encode().unwrap();
    hostile.truncate(39);
    for _ in 0..2 {
        hostile.extend([0, 0, 0, 0, 0x7f, 0xff]);
        hostile.resize(hostile.len() + 0x7fff, 0);
    }
    let mut parser = HeaderParser::new();
    let answers: Vec<_> = hostile.chunks(1000).map(|piece| parser.push(piece).err()).collect();
    assert!(answers.contains(&Some(MessageError::OverLimit)));
    assert_eq!(parse(&hostile).unwrap_err(), MessageError::OverLimit);
}

#[test]
fn changed_fields_of_a_header_are_refused_each_in_its_own_way() {
    use MessageError::{Malformed, NotCommitting, OverLimit, Refused, Truncated, UnsupportedSuite};
    // Offsets in a header about {"a": "1", "b": "2"} with one data key of ours.
    let tries: [(&str, usize, &[u8], MessageError); 24] = [
        ("version 1", 0, &[1], NotCommitting),
        ("version 3", 0, &[3], UnsupportedSuite),
        ("suite without commitment", 1, &[0x03, 0x78], NotCommitting),
        ("suite unknown", 1, &[0x04, 0x79], UnsupportedSuite),
        ("suite signed", 1, &[0x05, 0x78], Refused),
        ("message id", 3, &[0xee], Refused),
        ("context length beyond", 35, &[0xff, 0xff], OverLimit),
        ("context length short", 35, &[0, 13], Malformed),
        ("context length none", 35, &[0, 0], Truncated),
        ("pairs none", 37, &[0, 0], Malformed),
        ("pairs fewer", 37, &[0, 1], Malformed),
        ("pairs more", 37, &[0, 3], Malformed),
        ("context key", 41, b"c", Refused),
        ("context value", 44, b"9", Refused),
        ("context key doubled", 47, b"a", Malformed),
        ("context not UTF-8", 41, &[0xff], Malformed),
        ("data keys none", 51, &[0, 0], Malformed),
        ("data keys more", 51, &[0, 2], Truncated),
        ("data keys many", 51, &[0, 33], OverLimit),
        ("provider", 55, b"K", Refused),
        ("provider not UTF-8", 55, &[0xff], Malformed),
        ("provider info", 65, &[0xee], Refused),
        ("provider info beyond", 63, &[0xff, 0xff], OverLimit),
        ("data key", 87, &[0xee], Refused),
    ];
    let message = small(Suite::Committed);
    assert_eq!(opened(&message).unwrap(), TEXT);
    assert_eq!(&message[55..63], b"keyhaven");
    for (what, at, bytes, error) in tries {
        let mut changed = message.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        assert_ne!(changed, message, "{what}");
        assert_eq!(opened(&changed), Err(error), "{what}");
    }
    let (header, ..) = parts(&message);
    let layout = header.len() - 16 - 32 - 5;
    for (what, at, byte, error) in [
        ("content type", layout, 3, Malformed),
        ("content type unframed", layout, 1, Malformed),
        ("frame length none", layout + 4, 0, Malformed),
        ("frame length beyond", layout + 1, 2, OverLimit),
        ("frame length other", layout + 4, 17, Refused),
        ("commitment", layout + 5, message[layout + 5] ^ 1, Refused),
        ("tag", header.len() - 1, message[header.len() - 1] ^ 1, Refused),
    ] {
        let mut changed = message.clone();
        changed[at] = byte;
        assert_eq!(opened(&changed), Err(error), "{what}");
    }
}

#[test]
fn as_many_data_keys_as_allowed_are_read_in_their_order() {
    let keys: Vec<_> = (0..usize::from(MAX_ENCRYPTED_DATA_KEYS)).map(key_of).collect();
    let bytes = [fields(keys.clone()).encode().unwrap(), vec![0; 16]].concat();
    assert_eq!(parse(&bytes).unwrap().unwrap().encrypted_data_keys(), keys);
    let more = [keys, vec![key_of(0)]].concat();
    assert_eq!(fields(more).encode(), Err(MessageError::OverLimit));
}

#[test]
fn an_empty_context_has_no_bytes_at_all_and_is_read_as_empty() {
    let bytes = [fields(vec![key_of(1)]).encode().unwrap(), vec![0; 16]].concat();
    assert_eq!(&bytes[35..39], &[0, 0, 0, 1]);
    assert!(parse(&bytes).unwrap().unwrap().context().is_empty());
    // A section that says "no pairs" would be a second spelling of the same.
    let mut other = bytes;
    other.splice(35..37, [0, 2, 0, 0]);
    assert_eq!(parse(&other).unwrap_err(), MessageError::Malformed);
}

#[test]
fn pairs_in_any_order_open_when_the_writer_authenticated_that_order() {
    let pairs = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let context = EncryptionContext::from_pairs(pairs).unwrap();
    let sorted = Fields { context: context.clone(), ..fields(vec![key_of(1)]) }.encode().unwrap();
    let mut swapped = sorted.clone();
    swapped[39..51].copy_from_slice(b"\0\x01b\0\x012\0\x01a\0\x011");
    let keys = Suite::Committed.derive(&data_key(), &[5; 32]).unwrap();
    let cipher = RustCipher::new(&keys.message_key).unwrap();
    for (header, authenticated, opens) in
        [(&sorted, &sorted, true), (&swapped, &swapped, true), (&swapped, &sorted, false)]
    {
        let tag = cipher.seal_in_place(&[0; 12], authenticated, &mut []).unwrap();
        let header = parse(&[header.as_slice(), &tag].concat()).unwrap().unwrap();
        assert_eq!(header.context(), &context);
        assert_eq!(header.open(&data_key()).is_ok(), opens);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn headers_round_trip(
        message_id: [u8; 32],
        commitment: [u8; 32],
        pairs in proptest::collection::btree_map("[a-z\u{e9}]{1,8}", "[ -~]{0,8}", 0..5),
        keys in vec(("[a-z/:]{0,12}", vec(any::<u8>(), 0..30), vec(any::<u8>(), 0..60)), 1..5),
        frame_length in 1..=MAX_FRAME_LENGTH,
        tag: [u8; 16],
    ) {
        let keys = keys.into_iter().map(|(provider_id, provider_info, ciphertext)| {
            EncryptedDataKey { provider_id, provider_info, ciphertext }
        });
        let fields = Fields {
            message_id,
            commitment,
            context: EncryptionContext::from_pairs(pairs).unwrap(),
            content: Content::Framed { frame_length },
            ..fields(keys.collect())
        };
        let raw = fields.encode().unwrap();
        let header = parse(&[raw.as_slice(), &tag].concat()).unwrap().unwrap();
        prop_assert_eq!(header.fields.encode().unwrap(), raw.as_slice());
        prop_assert_eq!(header.message_id(), &message_id);
        prop_assert_eq!(header.context(), &fields.context);
        prop_assert_eq!(header.encrypted_data_keys(), &fields.encrypted_data_keys);
        prop_assert_eq!(header.content(), Content::Framed { frame_length });
        prop_assert_eq!((header.suite(), header.tag), (Suite::Committed, tag));
    }
}
