//! Reading a header from bytes that come in pieces.
//!
//! All of it is read from bytes that nobody has authenticated, by code that faces whoever can send
//! a message. So every count and length is bounded before memory is set aside for it, and what does
//! not fit is refused and not put right.

use super::{
    edk::EncryptedDataKey,
    error::MessageError,
    header::{
        Content, FRAMED, Fields, Header, MAX_ENCRYPTED_DATA_KEYS, MAX_HEADER_BYTES, UNFRAMED,
        VERSION,
    },
    signature::CONTEXT_KEY,
    suite::Suite,
};
use crate::context::{ContextError, EncryptionContext};

/// Gathers a message's first bytes until its header is complete.
#[derive(Debug, Default)]
pub struct HeaderParser {
    /// At most [`MAX_HEADER_BYTES`].
    seen: Vec<u8>,
    /// As long as fewer bytes were seen, parsing cannot get further than it did.
    needed: usize,
}

impl HeaderParser {
    /// Waits for the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. When the header is complete, gives it and the rest of `bytes`, with which
    /// the body begins; `None` asks for more. An input that ends while this asks for more is
    /// [`MessageError::Truncated`].
    ///
    /// # Errors
    /// [`MessageError`] when the bytes cannot become a header that this build reads.
    pub fn push<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<Option<(Header, &'a [u8])>, MessageError> {
        let before = self.seen.len();
        let room = MAX_HEADER_BYTES.saturating_sub(before);
        // No further than a header may reach, however large the piece: the rest of it is the
        // body's.
        self.seen.extend(bytes.iter().take(room));
        // Else a header that comes a byte at a time would be parsed anew for each of them.
        if self.seen.len() < self.needed {
            return Ok(None);
        }
        match parse(&self.seen) {
            Ok((fields, length, tag)) => {
                self.needed = 0;
                let mut raw = core::mem::take(&mut self.seen);
                // The tag covers these bytes as they came. Written anew they might differ, for
                // pairs may come in any order.
                raw.truncate(length);
                raw.shrink_to_fit();
                let used = (length + tag.len()).saturating_sub(before);
                let rest = bytes.get(used..).unwrap_or_default();
                Ok(Some((Header { fields, raw, tag }, rest)))
            }
            // As soon as the bytes ask for it, and not when they have come.
            Err(Stop::Need(needed)) if needed > MAX_HEADER_BYTES => Err(MessageError::OverLimit),
            Err(Stop::Need(needed)) => {
                self.needed = needed;
                Ok(None)
            }
            Err(Stop::Bad(error)) => Err(error),
        }
    }
}

/// Why parsing stopped.
enum Stop {
    /// The header has at least so many bytes.
    Need(usize),
    /// It can be none, whatever follows.
    Bad(MessageError),
}

impl From<MessageError> for Stop {
    fn from(error: MessageError) -> Self {
        Self::Bad(error)
    }
}

/// The header's fields, its length without the tag, and the tag.
fn parse(bytes: &[u8]) -> Result<(Fields, usize, [u8; 16]), Stop> {
    let mut reader = Reader { bytes, at: 0 };
    match reader.array()? {
        [VERSION] => {}
        // Told apart from other versions: its messages were good ones, and can be made anew by who
        // reads them.
        [1] => return Err(MessageError::NotCommitting.into()),
        [_] => return Err(MessageError::UnsupportedSuite.into()),
    }
    let suite = Suite::from_code(reader.u16()?)?;
    let message_id = reader.array()?;
    let context = parse_context(reader.prefixed()?)?;
    if !suite.is_signed() && context.value(CONTEXT_KEY).is_some() {
        // The mark of a signed message whose signature somebody wants to be overlooked.
        return Err(MessageError::Malformed.into());
    }
    let encrypted_data_keys = parse_keys(&mut reader)?;
    let content_type = reader.array()?;
    let frame_length = u32::from_be_bytes(reader.array()?);
    let content = match (content_type, frame_length) {
        ([FRAMED], length) => Content::framed(length)?,
        ([UNFRAMED], 0) => Content::Unframed,
        _ => return Err(MessageError::Malformed.into()),
    };
    let commitment = reader.array()?;
    let length = reader.at;
    let tag = reader.array()?;
    let fields = Fields { suite, message_id, context, encrypted_data_keys, content, commitment };
    Ok((fields, length, tag))
}

