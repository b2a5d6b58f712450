//! Sending a request again, where that is safe: it bears an idempotency key, so the server does it once.

use std::{io, thread, time::Duration};

use base64ct::{Base64UrlUnpadded, Encoding};

use super::error::CliError;

/// How long to wait before each further attempt. Long enough together for a server to restart.
const WAITS: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];
/// The longest that a server is believed when it says how long to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A key that no other request has.
///
/// # Errors
/// The operating system has no randomness.
pub(super) fn make_key() -> Result<String, CliError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(CliError::new)?;
    Ok(Base64UrlUnpadded::encode_string(&bytes))
}

/// What one attempt came to.
pub(super) enum Attempt<T> {
    /// It is decided, one way or the other.
    Over(T),
    /// It may be tried again, after so long if the server said so; this is what it came to.
    Again(T, Option<Duration>),
}

/// Tries until it is decided, or there have been five attempts. `first` tells whether an attempt is the
/// first.
pub(super) fn until_over<T>(mut attempt: impl FnMut(bool) -> Attempt<T>) -> T {
    let mut waits = WAITS.into_iter();
    let mut first = true;
    loop {
        match (attempt(first), waits.next()) {
            (Attempt::Over(outcome), _) | (Attempt::Again(outcome, _), None) => return outcome,
            (Attempt::Again(_, asked), Some(wait)) => {
                thread::sleep(asked.map_or(wait, |asked| asked.clamp(wait, LONGEST_WAIT)));
            }
        }
        first = false;
    }
}

/// Whether the connection broke, so that nothing can be said of what the server did. Of a first attempt
/// that did not even connect, it can: a mistake in the address is told at once.
pub(super) fn is_lost(error: &ureq::Error, first: bool) -> bool {
    let ureq::Error::Io(error) = error else { return false };
    let broken = [
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::UnexpectedEof,
    ];
    broken.contains(&error.kind()) || (!first && error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(kind: io::ErrorKind) -> ureq::Error {
        ureq::Error::Io(kind.into())
    }

    #[test]
    fn a_broken_connection_is_tried_again_and_a_wrong_address_told_at_once() {
        for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof] {
            assert!(is_lost(&io(kind), true) && is_lost(&io(kind), false));
        }
        // A server that went away in between may be back soon.
        assert!(!is_lost(&io(io::ErrorKind::ConnectionRefused), true));
        assert!(is_lost(&io(io::ErrorKind::ConnectionRefused), false));
        // A certificate that is not trusted, for one.
        assert!(!is_lost(&io(io::ErrorKind::InvalidData), false));
        assert!(!is_lost(&ureq::Error::HostNotFound, false));
    }

    #[test]
    fn attempts_end_with_a_decision_and_have_keys_of_their_own() {
        let mut tried = 0;
        let outcome = until_over(|first| {
            tried += 1;
            assert_eq!(first, tried == 1);
            if tried < 2 { Attempt::Again(tried, None) } else { Attempt::Over(tried) }
        });
        assert_eq!((outcome, tried), (2, 2));
        let (one, other) = (make_key().unwrap(), make_key().unwrap());
        assert_eq!(one.len(), 22);
        assert_ne!(one, other);
    }
}
