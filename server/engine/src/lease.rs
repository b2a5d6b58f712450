//! Telling devices that leases have ended. A hint: the lease's own end is the guarantee. Events are
//! numbered in the order in which they are announced; the upper half of a number is when this
//! server started, so that a device that comes back after a restart is told that it may have missed
//! some.
//!
//! Nothing that must be safe rests on this file. It is in memory, in one process: a restart, a lost
//! connection or a full buffer loses events, and the stream then says so.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use keyhaven_shared::{
    ids::{DeviceId, KeyId},
    lease_event::LeaseEnd,
};
use tokio::sync::broadcast;

/// What ended, for all devices that it concerns. Neither signed nor numbered for a device yet; each
/// stream does that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// Rising by one with each. Seconds of this server's start in the upper 32 bits, a count in the
    /// lower.
    pub serial: u64,
    /// Which leases end.
    pub end: LeaseEnd,
    /// When (Unix time).
    pub at: u64,
}

/// What a stream begins with. Taken in one step, so that no announcement falls between what was
/// missed and what comes.
#[derive(Debug)]
pub struct Watch {
    /// What was missed since the stream before.
    pub missed: Vec<Announcement>,
    /// The newest number: what comes from now on is greater.
    pub serial: u64,
    /// What is announced from now on.
    pub receiver: broadcast::Receiver<Announcement>,
}

/// Sends the ends of leases to the devices that hold them.
pub struct LeaseBoard {
    sender: broadcast::Sender<Announcement>,
    state: Mutex<State>,
}

struct State {
    /// Which keys a device holds leases of, until when. In Unix time, the offline grace included: a
    /// device may use the key until then.
    held: HashMap<DeviceId, HashMap<KeyId, u64>>,
    /// The newest last, at most [`RECENT`].
    recent: VecDeque<Announcement>,
    /// The number before the oldest announcement that is remembered.
    forgotten: u64,
    serial: u64,
    /// How many devices are remembered when those with ended leases are looked for again.
    sweep_at: usize,
}

/// Announcements kept for devices that reconnect.
/// A device that missed more is told to ask for everything anew.
const RECENT: usize = 1024;
/// Devices remembered; beyond it the ones with ended leases are forgotten. Not a hard bound: devices
/// whose leases still run are kept, and when these are many, the next look at all of them is later.
const MOST_DEVICES: usize = 100_000;

impl LeaseBoard {
    /// An empty board of a server that started at a time (Unix time).
    #[must_use]
    pub fn new(started: u64) -> Self {
        let serial = started << 32;
        let state = State {
            held: HashMap::new(),
            recent: VecDeque::new(),
            forgotten: serial,
            serial,
            sweep_at: MOST_DEVICES,
        };
        // A stream that falls further behind catches up from `recent`.
        Self { sender: broadcast::channel(256).0, state: Mutex::new(state) }
    }

    /// Remembers that a device holds a lease of a key until a time.
    /// Called when a delivery is made, before the gate: one event too many is harmless, one too few
    /// is not.
    pub fn hold(&self, (device, key): (DeviceId, KeyId), now: u64, until: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.held.len() >= state.sweep_at {
            state.held.retain(|_, keys| {
                keys.retain(|_, end| *end > now);
                !keys.is_empty()
            });
            state.sweep_at = MOST_DEVICES.max(state.held.len().saturating_mul(2));
        }
        let end = state.held.entry(device).or_default().entry(key).or_default();
        // A shorter lease does not end a longer one that the device still has.
        *end = until.max(*end);
    }

    /// Announces what ended. Called after the commit that ended it. Never waits for a device.
    pub fn announce(&self, end: LeaseEnd, at: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.serial += 1;
        let announcement = Announcement { serial: state.serial, end, at };
        if state.recent.len() >= RECENT
            && let Some(oldest) = state.recent.pop_front()
        {
            state.forgotten = oldest.serial;
        }
        // Kept and sent under one lock: a stream that begins now sees it in exactly one of the two.
        state.recent.push_back(announcement);
        // No receiver is no error: nobody watches.
        let _ = self.sender.send(announcement);
    }

    /// Follows announcements from now on, with those after `after` first. When some of these may be
    /// forgotten, one says in their place that everything must be asked for anew.
    #[must_use]
    pub fn watch(&self, after: Option<u64>, now: u64) -> Watch {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (serial, receiver) = (state.serial, self.sender.subscribe());
        let missed = match after {
            None => Vec::new(),
            Some(after) if (state.forgotten..=serial).contains(&after) => {
                let missed = state.recent.iter().filter(|recent| recent.serial > after);
                missed.copied().collect()
            }
            // From before this server started, from another, or forgotten: what was missed cannot
            // be told.
            Some(_) => vec![Announcement { serial, end: LeaseEnd::PolicyChanged, at: now }],
        };
        Watch { missed, serial, receiver }
    }