/// The encrypted data keys, in order.
fn parse_keys(reader: &mut Reader<'_>) -> Result<Vec<EncryptedDataKey>, Stop> {
    let count = reader.u16()?;
    if count == 0 {
        return Err(MessageError::Malformed.into());
    }
    if count > MAX_ENCRYPTED_DATA_KEYS {
        return Err(MessageError::OverLimit.into());
    }
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(EncryptedDataKey {
            provider_id: text(reader.prefixed()?)?,
            provider_info: reader.prefixed()?.to_vec(),
            ciphertext: reader.prefixed()?.to_vec(),
        });
    }
    Ok(keys)
}

/// The pairs in any order (not all writers sort them), each key once.
fn parse_context(bytes: &[u8]) -> Result<EncryptionContext, MessageError> {
    if bytes.is_empty() {
        return Ok(EncryptionContext::default());
    }
    let mut reader = Reader { bytes, at: 0 };
    // All bytes are here, so to need more is to contradict the length that stood before them.
    let mut pairs = || -> Result<Vec<(String, String)>, Stop> {
        let count = reader.u16()?;
        if count == 0 {
            return Err(MessageError::Malformed.into());
        }
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push((text(reader.prefixed()?)?, text(reader.prefixed()?)?));
        }
        Ok(pairs)
    };
    let pairs = pairs().map_err(|_| MessageError::Malformed)?;
    if reader.at != bytes.len() {
        return Err(MessageError::Malformed);
    }
    EncryptionContext::from_pairs(pairs).map_err(|error| match error {
        ContextError::TooLarge => MessageError::OverLimit,
        ContextError::DuplicateKey | ContextError::EmptyKey | ContextError::ReservedKey => {
            MessageError::Malformed
        }
    })
}

/// UTF-8, strictly: a reader that put in a replacement would see another context than was
/// authenticated.
fn text(bytes: &[u8]) -> Result<String, MessageError> {
    core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| MessageError::Malformed)
}

