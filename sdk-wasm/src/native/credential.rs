//! Words that open doors: API tokens, tickets, enrolment tokens.

use http::HeaderValue;
use zeroize::Zeroizing;

use super::error::ArgumentFault;

/// A token or a ticket: one word, as the server gave it. Zeroized on drop; it has no `Debug`.
pub struct Credential(Zeroizing<String>);

impl Credential {
    /// Takes the word over.
    ///
    /// # Errors
    /// [`ArgumentFault::Token`] for what cannot stand in a header as one word.
    pub fn new(word: impl Into<String>) -> Result<Self, ArgumentFault> {
        let word = Zeroizing::new(word.into());
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if word.is_empty() || !word.bytes().all(fits) {
            return Err(ArgumentFault::Token);
        }
        Ok(Self(word))
    }

    /// The value of `Authorization` with this credential.
    pub(crate) fn header(&self, scheme: &str) -> Result<HeaderValue, ArgumentFault> {
        // EXPOSE: the server must see it.
        let text = Zeroizing::new(format!("{scheme} {}", self.0.as_str()));
        let mut value = HeaderValue::from_str(&text).map_err(|_| ArgumentFault::Token)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_one_word() {
        for word in ["kh1.0b6d.a-b_c", "eyJ.eyJ.sig", "a=="] {
            let header = Credential::new(word).unwrap().header("Bearer").unwrap();
            assert_eq!(header.to_str().unwrap(), format!("Bearer {word}"));
        }
        for word in ["", "two words", "a\r\nX-Evil: 1", "caf\u{e9}", "tab\t", "a\n"] {
            assert_eq!(Credential::new(word).err(), Some(ArgumentFault::Token), "{word:?}");
        }
    }

    #[test]
    fn a_header_with_it_does_not_print_it() {
        let header = Credential::new("kh1.secret").unwrap().header("Bearer").unwrap();
        assert!(!format!("{header:?}").contains("secret"));
    }
}