    /// Whether an end concerns a device. What keys others use is not told: the events of a key go
    /// to those alone that hold a lease of it, or did not long ago.
    #[must_use]
    pub fn concerns(&self, device: DeviceId, end: LeaseEnd) -> bool {
        match end {
            // Which policy changed, and for whom, is not looked into: each device asks anew.
            LeaseEnd::PolicyChanged | LeaseEnd::Nothing => true,
            LeaseEnd::DeviceRevoked(revoked) => revoked == device,
            LeaseEnd::KeyStopped(key) | LeaseEnd::KeyRotated(key, _) => {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.held.get(&device).is_some_and(|keys| keys.contains_key(&key))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use keyhaven_shared::ids::Version;

    use super::*;

    const STARTED: u64 = 1_800_000_000;
    const BASE: u64 = STARTED << 32;

    fn stopped(byte: u8) -> LeaseEnd {
        LeaseEnd::KeyStopped(KeyId::from_random([byte; 16]))
    }

    fn missed(board: &LeaseBoard, after: Option<u64>) -> Vec<(u64, LeaseEnd)> {
        let watch = board.watch(after, 7);
        watch.missed.into_iter().map(|missed| (missed.serial, missed.end)).collect()
    }

    #[test]
    fn a_device_hears_of_its_own_keys_only() {
        let board = LeaseBoard::new(STARTED);
        let (mine, other) = (KeyId::from_random([1; 16]), KeyId::from_random([2; 16]));
        let (device, stranger) =
            (DeviceId::from_thumbprint([3; 32]), DeviceId::from_thumbprint([4; 32]));
        board.hold((device, mine), 0, 10);
        for end in [LeaseEnd::KeyStopped, |key| LeaseEnd::KeyRotated(key, Version::FIRST)] {
            assert!(board.concerns(device, end(mine)));
            assert!(!board.concerns(device, end(other)));
            assert!(!board.concerns(stranger, end(mine)));
        }
        assert!(board.concerns(stranger, LeaseEnd::PolicyChanged));
        assert!(!board.concerns(stranger, LeaseEnd::DeviceRevoked(device)));
    }

    #[test]
    fn reconnecting_gives_what_was_missed() {
        let board = LeaseBoard::new(STARTED);
        for byte in 1..=3 {
            board.announce(stopped(byte), 0);
        }
        let all: Vec<_> = (1..=3).map(|byte| (BASE + u64::from(byte), stopped(byte))).collect();
        assert_eq!(missed(&board, Some(BASE)), all);
        assert_eq!(missed(&board, Some(BASE + 1)), all[1..]);
        assert_eq!(missed(&board, Some(BASE + 3)), []);
        assert_eq!(missed(&board, None), []);
        assert_eq!(board.watch(None, 0).serial, BASE + 3);
    }

    #[test]
    fn whoever_may_have_missed_something_forgotten_is_told_so() {
        let anew = |serial| [(serial, LeaseEnd::PolicyChanged)];
        let board = LeaseBoard::new(STARTED);
        for _ in 0..RECENT + 2 {
            board.announce(stopped(1), 0);
        }
        let newest = BASE + 2 + RECENT as u64;
        assert_eq!(missed(&board, Some(BASE + 1)), anew(newest));
        assert_eq!(missed(&board, Some(BASE + 2)).len(), RECENT);
        // A number that this server never gave: it was another's, or another life's.
        for foreign in [0, BASE - 1, newest + 1, u64::MAX, (STARTED - 1) << 32] {
            assert_eq!(missed(&board, Some(foreign)), anew(newest), "{foreign}");
        }
        let restarted = LeaseBoard::new(STARTED + 1);
        assert_eq!(missed(&restarted, Some(newest)), anew((STARTED + 1) << 32));
    }

    #[test]
    fn nothing_falls_between_what_was_missed_and_what_comes() {
        let board = LeaseBoard::new(STARTED);
        board.announce(stopped(1), 0);
        let mut watch = board.watch(Some(BASE), 0);
        board.announce(stopped(2), 0);
        assert_eq!((watch.missed.len(), watch.serial), (1, BASE + 1));
        assert_eq!(watch.receiver.try_recv().unwrap().serial, BASE + 2);
    }
}
