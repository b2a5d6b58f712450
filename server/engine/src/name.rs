//! Names that people give: keyrings, aliases, principals, policies; and how a key is named in a
//! request.
//!
//! Names stand in places of rows, in policies and in the log, so their alphabet has nothing that
//! any of these would have to escape: no `/`, no `*`, no quotes, no white space, no letters beyond
//! ASCII.

use keyhaven_shared::ids::KeyId;

use crate::error::Error;

/// Checks a name: 1 to 63 characters of `a-z 0-9 . _ -` (and `@` for principals), the first a
/// letter or digit. One spelling only: names are compared by bytes, so look-alikes are kept out.
/// `what` is the kind of name, for the message; `principal` has a meaning.
///
/// # Errors
/// [`Error::InvalidRequest`] naming the rule.
pub fn check(what: &'static str, name: &str) -> Result<(), Error> {
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let at_sign = |c: char| c == '@' && what == "principal";
    // An empty name has no first character, and so does not pass.
    if first && name.len() <= 63 && name.chars().all(|c| allowed(c) || at_sign(c)) {
        return Ok(());
    }
    Err(Error::InvalidRequest(format!(
        "a {what} name is 1 to 63 characters of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit"
    )))
}

/// How a request names a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyName {
    /// By id. For ever the same key.
    Id(KeyId),
    /// By an alias within a keyring. Whichever key has it when the request is resolved.
    Alias {
        /// The keyring's name.
        keyring: String,
        /// The alias.
        alias: String,
    },
}

impl KeyName {
    /// Reads `UUID`, `alias` (in the keyring `default`) or `keyring:alias`. What reads as a UUID is
    /// an id: an alias of that form is reached with its keyring's name only.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is none of these.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let (keyring, alias) = text.split_once(':').unwrap_or(("default", text));
        check("keyring", keyring)?;
        check("key", alias)?;
        Ok(Self::Alias { keyring: keyring.to_owned(), alias: alias.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for good in ["a", "photos", "0", "a.b_c-d", &"x".repeat(63)] {
            assert!(check("keyring", good).is_ok(), "{good}");
        }
        let too_long = "x".repeat(64);
        for bad in ["", "A", "-a", ".a", "a b", "a/b", "..", "é", "а", "a\0", "a@b", &too_long] {
            assert!(check("keyring", bad).is_err(), "{bad}");
        }
        assert!(check("principal", "ann@example.org").is_ok());
    }

    #[test]
    fn a_key_is_named_by_id_or_alias() {
        let id = KeyId::from_random([1; 16]);
        assert_eq!(KeyName::parse(&id.to_string()).ok(), Some(KeyName::Id(id)));
        let alias =
            |keyring: &str| KeyName::Alias { keyring: keyring.into(), alias: "photos".into() };
        assert_eq!(KeyName::parse("photos").ok(), Some(alias("default")));
        assert_eq!(KeyName::parse("app:photos").ok(), Some(alias("app")));
        for bad in ["", ":", "app:", ":photos", "a:b:c", "app/photos", "%61"] {
            assert!(KeyName::parse(bad).is_err(), "{bad}");
        }
    }
}
