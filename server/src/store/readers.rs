//! The threads that read.
//!
//! SQLite's calls block on the disk, so they are kept off the threads that serve requests. Answers
//! of different reads may come in another order than they were asked in.

use std::{
    fmt,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, JoinHandle},
};

use keyhaven_engine::port::store::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{OpenError, schema};

/// Reads are short and mostly from memory: a few threads keep up with many requests.
const THREADS: usize = 2;

/// How many reads may wait for one thread before readers wait to queue.
const QUEUE: usize = 1024;

/// A query and the answering of it; says whether the connection is still good.
/// Boxed, since each asks for another type of answer.
type Query = Box<dyn FnOnce(&Connection) -> bool + Send>;

/// The threads that read, each with a connection of its own.
pub(super) struct Readers {
    /// One for each thread, in the order of `threads`.
    queues: Vec<mpsc::Sender<Query>>,
    threads: Vec<JoinHandle<()>>,
    /// Counts reads, to deal them out in turn.
    turn: AtomicUsize,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl Readers {
    /// Opens the connections here and not on the threads, so that a file that cannot be read stops
    /// the start.
    ///
    /// # Errors
    /// [`OpenError::Unusable`], [`OpenError::Thread`].
    pub(super) fn start(path: &Path) -> Result<Self, OpenError> {
        let mut readers =
            Self { queues: Vec::new(), threads: Vec::new(), turn: AtomicUsize::new(0) };
        for _ in 0..THREADS {
            let connection = schema::connect_reader(path).map_err(|error| OpenError::Unusable {
                path: path.to_owned(),
                cause: error.to_string(),
            })?;
            let (sender, queue) = mpsc::channel(QUEUE);
            let path = path.to_owned();
            let thread = thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || serve(&path, connection, queue))
                .map_err(|error| OpenError::Thread(error.to_string()))?;
            readers.queues.push(sender);
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// Runs a query on one of the threads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store closes meanwhile; else as the query says. A read
    /// has no effect, so it may be repeated after any of them.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let (answer, answered) = oneshot::channel();
        // Only the number counts: no other memory is handed over by it.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % THREADS;
        let queue = self.queues.get(turn).ok_or_else(closed)?;
        let query: Query = Box::new(move |connection| {
            let result = query(connection);
            let good = result.is_ok();
            // Nobody listens any more when the reader's future was dropped.
            drop(answer.send(result));
            good
        });
        queue.send(query).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Ends the threads once they answered what is queued.
    pub(super) fn stop(&mut self) {
        self.queues.clear();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a store reader died");
            }
        }
    }
}

/// Answers one query after the other until the queue is closed and empty.
fn serve(path: &Path, mut connection: Connection, mut queue: mpsc::Receiver<Query>) {
    while let Some(query) = queue.blocking_recv() {
        // After an error a new connection cannot be worse than the old one; with no new one to be had
        // (the disk is gone, say) the old one goes on refusing by itself.
        if !query(&connection)
            && let Ok(fresh) = schema::connect_reader(path)
        {
            connection = fresh;
        }
    }
}
