//! The store on SQLite: one data folder, one server.
//!
//! One thread owns the connection that writes. Commits queue for it, and as soon as one transaction is
//! done it takes all that came meanwhile into the next: under load many commits share one flush to the
//! disk, and a lone one does not wait. Threads of their own read.
//!
//! Durability: write-ahead log with `synchronous=FULL`, so an answered commit survives a power cut.
//!
//! Not guaranteed: that the file is what this server wrote. Whoever can write it can change a row
//! or put an old copy in its place; what the store returns is the engine's to check.

use std::{
    path::Path,
    thread::{self, JoinHandle},
};

use keyhaven_engine::{
    integrity::Nodes,
    port::store::{Extract, Kind, Place, Proposal, Store, StoreError, StoreFuture, Verdict},
};
use tokio::sync::{mpsc, oneshot};

use self::{folder::FolderLock, readers::Readers, writer::Job};
use crate::status::Status;

pub use self::error::OpenError;
pub(crate) use self::folder::make as make_folder;

mod error;
mod folder;
mod gate;
mod nodes;
mod readers;
mod rows;
mod schema;
mod writer;

/// The database's file in the data folder.
/// SQLite keeps its write-ahead log and shared memory beside it, as `store.db-wal` and
/// `store.db-shm`: a backup takes all of them, with the server stopped or by SQLite's own means.
pub(crate) const DATABASE: &str = "store.db";

/// How many commits may wait for the writer before committers wait to queue.
/// The bound is on memory: a queued proposal holds its documents. Waiting to queue is not an error.
const QUEUE: usize = 4096;

/// A store in a data folder. Dropping it finishes what is queued and closes the files.
#[derive(Debug)]
pub struct SqliteStore {
    /// `None` only while it is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    /// Joined when the store is dropped, so that the last commit is on the disk before the lock is
    /// free.
    writer: Option<JoinHandle<()>>,
    /// Reads never wait behind a commit: with a write-ahead log SQLite lets both go on at once.
    readers: Readers,
    /// Set by the writer after each transaction, read by whoever answers for the server's health.
    status: Status,
    /// Dropped last, when no thread has a file open any more.
    _lock: Option<FolderLock>,
}

impl SqliteStore {
    /// Opens the store in `folder`, making both if they are not there: the folder with mode 0700, its
    /// files with 0600. The folder is locked for as long as the store lives.
    ///
    /// # Errors
    /// [`OpenError`]: the folder is in use, not accessible, or holds what this version cannot read.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let lock = FolderLock::take(folder)?;
        let path = folder.join(DATABASE);
        folder::make_private(&path)?;
        // The lock is held by now: making and checking the tables is done by one process.
        let connection = schema::open_writer(&path)?;
        // A database whose name a power cut can undo would lose every commit that follows.
        folder::sync(folder)?;
        // After the writer, which has made the tables and the write-ahead log.
        let readers = Readers::start(&path)?;
        let status = Status::default();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = writer::Writer::new(path, connection, queue, status.clone());
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| OpenError::Thread(error.to_string()))?;
        Ok(Self { jobs: Some(jobs), writer: Some(writer), readers, status, _lock: Some(lock) })
    }

    /// Opens the store in `folder` to look at it, while a server may be at work there. Nothing can be
    /// committed.
    ///
    /// # Errors
    /// [`OpenError`], as [`Self::open`].
    pub fn inspect(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(DATABASE);
        schema::check(&path)?;
        let (readers, status) = (Readers::start(&path)?, Status::default());
        Ok(Self { jobs: None, writer: None, readers, status, _lock: None })
    }

    /// What stands in the tables and belongs to no place; nothing reads it.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn strays(&self) -> Result<Vec<String>, StoreError> {
        self.readers.ask(rows::strays).await
    }

    /// What is wrong with the store as of its last transaction; `None` when all is well.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.status.trouble()
    }

    /// Queues a job and waits for its answer.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the job was never queued; [`StoreError::Unknown`] when it
    /// was and no answer came; else as the writer says. Dropping the future does not take a queued
    /// job back.
    async fn ask<T>(
        &self,
        job: impl FnOnce(writer::Answer<T>) -> Job + Send,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        jobs.send(job(answer)).await.map_err(|_| closed())?;
        // Only a writer that died drops an answer, and perhaps it died after its commit.
        answered.await.map_err(|_| StoreError::Unknown("the store's writer died".to_owned()))?
    }
}

impl Store for SqliteStore {
    // Reads and writes go different ways on purpose. A read sees at least every commit that was
    // answered before it began; it may miss one that is on its way, and the gate then refuses what
    // rested on it.
    fn read(&self, place: Place) -> StoreFuture<'_, Extract> {
        Box::pin(self.readers.ask(move |connection| rows::read(connection, &place)))
    }

    fn list(
        &self,
        kind: Kind,
        prefix: String,
        after: String,
        limit: usize,
    ) -> StoreFuture<'_, Extract> {
        Box::pin(
            self.readers
                .ask(move |connection| rows::list(connection, kind, (prefix, after), limit)),
        )
    }

    fn branch(&self, branch: u8) -> StoreFuture<'_, Nodes> {
        Box::pin(self.readers.ask(move |connection| nodes::branch(connection, branch)))
    }

    fn commit(&self, proposal: Proposal) -> StoreFuture<'_, Verdict> {
        Box::pin(self.ask(move |answer| Job::Commit(proposal, answer)))
    }

    fn entries(&self, from: u64, limit: usize) -> StoreFuture<'_, Vec<(u64, Vec<u8>)>> {
        Box::pin(self.readers.ask(move |connection| rows::entries(connection, from, limit)))
    }

    fn prune_entries(&self, below: u64) -> StoreFuture<'_, ()> {
        Box::pin(self.ask(move |answer| Job::Prune(below, answer)))
    }

    fn next_index(&self) -> StoreFuture<'_, u64> {
        Box::pin(self.readers.ask(rows::next_index))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {
            // Both ways are asked: a disk that is full still reads, and a dead reader thread still
            // lets commits by.
            self.readers.ask(rows::next_index).await?;
            self.ask(Job::Ping).await
        })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // Readers first: a checkpoint at the end is not held up by a reader's snapshot.
        self.readers.stop();
        // The writer empties its queue and ends when nobody can send any more.
        drop(self.jobs.take());
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the store's writer died");
        }
    }
}

#[cfg(test)]
mod tests;