/// The bytes there are, and how many of them were read. Going beyond them says how many it takes,
/// and is no fault.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next `length` bytes.
    fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        // INVARIANT: no overflow: `at` is within the bytes, and a length has at most 16 bits.
        let end = self.at + length;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Need(end))?;
        self.at = end;
        Ok(taken)
    }

    /// The next `N` bytes.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let end = self.at + N;
        self.take(N)?.try_into().map_err(|_| Stop::Need(end))
    }

    /// The next 2 bytes, big-endian.
    fn u16(&mut self) -> Result<u16, Stop> {
        self.array().map(u16::from_be_bytes)
    }

    /// Bytes after their length (2 bytes).
    fn prefixed(&mut self) -> Result<&'a [u8], Stop> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(context: &[(&str, &str)], keys: usize) -> Fields {
        let pairs = context.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        let key = EncryptedDataKey {
            provider_id: "p".into(),
            provider_info: vec![0xff],
            ciphertext: vec![3; 5],
        };
        Fields {
            suite: Suite::Committed,
            message_id: [9; 32],
            context: EncryptionContext::from_pairs(pairs).unwrap(),
            encrypted_data_keys: vec![key; keys],
            content: Content::Framed { frame_length: 7 },
            commitment: [8; 32],
        }
    }

    fn whole(bytes: &[u8]) -> Result<Option<Header>, MessageError> {
        Ok(HeaderParser::new().push(bytes)?.map(|(header, _)| header))
    }

    /// A header around these bytes of a context section.
    fn with_context(section: &[u8]) -> Vec<u8> {
        let mut bytes = fields(&[], 1).encode().unwrap();
        let length = u16::try_from(section.len()).unwrap().to_be_bytes();
        bytes.splice(35..37, length.iter().chain(section).copied());
        bytes.extend([0; 16]);
        bytes
    }

    #[test]
    fn what_was_written_is_read_whatever_the_pieces() {
        let mut bytes = fields(&[("a", "1"), ("b", "")], 2).encode().unwrap();
        bytes.extend([7; 16]);
        bytes.extend(b"body");
        for size in 1..=bytes.len() {
            let (mut parser, mut found, mut rest) = (HeaderParser::new(), None, Vec::new());
            for piece in bytes.chunks(size) {
                if found.is_some() {
                    rest.extend_from_slice(piece);
                } else if let Some((header, left)) = parser.push(piece).unwrap() {
                    rest.extend_from_slice(left);
                    found = Some(header);
                }
            }
            let header = found.unwrap();
            assert_eq!(header.fields.encode().unwrap(), header.raw);
            assert_eq!((header.tag, rest.as_slice()), ([7; 16], b"body".as_slice()), "{size}");
        }
    }

    #[test]
    fn pairs_may_come_in_any_order_but_only_once() {
        let sorted = b"\0\x02\0\x01a\0\x011\0\x01b\0\x012";
        let swapped = b"\0\x02\0\x01b\0\x012\0\x01a\0\x011";
        let context = |section| whole(&with_context(section)).map(|h| h.unwrap().fields.context);
        assert_eq!(context(sorted).unwrap(), context(swapped).unwrap());
        for bad in [
            b"\0\x02\0\x01a\0\x011\0\x01a\0\x011".as_slice(),
            b"\0\x00",
            b"\0\x01\0\x01a\0\x02x",
            b"\0\x01\0\x01a\0\x011!",
            b"\0\x01\0\x00\0\x011",
            b"\0\x01\0\x01\xff\0\x011",
            b"\0",
        ] {
            assert_eq!(context(bad), Err(MessageError::Malformed), "{bad:?}");
        }
        let large = [b"\0\x01\0\x01a\x20\x00".as_slice(), &[b'x'; 0x2000]].concat();
        assert_eq!(context(&large), Err(MessageError::OverLimit));
    }

    #[test]
    fn older_and_unknown_formats_are_refused_by_name() {
        assert_eq!(whole(&[1]).unwrap_err(), MessageError::NotCommitting);
        assert_eq!(whole(&[2, 0x03, 0x78]).unwrap_err(), MessageError::NotCommitting);
        assert_eq!(whole(&[2, 0x06, 0x78]).unwrap_err(), MessageError::UnsupportedSuite);
        assert_eq!(whole(b"AgV4").unwrap_err(), MessageError::UnsupportedSuite);
        assert!(whole(&[]).unwrap().is_none());
    }

    #[test]
    fn counts_and_lengths_are_bounded() {
        assert_eq!(fields(&[], 0).encode(), Err(MessageError::Malformed));
        let bytes = fields(&[], 1).encode().unwrap();
        for (count, error) in [(0, MessageError::Malformed), (33, MessageError::OverLimit)] {
            let mut changed = bytes.clone();
            changed[38] = count;
            assert_eq!(whole(&changed).unwrap_err(), error);
        }
        assert_eq!(fields(&[], 33).encode(), Err(MessageError::OverLimit));
        assert!(fields(&[], 32).encode().is_ok());
        let mut large = fields(&[], 2);
        for key in &mut large.encrypted_data_keys {
            key.ciphertext = vec![0; 40_000];
        }
        assert_eq!(large.encode(), Err(MessageError::OverLimit));
        // The second ciphertext's length alone ends the parsing; nothing is gathered for it.
        let mut hostile = fields(&[], 2).encode().unwrap();
        hostile.truncate(39 + 13 + 6);
        hostile.extend([0xff, 0xff]);
        assert_eq!(whole(&hostile).unwrap_err(), MessageError::OverLimit);
    }

    #[test]
    fn layouts_that_contradict_themselves_are_refused() {
        let bytes = fields(&[], 1).encode().unwrap();
        let at = bytes.len() - 32 - 5;
        let frame = |layout: [u8; 5]| {
            let mut changed = bytes.clone();
            changed[at..at + 5].copy_from_slice(&layout);
            changed.extend([0; 16]);
            whole(&changed).map(|header| header.unwrap().content())
        };
        assert_eq!(frame([1, 0, 0, 0, 0]), Ok(Content::Unframed));
        assert_eq!(frame([2, 1, 0, 0, 0]), Ok(Content::Framed { frame_length: 1 << 24 }));
        assert_eq!(frame([2, 1, 0, 0, 1]), Err(MessageError::OverLimit));
        for layout in [[2, 0, 0, 0, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 1], [3, 0, 0, 0, 1]] {
            assert_eq!(frame(layout), Err(MessageError::Malformed), "{layout:?}");
        }
    }

    #[test]
    fn an_unsigned_message_may_not_carry_a_signature_key() {
        let bytes = fields(&[(CONTEXT_KEY, "A")], 1).encode().unwrap();
        assert_eq!(whole(&bytes).unwrap_err(), MessageError::Malformed);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            framed: bool,
        ) {
            let mut bytes = bytes;
            if framed && bytes.len() > 3 {
                bytes[..3].copy_from_slice(&[2, 4, 0x78]);
            }
            let _ = whole(&bytes);
        }
    }
}
