//! The thread that writes the log.
//!
//! It has a runtime of its own, so its waiting for the disk or the HSM holds up no request. And
//! requests do not wait for it: their entries are durable in the store before they are answered.

use std::{path::PathBuf, sync::Arc, thread, time::Duration};

use keyhaven_engine::port::{
    hsm::{Hsm, HsmKey},
    store::Store,
};
use tokio::{
    runtime,
    sync::{Notify, mpsc, oneshot},
    time,
};

use super::{
    error::AuditError,
    log::{Log, Ports},
};
use crate::status::Status;

/// The least time from one checkpoint to the next, so that the HSM and the disk have others' work to do.
/// Under load one signature then covers all that was committed in it.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest time that an entry waits when nobody notified.
/// It is counted after the pause. It also is how soon a step is tried again after an error.
const WAIT: Duration = Duration::from_millis(200);

/// Somebody who waits until what was committed is signed.
type Flush = oneshot::Sender<Result<(), AuditError>>;

/// Writes the log on a thread of its own. Dropping it ends the thread soon; [`Self::stop`] says when.
#[derive(Debug)]
pub struct Sequencer {
    /// Its being dropped is how the thread learns that it is to end.
    flushes: mpsc::UnboundedSender<Flush>,
    /// Cuts the wait short. A notice that comes early is kept, and one is as good as many.
    wake: Arc<Notify>,
    /// What came of the last step.
    status: Status,
    /// Resolves when the thread has let go of the store and the HSM.
    ended: oneshot::Receiver<()>,
}

impl Sequencer {
    /// Opens the log in `folder`, checks all of it, and begins to write. `origin` names the log, for
    /// good: it stands in each checkpoint and in the verifier key.
    ///
    /// # Errors
    /// [`AuditError`]: the folder cannot be written, the log in it is not what was signed, it and the
    /// store do not fit together, or the HSM does not sign. The server must not serve then.
    pub async fn start(
        store: Arc<dyn Store>,
        hsm: Arc<dyn Hsm>,
        log_key: HsmKey,
        folder: PathBuf,
        origin: String,
    ) -> Result<Self, AuditError> {
        let (flushes, requests) = mpsc::unbounded_channel();
        let (start, started) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let sequencer = Self { flushes, wake: Arc::default(), status: Status::default(), ended };
        let (wake, status) = (Arc::clone(&sequencer.wake), sequencer.status.clone());
        let ports = Ports { store, hsm, log_key, folder };
        // Opening checks the whole log, which may take long: it is done on the thread, too, and its
        // outcome is sent back before anything is served.
        let work = async move {
            let opened = Log::open(ports, &origin).await;
            let (log, result) = match opened {
                Ok(log) => (Some(log), Ok(())),
                Err(error) => (None, Err(error)),
            };
            if let (Ok(()), Some(log)) = (start.send(result), log) {
                run(log, requests, wake, status).await;
            }
        };
        let thread = thread::Builder::new().name("audit-log".to_owned()).spawn(move || {
            // Files are written on this thread, so it is no worker of anyone's else runtime.
            if let Ok(runtime) = runtime::Builder::new_current_thread().enable_time().build() {
                runtime.block_on(work);
            }
            drop(end);
        });
        thread.map_err(|_| AuditError::Stopped)?;
        started.await.map_err(|_| AuditError::Stopped)??;
        Ok(sequencer)
    }

    /// Says that something was committed. Not needed, but the log follows sooner.
    pub fn notify(&self) {
        self.wake.notify_one();
    }

    /// What keeps the log from being written right now; `None` when all is well. Entries are safe in the
    /// store meanwhile.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        if self.flushes.is_closed() {
            return Some(AuditError::Stopped.to_string());
        }
        self.status.trouble()
    }

    /// Waits until all that was committed before the call is under a signed checkpoint.
    ///
    /// # Errors
    /// [`AuditError`], what kept it from being so.
    pub async fn flush(&self) -> Result<(), AuditError> {
        let (flush, flushed) = oneshot::channel();
        self.flushes.send(flush).map_err(|_| AuditError::Stopped)?;
        flushed.await.map_err(|_| AuditError::Stopped)?
    }

    /// Flushes and ends. The store and the HSM are not held any more when it returns.
    ///
    /// # Errors
    /// [`AuditError`], as [`Self::flush`]; it has ended then, too.
    pub async fn stop(self) -> Result<(), AuditError> {
        let flushed = self.flush().await;
        let Self { flushes, ended, .. } = self;
        drop(flushes);
        // The other half is dropped at the thread's end and never sends: an error is what is awaited.
        drop(ended.await);
        flushed
    }
}

/// Steps until nobody can ask for a flush any more. An error ends a step and not the loop: what is
/// missing may come back.
async fn run(
    mut log: Log,
    mut requests: mpsc::UnboundedReceiver<Flush>,
    wake: Arc<Notify>,
    status: Status,
) {
    loop {
        let pause = async {
            time::sleep(PAUSE).await;
            // Woken or not, it is time.
            drop(time::timeout(WAIT, wake.notified()).await);
        };
        let flush = tokio::select! {
            // `Notify` and the channel lose nothing when the other branch wins.
            request = requests.recv() => match request {
                Some(flush) => Some(flush),
                None => return,
            },
            () = pause => None,
        };
        let result = match flush {
            // Each request gets a run of its own: what was committed before the call may have come
            // after the last run's look.
            Some(_) => sign_all(&mut log).await,
            None => log.advance().await,
        };
        status.set("audit log", result.as_ref().err().map(ToString::to_string));
        if flush.is_some_and(|flush| flush.send(result).is_err()) {
            tracing::debug!("nobody waited for the flush any more");
        }
    }
}

/// Steps until what was committed at the beginning is signed; what comes meanwhile is not waited
/// for.
async fn sign_all(log: &mut Log) -> Result<(), AuditError> {
    let target = log.next_index().await?;
    log.advance().await?;
    while log.signed() < target {
        log.advance().await?;
    }
    Ok(())
}
