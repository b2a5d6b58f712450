//! What a key is for and where it may live: fixed when the key is created, and bound into its wrapping.

use core::{fmt, str::FromStr};

/// A word was not one of the vocabulary's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind}: use one of {expected}")]
pub struct UnknownWord {
    /// Which vocabulary the word should be from.
    kind: &'static str,
    /// All its words.
    expected: &'static str,
}

/// Declares a closed vocabulary: each variant has one word (in documents and on the command line) and
/// one code (in authenticated bytes; codes are never used again for something else).
// Words are for people and documents; codes are for bytes that are signed or derived from. Apart,
// so that a word can be improved without what was sealed becoming unreadable.
macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident, $kind:literal, { $($(#[$variant_doc:meta])* $variant:ident = $word:literal, $code:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the vocabulary.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word that names this value in documents, policies and on the command line.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The code that stands for this value in authenticated bytes.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            // Byte by byte: `AES-256-GCM` is no spelling of `aes-256-gcm`.
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { kind: $kind, expected: concat!($("`", $word, "` ",)+) }),
                }
            }
        }
    };
}

vocabulary!(
    /// The algorithm and size of a key.
    KeySpec, "key spec", {
        /// AES with a 256-bit key in Galois/Counter Mode (SP 800-38D).
        Aes256Gcm = "aes-256-gcm", 1;
    }
);

vocabulary!(
    /// What a key may be used for (SP 800-57 part 1 §5.2: one key, one purpose).
    KeyUsage, "key usage", {
        /// Encrypting data and wrapping data keys.
        EncryptDecrypt = "encrypt-decrypt", 1;
    }
);

vocabulary!(
    /// Where a key version's material came from.
    Origin, "origin", {
        /// Made by this server.
        Keyhaven = "keyhaven", 1;
    }
);

vocabulary!(
    /// Where a key version is used.
    ProtectionLevel, "protection level", {
        /// Wrapped under the keyring's root, used in the server's memory.
        Software = "software", 1;
    }
);

vocabulary!(
    /// What may leave the server, sealed to an enrolled device.
    Distribution, "distribution", {
        /// Nothing: the server encrypts and decrypts.
        None = "none", 1;
        /// Data keys under this key, each sealed to one device.
        DataKeys = "data-keys", 2;
    }
);

impl KeySpec {
    /// Bytes of secret material in a version of this spec.
    #[must_use]
    pub const fn material_bytes(self) -> usize {
        match self {
            Self::Aes256Gcm => 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_round_trip_and_unknown_ones_list_the_choices() {
        for spec in KeySpec::ALL {
            assert_eq!(spec.word().parse(), Ok(*spec));
        }
        for distribution in Distribution::ALL {
            assert_eq!(distribution.word().parse(), Ok(*distribution));
        }
        let error = "AES-256-GCM".parse::<KeySpec>().unwrap_err();
        assert!(error.to_string().contains("`aes-256-gcm`"));
    }

    #[test]
    fn words_and_codes_are_exactly_these() {
        // Codes stand in authenticated bytes: one that changed would make every wrapped key useless.
        let specs: Vec<_> = KeySpec::ALL.iter().map(|one| (one.word(), one.code())).collect();
        let usages: Vec<_> = KeyUsage::ALL.iter().map(|one| (one.word(), one.code())).collect();
        let origins: Vec<_> = Origin::ALL.iter().map(|one| (one.word(), one.code())).collect();
        let levels: Vec<_> =
            ProtectionLevel::ALL.iter().map(|one| (one.word(), one.code())).collect();
        let distributions: Vec<_> =
            Distribution::ALL.iter().map(|one| (one.word(), one.code())).collect();
        assert_eq!(specs, [("aes-256-gcm", 1)]);
        assert_eq!(usages, [("encrypt-decrypt", 1)]);
        assert_eq!(origins, [("keyhaven", 1)]);
        assert_eq!(levels, [("software", 1)]);
        assert_eq!(distributions, [("none", 1), ("data-keys", 2)]);
        assert_eq!(KeySpec::Aes256Gcm.material_bytes(), crate::secret::KeyMaterial::BYTES);
    }

    #[test]
    fn an_unknown_word_is_answered_with_all_the_choices() {
        let error = "everything".parse::<Distribution>().unwrap_err().to_string();
        assert_eq!(error.trim_end(), "unknown distribution: use one of `none` `data-keys`");
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_word(text in "[a-zA-Z0-9 -]{0,16}|[ \t]?(none|data-keys)[ \n]?") {
            let known = Distribution::ALL.iter().find(|one| one.word() == text);
            prop_assert_eq!(text.parse::<Distribution>().ok(), known.copied());
            prop_assert!(text.parse::<KeySpec>().is_err() || text == "aes-256-gcm");
        }
    }
}
