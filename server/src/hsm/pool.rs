//! Threads for calls that block: one bounded queue, a deadline for whoever waits.
//!
//! PKCS#11 has no way to take a call back that has begun. So it is not the call that is bounded but
//! the wait for it; a thread that hangs is given up by its callers and comes back when the module
//! does.

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use keyhaven_engine::port::hsm::HsmError;
use tokio::sync::oneshot;

/// A call, with the answering of it.
type Job<W> = Box<dyn FnOnce(&mut W) + Send>;

/// A fixed number of threads, each owning one `W`. They end when the pool is dropped and their last
/// call has returned; dropping waits for that, but no longer than a call would.
/// `W` is handed to the calls of its thread alone and never shared: a PKCS#11 session must not be
/// used by two threads at once.
pub(crate) struct Pool<W> {
    jobs: SyncSender<Job<W>>,
    deadline: Duration,
    threads: Vec<JoinHandle<()>>,
    /// Disconnected once every thread has given up its `W`.
    // In a mutex only so that the pool can be shared.
    ended: Mutex<Receiver<()>>,
}

impl<W: Send + 'static> Pool<W> {
    /// Starts a thread for each of `owned`.
    /// The queue holds at most `queue` calls. `deadline` is counted from [`Self::call`], the time
    /// in the queue included.
    ///
    /// # Errors
    /// The operating system gave fewer threads than were asked for; those that it gave end.
    pub(crate) fn start(
        owned: impl Iterator<Item = W>,
        queue: usize,
        deadline: Duration,
    ) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::sync_channel(queue);
        let waiting = Arc::new(Mutex::new(waiting));
        let (ends, ended) = mpsc::channel();
        let mut threads = Vec::new();
        for worker in owned {
            let (waiting, ends) = (Arc::clone(&waiting), ends.clone());
            let work = move || {
                run(&waiting, worker);
                drop(ends);
            };
            threads.push(thread::Builder::new().name("hsm".to_owned()).spawn(work)?);
        }
        Ok(Self { jobs, deadline, threads, ended: Mutex::new(ended) })
    }

    /// Runs `work` on a free thread. Work that has not begun when its caller has gone or its deadline has
    /// passed is never begun.
    ///
    /// # Errors
    /// As `work`, or [`HsmError::Unavailable`]: at once when the queue is full, later at the
    /// deadline. Work that had begun by then goes on, and its result is dropped.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut W) -> Result<T, HsmError> + Send + 'static,
    ) -> Result<T, HsmError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<W> = Box::new(move |worker| {
            if !answer.is_closed() {
                // A caller that has gone meanwhile needs no answer.
                let _ = answer.send(work(worker));
            }
        });
        // Not waited for: that would be a second queue, in front of the first and without a bound.
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => unavailable("its queue is full"),
            TrySendError::Disconnected(_) => unavailable("its threads have ended"),
        })?;
        // Returning drops `answered`. That is how a job that still waits learns that it is not to
        // begin.
        match tokio::time::timeout(self.deadline, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(unavailable("the call broke off")),
            Err(_) => Err(unavailable("the deadline passed")),
        }
    }
}

impl<W> Drop for Pool<W> {
    /// A process that ends while a thread is still inside a PKCS#11 module takes the module's own data from
    /// under it, and crashes.
    fn drop(&mut self) {
        // Nobody asks any more: the threads find the queue closed.
        drop(mem::replace(&mut self.jobs, mpsc::sync_channel(0).0));
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(self.deadline) == Err(RecvTimeoutError::Disconnected) {
            for thread in self.threads.drain(..) {
                // It ended, by a panic or not.
                let _ = thread.join();
            }
        }
    }
}

/// Runs `work` on a thread of its own; `None` if it has not returned at the deadline. The thread then
/// stays until it does.
pub(crate) fn within<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (answer, answered) = mpsc::sync_channel(1);
    thread::Builder::new().name("hsm-start".to_owned()).spawn(move || answer.send(work())).ok()?;
    // A panic ends the wait, too: it drops the sender.
    answered.recv_timeout(deadline).ok()
}

