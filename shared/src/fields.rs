//! Reading fixed binary layouts: each field has its length, and nothing may be left over.
//!
//! Nothing is skipped and no length is taken on trust, so two different inputs never read as the
//! same fields.

/// The bytes are shorter or longer than the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongLength;

/// The fields not read yet.
#[derive(Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Begins with the first byte.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes.
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], WrongLength> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(WrongLength)?;
        self.0 = rest;
        Ok(*field)
    }

    /// The next `length` bytes.
    // The length may have been read a moment ago: it is bounded by the bytes that are there.
    pub(crate) fn take_slice(&mut self, length: usize) -> Result<&'a [u8], WrongLength> {
        let (field, rest) = self.0.split_at_checked(length).ok_or(WrongLength)?;
        self.0 = rest;
        Ok(field)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Result<u8, WrongLength> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// The next 4 bytes, big-endian.
    pub(crate) fn u32(&mut self) -> Result<u32, WrongLength> {
        self.take().map(u32::from_be_bytes)
    }

    /// The next 8 bytes, big-endian.
    pub(crate) fn u64(&mut self) -> Result<u64, WrongLength> {
        self.take().map(u64::from_be_bytes)
    }

    /// Refuses bytes after the last field.
    // A format without this check has more than one spelling of every value.
    pub(crate) const fn end(&self) -> Result<(), WrongLength> {
        if self.0.is_empty() { Ok(()) } else { Err(WrongLength) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order_and_to_the_end() {
        let mut fields = Fields::new(&[1, 0, 0, 0, 2, 7, 8, 9]);
        assert_eq!(fields.byte(), Ok(1));
        assert_eq!(fields.u32(), Ok(2));
        assert_eq!(fields.take_slice(1), Ok([7].as_slice()));
        assert_eq!(fields.end(), Err(WrongLength));
        assert_eq!(fields.u64(), Err(WrongLength));
        assert_eq!(fields.take(), Ok([8, 9]));
        assert_eq!(fields.end(), Ok(()));
        assert_eq!(fields.byte(), Err(WrongLength));
    }
}
