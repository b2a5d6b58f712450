//! One logged-in session, and what is known of the keys seen through it.
//!
//! PKCS#11 ties a login to the process and not to the session: the first session logs in for all,
//! and all are logged out at once. Handles are kept no longer than the session they were seen
//! through.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cryptoki::{
    context::Pkcs11,
    error::{Error, RvError},
    object::ObjectHandle,
    session::{Session, SessionState, UserType},
    types::AuthPin,
};
use ed25519_dalek::VerifyingKey;
use keyhaven_engine::port::hsm::{HsmError, HsmKey};

use super::{
    Pin, TokenSelector,
    error::{OpenError, code, failed, refuses_pin},
    module,
};

/// A key's place in the token, after its attributes were checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handle {
    /// The secret or private key.
    pub(crate) object: ObjectHandle,
    /// The public half of a signing key.
    pub(crate) public: Option<VerifyingKey>,
}

/// A session of one worker. Handles are kept as long as the session and as no worker makes or destroys
/// a key, since a token may give the handle of a destroyed object to another.
pub(crate) struct Connection {
    token: Arc<Token>,
    /// `None` before the first use, and after an error that may have left it unusable.
    session: Option<Session>,
    /// Keys that were found and checked. Looking one up takes several calls of the token.
    handles: HashMap<HsmKey, Handle>,
    /// The count of changes that `handles` belong to.
    handles_of: u64,
}

/// What the workers share.
struct Token {
    /// Loaded and initialised.
    module: Pkcs11,
    /// Not a slot number: a token that is taken out and put back may get another.
    selector: TokenSelector,
    /// Kept in memory for as long as the server runs, for logging in again.
    pin: Pin,
    /// Set when the token has refused the PIN. The lock also lets one worker log in at a time, so that
    /// a wrong PIN is tried once and not once for each worker.
    refused: Mutex<Option<String>>,
    /// Counts the keys made and destroyed.
    changes: AtomicU64,
}

impl Connection {
    /// Loads the module and logs in.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::PinRefused`] must not be tried again without a person's doing.
    pub(crate) fn open(path: &Path, selector: TokenSelector, pin: Pin) -> Result<Self, OpenError> {
        let token = Token {
            module: module::load(path)?,
            selector,
            pin,
            refused: Mutex::new(None),
            changes: AtomicU64::new(0),
        };
        let mut connection = Self::of(Arc::new(token));
        connection.session = Some(connection.token.log_in()?);
        Ok(connection)
    }

    /// A connection to the same token, which logs in when it is first revived.
    pub(crate) fn another(&self) -> Self {
        Self::of(Arc::clone(&self.token))
    }

    /// A connection without a session.
    fn of(token: Arc<Token>) -> Self {
        Self { token, session: None, handles: HashMap::new(), handles_of: 0 }
    }

    /// Makes sure, before a call begins, that the session is alive and logged in.
    ///
    /// # Errors
    /// [`HsmError::Refused`] once the PIN was refused, for good; else [`HsmError::Unavailable`],
    /// and the next call tries again.
    pub(crate) fn revive(&mut self) -> Result<(), HsmError> {
        // Asking costs no work of the token's, and a session that timed out would else fail in the
        // midst of a call.
        if self.session.as_ref().is_some_and(is_logged_in) {
            return Ok(());
        }
        self.drop_session();
        let session = self.token.log_in().map_err(|error| {
            let reason = error.to_string();
            if matches!(error, OpenError::PinRefused { .. }) {
                HsmError::Refused(reason)
            } else {
                HsmError::Unavailable(reason)
            }
        })?;
        self.session = Some(session);
        Ok(())
    }

    /// Gives up the session and every handle seen through it.
    pub(crate) fn drop_session(&mut self) {
        self.handles.clear();
        self.session = None;
    }

    /// The session, which [`Self::revive`] made sure of.
    pub(crate) fn session(&self) -> Result<&Session, HsmError> {
        self.session.as_ref().ok_or_else(|| HsmError::Unavailable("there is no session".to_owned()))
    }

    /// Asks the token itself, not just its module, for a sign of life.
    /// Session information may come out of the module's memory; random bytes come from the token.
    pub(crate) fn ping(&mut self) -> Result<(), HsmError> {
        self.session()?.generate_random_slice(&mut [0]).map_err(|error| failed(&error))
    }

    /// The handle of a key, if it was kept and no key was made or destroyed since.
    pub(crate) fn kept(&mut self, key: HsmKey) -> Option<Handle> {
        let changes = self.token.changes.load(Ordering::SeqCst);
        if self.handles_of != changes {
            self.handles.clear();
            self.handles_of = changes;
        }
        self.handles.get(&key).copied()
    }

    /// Keeps the handle of a key.
    pub(crate) fn keep(&mut self, key: HsmKey, handle: Handle) {
        self.handles.insert(key, handle);
    }

    /// Forgets the handle of a key, so that it is looked up and checked anew.
    pub(crate) fn forget(&mut self, key: HsmKey) {
        self.handles.remove(&key);
    }

    /// Tells all workers that a key may have been made or destroyed.
    pub(crate) fn note_change(&self) {
        self.token.changes.fetch_add(1, Ordering::SeqCst);
    }
}

impl Token {
    /// A session that is logged in.
    ///
    /// # Errors
    /// [`OpenError::PinRefused`], now and each time from then on; else what the token said.
    fn log_in(&self) -> Result<Session, OpenError> {
        let unusable = |error: Error| OpenError::Token { reason: code(&error) };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        // The token counts wrong PINs and locks itself after a few. An unlocked token is worth more
        // than another try.
        if let Some(code) = refused.clone() {
            return Err(OpenError::PinRefused { code });
        }
        let slot = module::find_slot(&self.module, &self.selector)?;
        let session = self.module.open_rw_session(slot).map_err(unusable)?;
        // Another worker has logged in for the whole process. Logging in again would be an error.
        if is_logged_in(&session) {
            return Ok(session);
        }
        // EXPOSE: logging in is what the PIN is for; the copy is wiped when this function returns.
        let pin = AuthPin::new(self.pin.expose_secret().into());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(error) if refuses_pin(&error) => {
                *refused = Some(code(&error));
                Err(OpenError::PinRefused { code: code(&error) })
            }
            Err(error) => Err(unusable(error)),
        }
    }
}

/// A login belongs to the process: it ends for all sessions at once, also when the token is taken out.
fn is_logged_in(session: &Session) -> bool {
    session
        .get_session_info()
        // A read-only session would do for reading, but not for making and destroying keys.
        .is_ok_and(|info| matches!(info.session_state(), SessionState::RwUser))
}
