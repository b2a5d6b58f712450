//! The thread that writes.
//!
//! It takes all jobs that wait, does them in one transaction, and answers them after the COMMIT has
//! returned. One flush to the disk serves the whole batch. A job's answer is never sent before its
//! data is durable.
//!
//! After an error that may have left its connection unusable it goes on with a new one. It repeats
//! nothing by itself: a proposal that failed is its caller's to make again, against rows as they
//! then are.

use std::{
    mem,
    path::PathBuf,
    time::{Duration, Instant},
};

use keyhaven_engine::{
    integrity::Register,
    port::store::{Proposal, StoreError, Verdict},
};
use rusqlite::{Connection, Error, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{gate::Gate, schema};
use crate::status::Status;

/// How many jobs share a transaction at most.
/// A larger batch would spare little more of the flush and make everyone in it wait longer.
const BATCH: usize = 512;

/// How often the uses of ended tickets are forgotten.
/// Tidying shares a transaction with other jobs and costs no flush of its own.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// How long replaced key material may stay in the write-ahead log while commits keep coming.
/// Sooner than that it happens whenever the queue is empty.
const ERASE_WITHIN: Duration = Duration::from_secs(1);

/// Where an answer goes. It is not heard any more when the asking future was dropped.
pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked to do.
pub(super) enum Job {
    /// Judge a proposal.
    Commit(Proposal, Answer<Verdict>),
    /// Forget the entries below an index.
    Prune(u64, Answer<()>),
    /// Write something durably.
    Ping(Answer<()>),
    /// Do this to the connection, to see what happens then.
    #[cfg(test)]
    Meddle(Option<Meddling>, Answer<()>),
}

/// What a test does to the writer's connection.
#[cfg(test)]
pub(super) type Meddling = Box<dyn FnOnce(&mut Connection) + Send>;

/// The writer: its connection, and what it still means to do.
/// SQLite allows one writer at a time; that this thread is the only one means no commit ever waits
/// for a lock or is turned away by one.
pub(super) struct Writer {
    /// The database file, to open it again.
    path: PathBuf,
    /// `None` after an error that may have left the connection unusable.
    connection: Option<Connection>,
    /// As the last transaction left it; none after one that failed.
    register: Option<Register>,
    queue: mpsc::Receiver<Job>,
    /// What the last transaction came to, for the health page.
    status: Status,
    /// When tickets were last forgotten; `None` before the first time.
    forgot: Option<Instant>,
    /// Since when replaced key material stands in the write-ahead log.
    erase_since: Option<Instant>,
}

impl Writer {
    /// A writer over a connection that [`schema::open_writer`] has checked. It begins with
    /// [`Self::run`].
    pub(super) fn new(
        path: PathBuf,
        connection: Connection,
        queue: mpsc::Receiver<Job>,
        status: Status,
    ) -> Self {
        // What was replaced just before a crash may still be in the write-ahead log.
        let erase_since = Some(Instant::now());
        let (connection, register) = (Some(connection), None);
        Self { path, connection, register, queue, status, forgot: None, erase_since }
    }

    /// Works until nobody can send any more and the queue is empty.
    pub(super) fn run(mut self) {
        let mut jobs = Vec::with_capacity(BATCH);
        while self.queue.blocking_recv_many(&mut jobs, BATCH) > 0 {
            let outcome = self.transact(&jobs);
            #[cfg(test)]
            self.meddle(&mut jobs);
            // The status comes first: whoever hears the answer and then asks for the health hears
            // the same.
            let batch = mem::take(&mut jobs);
            self.status.set("store", outcome.as_ref().err().map(ToString::to_string));
            answer(batch, outcome);
            self.erase();
        }
    }

    #[cfg(test)]
    fn meddle(&mut self, jobs: &mut [Job]) {
        for job in jobs {
            if let (Job::Meddle(meddling, _), Some(connection)) = (job, &mut self.connection) {
                meddling.take().into_iter().for_each(|meddling| meddling(connection));
            }
        }
    }

    /// Does the jobs in one transaction; the verdicts are those of the commits, in order.
    fn transact(&mut self, jobs: &[Job]) -> Result<Vec<Verdict>, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => schema::connect_writer(&self.path).map_err(unavailable)?,
        };
        // A monotonic clock: when to tidy does not depend on the time of day.
        let forget = self.forgot.is_none_or(|last| last.elapsed() > FORGET_EVERY);
        match attempt(&mut connection, jobs, (forget, self.register.take())) {
            Ok(done) => {
                self.connection = Some(connection);
                self.register = done.register;
                if forget {
                    // Only now: what was rolled back has not been forgotten.
                    self.forgot = Some(Instant::now());
                }
                if done.erases {
                    self.erase_since.get_or_insert_with(Instant::now);
                }
                Ok(done.verdicts)
            }
            // Certain, and so answered as unavailable: a caller may try again without fear of doing
            // it twice.
            Err(Failure::BeforeCommit(error)) => {
                // The transaction was rolled back; if that failed too, the connection goes with it.
                self.connection = connection.is_autocommit().then_some(connection);
                Err(error)
            }
            Err(Failure::AtCommit { error, first_index }) => {
                // Nothing is read through it any more: it may see its own failed transaction.
                drop(connection);
                Err(self.settle(&error, first_index))
            }
        }
    }

    /// Finds out what became of a transaction whose COMMIT failed. It is not visible, but its frames may
    /// stand in the write-ahead log, complete, and a recovery after a crash would bring them to life.
    /// Another durable transaction overwrites them: after that it is known that nothing was applied.
    fn settle(&mut self, error: &Error, first_index: u64) -> StoreError {
        // The frame that completes the transaction is written last: it did not fit, or was not tried.
        let incomplete = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::DatabaseBusy)
        );
        // Read as: undone for certain; applied after all; nothing to complete it with; nobody can
        // tell.
        match self.overwrite(first_index) {
            Ok(true) => unavailable_as(error),
            Ok(false) => StoreError::Unknown(format!("{error}, but it was applied")),
            Err(_) if incomplete => unavailable_as(error),
            Err(second) => StoreError::Unknown(format!("{error}, and then: {second}")),
        }
    }

    /// Commits something else in place of a failed transaction; `false` if that had been applied.
    fn overwrite(&mut self, first_index: u64) -> Result<bool, StoreError> {
        let mut connection = schema::connect_writer(&self.path).map_err(unavailable)?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(unavailable)?;
        let gate = Gate::begin(&transaction, None)?;
        // Every applied proposal has moved the index on. A batch without one has no verdict to be
        // wrong about.
        let unchanged = gate.first_index() == first_index;
        gate.ping().map_err(unavailable)?;
        transaction.commit().map_err(unavailable)?;
        self.connection = Some(connection);
        Ok(unchanged)
    }

    /// Empties the write-ahead log soon after key material was replaced, when nobody waits.
    /// `secure_delete` cleans the database's pages; older frames of the log still hold what they
    /// held, until a checkpoint moves them and cuts the file. Blocks that the file system has freed
    /// are not overwritten: that is the disk's encryption to cover.
    fn erase(&mut self) {
        let Some(since) = self.erase_since else {
            return;
        };
        let Some(connection) = &self.connection else {
            return;
        };
        if !self.queue.is_empty() && since.elapsed() < ERASE_WITHIN {
            return;
        }
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        match connection.query_row(checkpoint, (), |row| row.get::<_, i64>(0)) {
            Ok(0) => self.erase_since = None,
            // A reader's snapshot holds frames back. The mark stays, so the next batch tries again.
            Ok(_) => tracing::warn!("the write-ahead log is in use and was not emptied yet"),
            Err(error) => tracing::warn!(%error, "the write-ahead log was not emptied yet"),
        }
    }
}

