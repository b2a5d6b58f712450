//! The HSM port over PKCS#11: any token whose module makes AES-256 and Ed25519 keys and offers
//! `CKM_AES_GCM` and `CKM_EDDSA`.
//!
//! Calls of a module block and cannot be stopped, so a fixed number of threads makes them, each with a
//! logged-in session of its own, fed by one bounded queue. A caller waits until its deadline and then
//! hears [`HsmError::Unavailable`]; the thread stays with the module until that returns. So at most
//! [`Pkcs11Config::workers`] calls hang at once, the others go on while one thread is free, and when
//! the module comes back nothing needs a restart. Past its deadline a call that had begun may still
//! take effect: [`Hsm::keys`] and [`Hsm::check_key`] tell.
//!
//! A session that the token dropped is opened and logged in again before the next call begins; a call
//! that had begun is not repeated. A refused PIN is never tried twice in the life of a [`Pkcs11Hsm`],
//! so that the token's counter of wrong PINs cannot run out.
//!
//! Not guaranteed: that a token keeps what it says of itself. Attributes are read back, and what it
//! sealed or signed is checked; a module that lies about all of them is trusted all the same.

mod connection;
mod crypt;
mod ed25519;
mod error;
mod keys;
mod module;
mod pin;
mod pool;
pub mod softhsm;
mod template;

use std::{fmt, path::PathBuf, time::Duration};

use keyhaven_engine::{
    permit::Permit,
    port::hsm::{Hsm, HsmError, HsmFuture, HsmKey},
};
use keyhaven_shared::{ids::DeploymentId, secret::DomainKey};

use self::{connection::Connection, pool::Pool};
pub use self::{
    error::OpenError,
    pin::{Pin, PinError},
};

/// Which token to use, of all those that the module shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSelector {
    /// The token's label, without the padding. Exactly one token must carry it.
    pub label: String,
}

/// How to reach a token.
///
/// No more workers than the token has sessions for us: a worker that gets none answers
/// [`HsmError::Unavailable`] until it does.
pub struct Pkcs11Config {
    /// The vendor's PKCS#11 module, a shared library.
    pub module: PathBuf,
    /// The token.
    pub token: TokenSelector,
    /// The PIN of the token's normal user.
    pub pin: Pin,
    /// How long a caller waits for an answer, and [`Pkcs11Hsm::open`] for the first login.
    pub deadline: Duration,
    /// How many threads, and so sessions, work on the token.
    pub workers: usize,
    /// How many calls may wait for a free thread; one more is refused at once.
    /// A short queue turns a slow token into quick refusals, a long one into callers that wait for
    /// nothing.
    pub queue: usize,
}

impl Pkcs11Config {
    /// The usual limits: 10 seconds, 2 threads, 256 waiting calls.
    #[must_use]
    pub const fn new(module: PathBuf, token: TokenSelector, pin: Pin) -> Self {
        let deadline = Duration::from_secs(10);
        Self { module, token, pin, deadline, workers: 2, queue: 256 }
    }
}

/// A token reached by PKCS#11. Its futures need a tokio runtime with time.
///
/// Dropping it lets the threads end after their present call; the login ends with the last session.
pub struct Pkcs11Hsm {
    pool: Pool<Connection>,
}

impl fmt::Debug for Pkcs11Hsm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Hsm").finish_non_exhaustive()
    }
}

impl Pkcs11Hsm {
    /// Loads the module, finds the token and logs in once. Blocks for at most the deadline.
    ///
    /// A module is initialised once in the life of the process and never finalised, since other
    /// threads may be inside it. If the process is logged in to this token already, the module does
    /// not look at the PIN again.
    ///
    /// # Errors
    /// [`OpenError`], which says what an operator has to put right.
    pub fn open(config: Pkcs11Config) -> Result<Self, OpenError> {
        let Pkcs11Config { module, token, pin, deadline, workers, queue } = config;
        // Only the first connection logs in now. If its PIN is wrong, the token has counted one try
        // and not one for each worker.
        let first = pool::within(deadline, move || Connection::open(&module, token, pin))
            .ok_or(OpenError::TimedOut { waited: deadline })??;
        // They get their sessions when they are first used: by then the process is logged in.
        let others = (1..workers.max(1)).map(|_| first.another()).collect::<Vec<_>>();
        let connections = std::iter::once(first).chain(others);
        let pool = Pool::start(connections, queue, deadline).map_err(OpenError::Threads)?;
        Ok(Self { pool })
    }

    /// Runs `work` on a live session of a worker; after an error that may leave the session in
    /// mid-operation, the session is dropped.
    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, HsmError> + Send + 'static,
    ) -> HsmFuture<'_, T> {
        let answer = self.pool.call(move |connection| {
            // Before the work and never in the midst of it: nothing that may have happened is done
            // twice.
            connection.revive()?;
            let result = work(connection);
            // A session in which an operation was left begun refuses the next one
            // (CKR_OPERATION_ACTIVE). Closing it is the way out that every version has.
            if matches!(result, Err(HsmError::Unavailable(_) | HsmError::Refused(_))) {
                connection.drop_session();
            }
            result
        });
        Box::pin(answer)
    }
}

impl Hsm for Pkcs11Hsm {
    fn make_key<'a>(&'a self, _permit: &'a Permit, key: HsmKey) -> HsmFuture<'a, ()> {
        self.call(move |connection| keys::make(connection, key))
    }

    fn destroy_root<'a>(&'a self, _permit: &'a Permit, key: HsmKey) -> HsmFuture<'a, ()> {
        self.call(move |connection| keys::destroy_root(connection, key))
    }

    fn abandon<'a>(&'a self, _permit: &'a Permit, deployment: DeploymentId) -> HsmFuture<'a, ()> {
        self.call(move |connection| keys::abandon(connection, deployment))
    }

    fn keys(&self, deployment: DeploymentId) -> HsmFuture<'_, Vec<HsmKey>> {
        self.call(move |connection| keys::list(connection, deployment))
    }

    fn check_key(&self, key: HsmKey) -> HsmFuture<'_, ()> {
        self.call(move |connection| crypt::check(connection, key))
    }

    fn seal<'a>(
        &'a self,
        _permit: &'a Permit,
        root: HsmKey,
        aad: Vec<u8>,
        secret: &'a DomainKey,
    ) -> HsmFuture<'a, Vec<u8>> {
        // EXPOSE: the worker's thread needs a copy of its own, which zeroizes as well.
        let secret = DomainKey::fill_with(|bytes| bytes.copy_from_slice(secret.expose_secret()));
        self.call(move |connection| crypt::seal(connection, root, &aad, &secret))
    }

    fn open(&self, root: HsmKey, aad: Vec<u8>, sealed: Vec<u8>) -> HsmFuture<'_, DomainKey> {
        self.call(move |connection| crypt::open(connection, root, &aad, &sealed))
    }

    fn sign(&self, key: HsmKey, message: Vec<u8>) -> HsmFuture<'_, [u8; 64]> {
        self.call(move |connection| crypt::sign(connection, key, &message))
    }

    fn public_key(&self, key: HsmKey) -> HsmFuture<'_, [u8; 32]> {
        self.call(move |connection| crypt::public_key(connection, key))
    }

    fn ping(&self) -> HsmFuture<'_, ()> {
        self.call(Connection::ping)
    }
}

#[cfg(test)]
mod tests;
