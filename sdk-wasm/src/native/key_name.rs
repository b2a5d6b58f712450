//! A key's name in a path.

use keyhaven_shared::ids::KeyId;

use super::error::ArgumentFault;

/// A key as the application names it: its id, its alias in the keyring `default`, or `keyring:alias`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct KeyName(String);

impl KeyName {
    /// Takes a name.
    ///
    /// # Errors
    /// [`ArgumentFault::KeyName`] for what would be another path, or none, in a URL.
    pub(crate) fn new(text: &str) -> Result<Self, ArgumentFault> {
        let misplaced = |character: char| {
            "/?#\\".contains(character) || character.is_whitespace() || character.is_control()
        };
        // An empty name or one of dots is a segment that URL parsers drop or climb by.
        if text.chars().any(misplaced) || text.chars().all(|character| character == '.') {
            return Err(ArgumentFault::KeyName);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id, if it is named by that.
    pub(crate) fn id(&self) -> Option<KeyId> {
        self.0.parse().ok()
    }

    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// One segment of a path (RFC 3986 §3.3). The colon between keyring and alias stays.
    pub(crate) fn segment(&self) -> String {
        let mut segment = String::new();
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
                segment.push(char::from(byte));
            } else {
                segment.push_str(&format!("%{byte:02X}"));
            }
        }
        segment
    }
}

impl From<KeyId> for KeyName {
    fn from(id: KeyId) -> Self {
        Self(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        let segment = |text| KeyName::new(text).map(|name| name.segment());
        assert_eq!(segment("app:photos").unwrap(), "app:photos");
        assert_eq!(segment("caf\u{e9}").unwrap(), "caf%C3%A9");
        assert_eq!(segment("100%").unwrap(), "100%25");
        for text in ["", ".", "..", "a/b", "a?b", "a#b", "a\\b", "a b", "a\n"] {
            assert_eq!(segment(text), Err(ArgumentFault::KeyName), "{text:?}");
        }
    }

    #[test]
    fn an_id_is_told_from_an_alias() {
        let id = KeyId::from_random([3; 16]);
        assert_eq!(KeyName::from(id).id(), Some(id));
        assert_eq!(KeyName::new("photos").unwrap().id(), None);
    }
}
