//! One answer for all who ask for the same thing at the same time.

use std::{collections::HashMap, hash::Hash, sync::Mutex};

use futures_util::future::{FutureExt, Shared, WeakShared};

use super::{error::Error, lock::locked, transport::BoxFuture};

type Flight<V> = BoxFuture<'static, Result<V, Error>>;

/// Runs one piece of work for a name at a time. When nobody waits for it any more, it is given up.
pub(crate) struct SingleFlight<K, V: Clone> {
    /// Weak: the work belongs to those who wait for it, so that it is dropped with the last of them.
    flights: Mutex<HashMap<K, WeakShared<Flight<V>>>>,
}

impl<K: Eq + Hash, V: Clone + Send + Sync + 'static> SingleFlight<K, V> {
    pub(crate) fn new() -> Self {
        Self { flights: Mutex::default() }
    }

    /// Waits for the work of that name, and begins it if nobody did. Who asks after its end asks anew.
    pub(crate) async fn join(
        &self,
        name: K,
        begin: impl FnOnce() -> Flight<V>,
    ) -> Result<V, Error> {
        let flight = self.joined(name, begin);
        flight.await
    }

    /// The work of that name: what somebody waits for already, or new.
    fn joined(&self, name: K, begin: impl FnOnce() -> Flight<V>) -> Shared<Flight<V>> {
        let mut flights = locked(&self.flights);
        // Few at any time, so that looking at all costs less than a task that would clean up.
        flights.retain(|_, flight| in_the_air(flight).is_some());
        if let Some(flight) = flights.get(&name).and_then(in_the_air) {
            return flight;
        }
        let flight = begin().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(name, weak);
        }
        flight
    }
}

/// The work, if somebody waits for it and it has not ended.
fn in_the_air<V: Clone>(flight: &WeakShared<Flight<V>>) -> Option<Shared<Flight<V>>> {
    flight.upgrade().filter(|flight| flight.peek().is_none())
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use futures_util::future::{join_all, pending};

    use super::*;

    /// Takes a second, and gives how often that was done before.
    fn counted(count: &Arc<AtomicUsize>) -> Flight<usize> {
        let count = Arc::clone(count);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(count.fetch_add(1, Ordering::SeqCst))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_at_once_share_one_answer_and_the_next_asks_anew() {
        let (flights, count) = (SingleFlight::new(), Arc::new(AtomicUsize::new(0)));
        let all = join_all((0..50).map(|_| flights.join("a", || counted(&count)))).await;
        assert!(all.into_iter().all(|answer| answer.unwrap() == 0));
        assert_eq!(flights.join("a", || counted(&count)).await.unwrap(), 1);
        let (one, other) = tokio::join!(
            flights.join("a", || counted(&count)),
            flights.join("b", || counted(&count)),
        );
        assert_ne!(one.unwrap(), other.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_gives_up_leaves_the_others_answer_alone() {
        let (flights, count) = (SingleFlight::new(), Arc::new(AtomicUsize::new(0)));
        let mut first = Box::pin(flights.join("a", || counted(&count)));
        assert!((&mut first).now_or_never().is_none());
        let second = flights.join("a", || counted(&count));
        drop(first);
        assert_eq!(second.await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_nobody_waits_for_is_given_up() {
        let flights = SingleFlight::new();
        let marker = Arc::new(());
        let held = Arc::clone(&marker);
        let mut asking = Box::pin(flights.join("a", || {
            Box::pin(async move {
                pending::<()>().await;
                drop(held);
                Ok(1)
            })
        }));
        assert!((&mut asking).now_or_never().is_none());
        drop(asking);
        assert_eq!(Arc::strong_count(&marker), 1);
        assert_eq!(flights.join("a", || Box::pin(async { Ok(2) })).await.unwrap(), 2);
    }
}
