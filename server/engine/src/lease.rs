//! Telling devices that leases have ended. A hint: the lease's own end is the guarantee. Events are
//! numbered by the index of the audit entry that caused them, so the numbers only go up, also over a
//! restart, and a device can tell that it missed some.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use keyhaven_shared::{
    ids::{DeviceId, KeyId},
    lease_event::{LeaseEnd, LeaseEvent},
};
use tokio::sync::broadcast;

/// Sends the ends of leases to the devices that hold them.
pub struct LeaseBoard {
    sender: broadcast::Sender<LeaseEvent>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Which keys a device holds leases of, until when.
    held: HashMap<DeviceId, HashMap<KeyId, u64>>,
    recent: VecDeque<LeaseEvent>,
}

/// Events kept for devices that reconnect.
const RECENT: usize = 1024;
/// Devices remembered; beyond it the ones with ended leases are forgotten.
const MOST_DEVICES: usize = 100_000;

impl LeaseBoard {
    /// An empty board.
    #[must_use]
    pub fn new() -> Self {
        Self { sender: broadcast::channel(256).0, state: Mutex::default() }
    }

    /// Remembers that a device holds a lease of a key until a time.
    pub fn hold(&self, (device, key): (DeviceId, KeyId), now: u64, until: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.held.len() >= MOST_DEVICES {
            state.held.retain(|_, keys| keys.values().any(|end| *end > now));
        }
        let end = state.held.entry(device).or_default().entry(key).or_default();
        *end = until.max(*end);
    }

    /// Announces what ended.
    pub fn announce(&self, event: LeaseEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.recent.len() >= RECENT {
            state.recent.pop_front();
        }
        state.recent.push_back(event);
        // No receiver is no error: nobody watches.
        let _ = self.sender.send(event);
    }

    /// Follows events from now on, with those after `after` that are still remembered first. When some
    /// may be missing, the first says that everything must be asked for anew.
    #[must_use]
    pub fn watch(
        &self,
        after: Option<u64>,
        now: u64,
    ) -> (Vec<LeaseEvent>, broadcast::Receiver<LeaseEvent>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.sender.subscribe();
        let Some(after) = after else { return (Vec::new(), receiver) };
        if state.recent.front().is_some_and(|first| first.serial <= after) {
            let missed = state.recent.iter().filter(|event| event.serial > after);
            return (missed.copied().collect(), receiver);
        }
        let serial = state.recent.back().map_or(after, |last| last.serial.max(after));
        (vec![LeaseEvent { serial, end: LeaseEnd::PolicyChanged, at: now }], receiver)
    }

    /// Whether an event concerns a device. What keys others use is not told.
    #[must_use]
    pub fn concerns(&self, device: DeviceId, end: LeaseEnd) -> bool {
        match end {
            LeaseEnd::PolicyChanged => true,
            LeaseEnd::DeviceRevoked(revoked) => revoked == device,
            LeaseEnd::KeyStopped(key) => {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.held.get(&device).is_some_and(|keys| keys.contains_key(&key))
            }
        }
    }
}

impl Default for LeaseBoard {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(serial: u64, end: LeaseEnd) -> LeaseEvent {
        LeaseEvent { serial, end, at: 0 }
    }

    #[test]
    fn a_device_hears_of_its_own_keys_only() {
        let board = LeaseBoard::new();
        let (mine, other) = (KeyId::from_random([1; 16]), KeyId::from_random([2; 16]));
        let (device, stranger) =
            (DeviceId::from_thumbprint([3; 32]), DeviceId::from_thumbprint([4; 32]));
        board.hold((device, mine), 0, 10);
        assert!(board.concerns(device, LeaseEnd::KeyStopped(mine)));
        assert!(!board.concerns(device, LeaseEnd::KeyStopped(other)));
        assert!(!board.concerns(stranger, LeaseEnd::KeyStopped(mine)));
        assert!(board.concerns(stranger, LeaseEnd::PolicyChanged));
        assert!(!board.concerns(stranger, LeaseEnd::DeviceRevoked(device)));
    }

    #[test]
    fn reconnecting_gives_what_was_missed_or_says_that_something_was() {
        let board = LeaseBoard::new();
        let stopped = LeaseEnd::KeyStopped(KeyId::from_random([1; 16]));
        for serial in [5, 7, 9] {
            board.announce(event(serial, stopped));
        }
        assert_eq!(board.watch(Some(7), 0).0, [event(9, stopped)]);
        assert_eq!(board.watch(Some(9), 0).0, []);
        assert_eq!(board.watch(None, 0).0, []);
        assert_eq!(board.watch(Some(2), 0).0, [event(9, LeaseEnd::PolicyChanged)]);
        let restarted = LeaseBoard::new();
        assert_eq!(restarted.watch(Some(9), 0).0, [event(9, LeaseEnd::PolicyChanged)]);
    }
}
