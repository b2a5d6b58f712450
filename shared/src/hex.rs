//! Lower-case hexadecimal, as ids and hashes are written: without the formatter, since every request
//! writes several of both.

/// Writes bytes, two characters each.
///
/// For public bytes: how long it takes may depend on their values.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    bytes.iter().for_each(|byte| push_hex(&mut text, *byte));
    text
}

/// Writes one byte.
pub(crate) fn push_hex(text: &mut String, byte: u8) {
    text.push(digit(byte >> 4));
    text.push(digit(byte & 15));
}

/// The digit of four bits.
const fn digit(nibble: u8) -> char {
    match nibble {
        0..=9 => (b'0' + nibble) as char,
        _ => (b'a' + nibble - 10) as char,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_written_as_the_formatter_does() {
        for byte in 0..=u8::MAX {
            assert_eq!(hex(&[byte, 7]), format!("{byte:02x}07"));
        }
        assert_eq!(hex(&[]), "");
    }
}
