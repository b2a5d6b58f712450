//! What a module's return codes mean to us.
//!
//! Return codes are coarse, and modules differ in how they use them. Two questions are answered
//! here and nowhere else: whether the PIN was at fault, and whether the same call may succeed
//! later.

use std::{io, path::PathBuf, time::Duration};

use cryptoki::error::{Error, RvError};
use keyhaven_engine::port::hsm::HsmError;

/// Why a token could not be opened. The text says what to put right; it never holds a PIN.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The module is not there or is no PKCS#11 module.
    #[error("cannot load the PKCS#11 module {}: {reason}", module.display())]
    Module {
        /// Where it was looked for.
        module: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// No token has the label.
    #[error("the PKCS#11 module shows no token labelled `{label}`; it shows: {}", found.join(", "))]
    NoToken {
        /// The label asked for.
        label: String,
        /// The labels there are.
        found: Vec<String>,
    },
    /// Several tokens have the label, so that it names none of them.
    #[error("the PKCS#11 module shows {count} tokens labelled `{label}`; give each its own label")]
    SeveralTokens {
        /// The label asked for.
        label: String,
        /// How many have it.
        count: usize,
    },
    /// The token refused the PIN.
    #[error(
        "the token refused the PIN ({code}); it was tried once and will not be tried again, because \
         too many wrong PINs lock a token: check the PIN before the next start"
    )]
    PinRefused {
        /// The PKCS#11 return code.
        code: String,
    },
    /// The module did not answer in time.
    #[error("the PKCS#11 module did not answer within {} s", waited.as_secs())]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The module answered with another error.
    #[error("the token cannot be used: {reason}")]
    Token {
        /// The PKCS#11 function and return code.
        reason: String,
    },
    /// The operating system gave no threads.
    #[error("cannot start the threads that talk to the HSM: {0}")]
    Threads(io::Error),
}

/// The function and return code, without the standard's long prose.
pub(crate) fn code(error: &Error) -> String {
    if let Error::Pkcs11(code, function) = error {
        format!("C_{function:?}: {code:?}")
    } else {
        error.to_string()
    }
}

/// Whether the token said that the PIN is not good (any of the ways it may say so).
/// In doubt it says yes: a login that is not repeated does no harm, one too many locks the token.
pub(crate) const fn refuses_pin(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked
                | RvError::UserPinNotInitialized,
            _
        )
    )
}

/// Whether the handle no longer names an object. `C_…Init` says so before anything is done.
/// So nothing has happened, and the call may be made again with a new handle.
pub(crate) const fn is_stale_handle(error: &Error) -> bool {
    matches!(error, Error::Pkcs11(RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid, _))
}

/// The answer to a caller, for a return code that has no meaning of its own in the operation at hand.
/// [`HsmError::Unavailable`] for what may pass by itself: the token is away, busy or out of
/// sessions. [`HsmError::Refused`] for the rest, which a person has to look at. Neither says that
/// nothing happened.
pub(crate) fn failed(error: &Error) -> HsmError {
    let passing = matches!(
        error,
        Error::Pkcs11(
            RvError::CryptokiNotInitialized
                | RvError::DeviceError
                | RvError::DeviceMemory
                | RvError::DeviceRemoved
                | RvError::FunctionCanceled
                | RvError::FunctionFailed
                | RvError::GeneralError
                | RvError::HostMemory
                | RvError::SessionClosed
                | RvError::SessionCount
                | RvError::SessionHandleInvalid
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::UserNotLoggedIn,
            _
        )
    );
    if passing { HsmError::Unavailable(code(error)) } else { HsmError::Refused(code(error)) }
}