/// Works off jobs until the pool is dropped and the queue is empty.
fn run<W>(waiting: &Mutex<Receiver<Job<W>>>, mut worker: W) {
    while let Some(job) = next(waiting) {
        // A panic in a call ends that call, not the thread; what the caller hears is that it broke off.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut worker)));
    }
}

/// The next job. One idle thread waits with the lock held, the other idle ones wait for the lock.
fn next<W>(waiting: &Mutex<Receiver<Job<W>>>) -> Option<Job<W>> {
    // The lock is not held while a job runs, so a job's panic cannot poison it.
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn unavailable(reason: &str) -> HsmError {
    HsmError::Unavailable(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Instant,
    };

    use super::*;

    /// Long enough for a busy machine, short enough to wait for.
    const DEADLINE: Duration = Duration::from_secs(1);

    fn pool(workers: usize, queue: usize) -> Pool<()> {
        Pool::start(std::iter::repeat_n((), workers), queue, DEADLINE).unwrap()
    }

    /// Work that hangs until the sender is dropped.
    fn hang() -> (mpsc::Sender<()>, impl FnOnce(&mut ()) -> Result<(), HsmError> + Send) {
        let (release, released) = mpsc::channel();
        let work = move |(): &mut ()| {
            // It ends with an error when the sender is dropped.
            assert!(released.recv().is_err());
            Ok(())
        };
        (release, work)
    }

    #[tokio::test]
    async fn a_hung_call_ends_at_its_deadline_and_others_go_on() {
        let pool = pool(2, 8);
        let (release, work) = hang();
        let hung = async {
            let begun = Instant::now();
            assert_eq!(pool.call(work).await, Err(unavailable("the deadline passed")));
            assert!(begun.elapsed() < DEADLINE * 5);
        };
        let other = async { assert_eq!(pool.call(|()| Ok(5)).await, Ok(5)) };
        tokio::join!(hung, other);
        drop(release);
    }

    #[tokio::test]
    async fn with_all_threads_hung_callers_still_hear_in_time_and_late_work_is_never_begun() {
        let pool = pool(1, 1);
        let (release, work) = hang();
        let begun = Arc::new(AtomicUsize::new(0));
        let count = || {
            let begun = Arc::clone(&begun);
            move |(): &mut ()| Ok(begun.fetch_add(1, Ordering::SeqCst))
        };
        assert_eq!(pool.call(work).await, Err(unavailable("the deadline passed")));
        assert_eq!(pool.call(count()).await, Err(unavailable("the deadline passed")));
        assert_eq!(pool.call(count()).await, Err(unavailable("its queue is full")));
        drop(release);
        while pool.call(|()| Ok(())).await.is_err() {}
        assert_eq!(begun.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_panic_ends_its_call_and_not_the_thread() {
        // Telling of a panic, with its backtrace, may take long.
        let pool = Pool::start(std::iter::once(()), 1, DEADLINE * 60).unwrap();
        let broken = pool.call(|()| -> Result<(), HsmError> { panic!("a faulty module") }).await;
        assert_eq!(broken, Err(unavailable("the call broke off")));
        assert_eq!(pool.call(|()| Ok(())).await, Ok(()));
    }

    #[test]
    fn dropping_waits_until_every_thread_has_given_up_what_it_owned_but_not_for_one_that_hangs() {
        /// Slow to close, as a session with a token is.
        struct Slow(Arc<AtomicUsize>);
        impl Drop for Slow {
            fn drop(&mut self) {
                thread::sleep(Duration::from_millis(50));
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let closed = Arc::new(AtomicUsize::new(0));
        let owned = (0..3).map(|_| Slow(Arc::clone(&closed)));
        drop(Pool::start(owned, 1, DEADLINE * 60).unwrap());
        assert_eq!(closed.load(Ordering::SeqCst), 3);

        let (release, work) = hang();
        let pool = Pool::start(std::iter::once(()), 1, Duration::from_millis(1)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(runtime.block_on(pool.call(work)).is_err());
        drop(pool);
        drop(release);
    }

    #[test]
    fn a_start_that_hangs_is_left() {
        assert_eq!(within(DEADLINE, || 5), Some(5));
        assert_eq!(within(Duration::from_millis(1), || thread::sleep(DEADLINE)), None);
    }
}