/// What a committed transaction did.
struct Done {
    verdicts: Vec<Verdict>,
    erases: bool,
    register: Option<Register>,
}

/// Where a transaction failed.
enum Failure {
    /// Nothing can have been applied.
    BeforeCommit(StoreError),
    /// It may have been applied.
    AtCommit { error: Error, first_index: u64 },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::BeforeCommit(unavailable(error))
    }
}

/// Does the jobs in one transaction and commits it. Dropping the transaction on the way out, at any
/// `?`, rolls it back.
///
/// # Errors
/// [`Failure`], which tells whether anything can have been applied.
fn attempt(
    connection: &mut Connection,
    jobs: &[Job],
    (forget, register): (bool, Option<Register>),
) -> Result<Done, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut gate = Gate::begin(&transaction, register).map_err(Failure::BeforeCommit)?;
    let mut verdicts = Vec::with_capacity(jobs.len());
    for job in jobs {
        match job {
            Job::Commit(proposal, _) => verdicts.push(gate.judge(proposal)?),
            Job::Prune(below, _) => gate.prune(*below)?,
            Job::Ping(_) => gate.ping()?,
            #[cfg(test)]
            Job::Meddle(..) => {}
        }
    }
    if forget {
        gate.forget_tickets()?;
    }
    let (first_index, erases) = (gate.first_index(), gate.erases());
    let register = gate.finish()?;
    transaction.commit().map_err(|error| Failure::AtCommit { error, first_index })?;
    Ok(Done { verdicts, erases, register })
}

/// Tells each job what became of it. An error holds for the whole batch: its transaction was one.
fn answer(jobs: Vec<Job>, outcome: Result<Vec<Verdict>, StoreError>) {
    let (mut verdicts, done) = match outcome {
        Ok(verdicts) => (verdicts.into_iter(), Ok(())),
        Err(error) => (Vec::new().into_iter(), Err(error)),
    };
    for job in jobs {
        let heard = match job {
            Job::Commit(_, answer) => answer
                .send(done.clone().and_then(|()| {
                    let none = || StoreError::Unknown("the gate gave no verdict".to_owned());
                    verdicts.next().ok_or_else(none)
                }))
                .is_ok(),
            Job::Prune(_, answer) | Job::Ping(answer) => answer.send(done.clone()).is_ok(),
            #[cfg(test)]
            Job::Meddle(_, answer) => answer.send(done.clone()).is_ok(),
        };
        if !heard {
            // A future that was dropped takes nothing back: its proposal is committed and in the
            // log.
            tracing::debug!("nobody waited for a commit's answer any more");
        }
    }
}

/// SQLite's error, of a moment at which nothing was applied.
fn unavailable(error: Error) -> StoreError {
    unavailable_as(&error)
}

fn unavailable_as(error: &Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
