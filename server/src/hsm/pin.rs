//! The PIN of a token's user. It comes from a file or the environment, never from an argument, which
//! every user of the machine could read.

use std::{env, fs::File, io::Read, path::Path};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The longest PIN that is read, in bytes.
/// The bound is for a path that names the wrong file.
const MAX_BYTES: usize = 1024;

/// A PIN, wiped when dropped. It cannot be printed, cloned or compared.
/// Boxed, so that moving it copies a pointer and not the PIN. It must be UTF-8, as PKCS#11 wants.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Pin(Box<str>);

/// Why there is no PIN.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The file cannot be read.
    #[error("cannot read the PIN file: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The environment variable is not set.
    #[error("the environment variable `{0}`, which should hold the PIN, is not set")]
    NotSet(String),
    /// Nothing is left after the newline is taken off.
    #[error("the PIN is empty")]
    Empty,
    /// The PIN is not UTF-8, or longer than 1024 bytes.
    #[error("the PIN is not text of at most 1024 bytes")]
    NotText,
}

impl Pin {
    /// Reads a PIN from a file, without its final newline. Any other white space belongs to the PIN.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn from_file(path: &Path) -> Result<Self, PinError> {
        // The buffer is large enough from the start, so that it never grows and leaves a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 64));
        // More than the longest PIN with its newline is read, so that one that is too long is seen
        // to be.
        File::open(path)?.take(MAX_BYTES as u64 + 32).read_to_end(&mut bytes)?;
        Self::from_bytes(&bytes)
    }

    /// Reads a PIN from an environment variable, without a final newline.
    ///
    /// The variable itself stays readable to the process's own user (`/proc/PID/environ`): prefer a file
    /// or the service manager's credential store.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn from_env(name: &str) -> Result<Self, PinError> {
        let value = env::var_os(name).ok_or_else(|| PinError::NotSet(name.to_owned()))?;
        Self::from_bytes(&Zeroizing::new(value.into_encoded_bytes()))
    }

    /// Takes a PIN as given.
    /// A line feed at the end, or a carriage return and a line feed, is the editor's and not the
    /// PIN's.
    ///
    /// # Errors
    /// [`PinError::Empty`], [`PinError::NotText`]. Neither repeats what was read.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, PinError> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| PinError::NotText)?;
        match text.len() {
            0 => Err(PinError::Empty),
            1..=MAX_BYTES => Ok(Self(text.into())),
            _ => Err(PinError::NotText),
        }
    }

    /// The PIN. Each call says in an `EXPOSE:` comment why it needs it.
    pub(crate) const fn expose_secret(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_final_newline_is_not_a_part_of_the_pin() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pin");
        for (written, read) in
            [("12 34", "12 34"), ("1234\n", "1234"), ("1234\r\n", "1234"), (" 1\n\n", " 1\n")]
        {
            std::fs::write(&file, written).unwrap();
            // EXPOSE: the test compares what was read.
            assert_eq!(Pin::from_file(&file).ok().unwrap().expose_secret(), read);
        }
    }

    #[test]
    fn the_environment_gives_a_pin() {
        // Any variable serves: setting one of its own is not safe beside other threads.
        let expected = env::var("CARGO_PKG_NAME").unwrap();
        // EXPOSE: the test compares what was read.
        assert_eq!(Pin::from_env("CARGO_PKG_NAME").ok().unwrap().expose_secret(), expected);
    }

    #[test]
    fn a_pin_that_is_none_is_refused_by_name() {
        assert!(matches!(Pin::from_bytes(b"\n"), Err(PinError::Empty)));
        assert!(matches!(Pin::from_bytes(&[0xff]), Err(PinError::NotText)));
        assert!(matches!(Pin::from_bytes(&[b'1'; MAX_BYTES + 1]), Err(PinError::NotText)));
        assert!(matches!(Pin::from_env("KEYHAVEN_NO_SUCH_PIN"), Err(PinError::NotSet(_))));
        assert!(matches!(Pin::from_file(Path::new("/nonexistent")), Err(PinError::Unreadable(_))));
    }
}
