//! What the client needs of the world: somebody who sends requests, and somebody who runs tasks.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use futures_util::Stream;

use super::error::TransportError;

/// A future behind a trait.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The pieces of an answer's body, as they arrive.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// Sends requests to the server.
///
/// With the feature `reqwest` there is [`Https`](crate::Https). An implementation follows no redirect, adds
/// no credential, keeps no answer, and verifies the server's certificate: with an API token, data keys
/// travel inside TLS and are protected by nothing else.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request; gives the answer as soon as its head is there, whatever its status. The body ends
    /// only where the server ended it: a connection that breaks is an error.
    ///
    /// # Errors
    /// [`TransportError`] when no answer came.
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> BoxFuture<'_, Result<http::Response<Body>, TransportError>>;
}

/// Runs the client's tasks and tells the time. With the feature `reqwest` there is [`Tokio`](crate::Tokio).
pub trait Runtime: Send + Sync + 'static {
    /// Runs a task to its end, beside its caller.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Waits.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// Now, by this machine's clocks.
    fn moment(&self) -> Moment {
        Moment::now()
    }
}

/// A moment on this machine, on both of its clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Never set back, but may stand still while the machine sleeps.
    pub monotonic: Instant,
    /// What people call the time.
    pub wall: SystemTime,
}

impl Moment {
    /// Now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the client's environment port")]
    pub fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// Time since an earlier moment, by whichever clock ran further: the wall clock can only make leases
    /// end early.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        monotonic.max(wall)
    }

    /// The wall clock since the Unix epoch.
    pub(crate) fn unix(self) -> Duration {
        self.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}
