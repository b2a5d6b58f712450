//! What a device may do with a data key that it was given.

use core::fmt;

/// A non-empty set of usages. The device enforces it, so it guards against mistakes and other scripts,
/// not against a device that was taken over.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UsageFlags(u32);

/// Each usage's bit and the word that names it in documents.
// Bits are never used again for another usage: they stand in signed headers.
const WORDS: [(u32, &str); 3] = [(1, "encrypt"), (2, "decrypt"), (4, "export")];

impl UsageFlags {
    /// Encrypt new data.
    pub const ENCRYPT: Self = Self(1);
    /// Decrypt data.
    pub const DECRYPT: Self = Self(2);
    /// Hand the data key out in plaintext.
    // It lets the key leave the SDK, so it is never among what is given by default.
    pub const EXPORT: Self = Self(4);

    /// The set with these bits; `None` if empty or with bits that mean nothing.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        // Empty would be a key that may do nothing, which is more likely a mistake.
        if bits == 0 || bits & !7 != 0 { None } else { Some(Self(bits)) }
    }

    /// The set that `words` name; `None` if empty or with an unknown word.
    #[must_use]
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let bit = |word| WORDS.iter().find(|(_, known)| *known == word).map(|(bit, _)| *bit);
        let bits = words.into_iter().try_fold(0, |bits, word| Some(bits | bit(word)?))?;
        Self::from_bits(bits)
    }

    /// The words that name the usages.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        WORDS.iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, word)| *word)
    }

    /// The bits, as they stand in authenticated bytes.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The usages of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all usages of `other` are in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Debug for UsageFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_bits_words_and_empty_sets_are_refused() {
        for bits in 0..64 {
            assert_eq!(
                UsageFlags::from_bits(bits).map(UsageFlags::bits),
                (1..8).contains(&bits).then_some(bits)
            );
        }
        assert_eq!(UsageFlags::from_bits(1 << 31 | 1), None);
        assert_eq!(UsageFlags::from_words([]), None);
        assert_eq!(UsageFlags::from_words(["encrypt", "Decrypt"]), None);
        let both = UsageFlags::ENCRYPT.with(UsageFlags::EXPORT);
        assert_eq!(UsageFlags::from_words(both.words()), Some(both));
        assert!(both.contains(UsageFlags::EXPORT) && !both.contains(UsageFlags::DECRYPT));
    }

    #[test]
    fn sets_behave_as_sets_for_every_pair() {
        let all: Vec<_> = (1..8).filter_map(UsageFlags::from_bits).collect();
        assert_eq!(all.len(), 7);
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (*one, *other))) {
            let words = |set: UsageFlags| set.words().collect::<std::collections::BTreeSet<_>>();
            assert_eq!(one.contains(other), words(one).is_superset(&words(other)));
            assert_eq!(words(one.with(other)), &words(one) | &words(other));
            assert_eq!(one.with(other), other.with(one));
            assert_eq!(
                UsageFlags::from_words(one.words().chain(other.words())),
                Some(one.with(other))
            );
        }
    }

    #[test]
    fn words_stand_in_one_order_and_are_read_to_the_letter() {
        let all = UsageFlags::EXPORT.with(UsageFlags::DECRYPT).with(UsageFlags::ENCRYPT);
        assert_eq!(all.words().collect::<Vec<_>>(), ["encrypt", "decrypt", "export"]);
        assert_eq!(format!("{all:?}"), r#"{"encrypt", "decrypt", "export"}"#);
        for word in ["", "Encrypt", "encrypt ", "en", "encryptdecrypt", "sign"] {
            assert_eq!(UsageFlags::from_words([word]), None, "{word:?}");
            assert_eq!(UsageFlags::from_words(["decrypt", word]), None, "{word:?}");
        }
    }

    #[test]
    fn no_other_bit_is_ever_taken() {
        for shift in 3..32 {
            for low in 0..8 {
                assert_eq!(UsageFlags::from_bits(1 << shift | low), None, "bit {shift}");
            }
        }
    }
}
