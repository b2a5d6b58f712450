//! Device proofs that were accepted, so that none is accepted twice.
//!
//! A proof dates itself, and is good for [`WINDOW`] seconds before and after its date. What is remembered
//! is bounded by a *floor*: proofs dated below it are refused, whether or not they are known. Whatever is
//! forgotten, by age, for want of room or because the process began anew, lies below the floor. So there
//! is no gap, and no trust in the clock going forward only.
//!
//! A proof dated in the future could outlive this process above the next one's floor. Its use is counted
//! in the store as well, in the same transaction as the operation: see [`ahead`].

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use keyhaven_shared::{
    http_signature::SignatureParams,
    ids::{DeviceId, TicketId},
};
use sha2::{Digest, Sha256};

use crate::{
    error::{DeviceFault, Error},
    port::store::Spend,
};

/// How far a proof's date may be from the server's clock, in seconds.
/// Either way: a device's clock may be behind or ahead. Longer means more to remember.
pub(crate) const WINDOW: u64 = 300;

/// Proofs remembered of one device; beyond it the older half is forgotten, and the device's floor rises.
/// Some 800 a second over both halves of the window: no honest device comes near, and a hostile one
/// hurts itself.
const MOST_OF_DEVICE: usize = 500_000;
/// Proofs remembered in all, some 100 MiB; beyond it nothing is accepted.
/// Refusing is the safe side: forgetting here would let a recorded request pass again. It takes
/// eight devices at their own limit.
const MOST: usize = 4_000_000;
/// How often, in seconds, what is too old to be accepted is forgotten.
const ROUND: u64 = 60;

/// The proofs that were accepted.
/// One lock for all of them: what is done under it is a look-up, and now and then a sweep.
#[derive(Default)]
pub(crate) struct AcceptedProofs {
    // A poisoned lock is taken all the same, here and below: no step leaves the state half-changed
    // in a way that would accept a proof twice.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Proofs dated below it are refused.
    /// It never falls, whatever the clock does.
    floor: u64,
    /// By device, so that one that sends too much pushes out none of the others'.
    devices: HashMap<DeviceId, Known>,
    /// Proofs of all devices together.
    count: usize,
    /// When it was swept last, in Unix time.
    swept: u64,
}

/// One device's proofs.
/// Its floor is the common one's twin: it rises when this device's older half is forgotten.
#[derive(Default)]
struct Known {
    floor: u64,
    /// The date of each proof, by the first half of its nonce. Honest nonces are random; a device that
    /// makes two alike in that half is refused the second.
    dates: HashMap<[u8; 8], u64>,
}

impl AcceptedProofs {
    /// Refuses whatever may have been accepted by a process before this one, which ended before
    /// `now`. Called at start, before the first request, with the time at which starting began. The
    /// earlier process may have accepted proofs dated up to [`WINDOW`] after that; those were
    /// counted in the store.
    pub(crate) fn begin_after(&self, now: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.floor = state.floor.max(now.saturating_add(1));
    }

    /// Accepts a proof whose signature holds, once. `now` in Unix time. The caller has checked that
    /// the date is within [`WINDOW`] of it. Atomic: of many equal proofs at once, one is accepted.
    ///
    /// # Errors
    /// [`DeviceFault::Replayed`]; [`DeviceFault::ProofTooOld`] for one that may have been forgotten;
    /// [`Error::Unavailable`] when there is no room.
    pub(crate) fn accept(&self, params: &SignatureParams, now: u64) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.abs_diff(state.swept) >= ROUND {
            state.sweep(now);
        }
        // Before the floor and the nonce, so that a full memory gives one answer to everybody.
        if state.count >= MOST {
            tracing::error!("no room for more device proofs: refusing them until older ones end");
            return Err(Error::Unavailable);
        }
        let known = state.devices.get(&params.device);
        let floor = known.map_or(state.floor, |known| known.floor.max(state.floor));
        if params.created < floor {
            return Err(Error::Device(DeviceFault::ProofTooOld));
        }
        // Only from here on is a device remembered: refused proofs take no memory.
        let known = state.devices.entry(params.device).or_default();
        let nonce = first_half(params.nonce);
        if known.dates.contains_key(&nonce) {
            return Err(Error::Device(DeviceFault::Replayed));
        }
        known.dates.insert(nonce, params.created);
        let forgotten = known.make_room();
        state.count = state.count.saturating_add(1).saturating_sub(forgotten);
        Ok(())
    }
}

impl State {
    /// Forgets what is too old to be accepted.
    fn sweep(&mut self, now: u64) {
        self.swept = now;
        // The floor first: whatever is forgotten below must lie under it. `max`, because a clock
        // that was ahead has forgotten proofs that it would otherwise accept again.
        self.floor = self.floor.max(now.saturating_sub(WINDOW));
        let floor = self.floor;
        self.devices.retain(|_, known| {
            known.dates.retain(|_, created| *created >= floor);
            // A device's own floor is kept for as long as it is above the common one.
            !known.dates.is_empty() || known.floor > floor
        });
        self.count = self.devices.values().map(|known| known.dates.len()).sum();
    }
}

impl Known {
    /// Forgets the older half when there are too many, and says how many that were.
    fn make_room(&mut self) -> usize {
        let before = self.dates.len();
        if before <= MOST_OF_DEVICE {
            return 0;
        }
        let mut dates: Vec<u64> = self.dates.values().copied().collect();
        // The median in linear time: this runs under the lock of all devices.
        let (_, middle, _) = dates.select_nth_unstable(before / 2);
        // All of the middle's second goes, too: a floor inside a second would leave a gap.
        let floor = middle.saturating_add(1);
        self.floor = floor;
        self.dates.retain(|_, created| *created >= floor);
        before.saturating_sub(self.dates.len())
    }
}

/// 64 random bits, which is enough within one device's window, and half the memory.
const fn first_half(nonce: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = nonce;
    [a, b, c, d, e, f, g, h]
}

/// What the store is to count of a proof dated in the future: one use, until its date is too old
/// for any process. The name is a hash of device and nonce, which no random ticket's id equals.
/// `None` for a proof dated now or before. SHA-256 of device id and nonce, cut to 16 bytes; a
/// random id is a version 4 UUID, and that the hash meets one by chance is not to be feared.
#[must_use]
pub(crate) fn ahead(params: &SignatureParams, now: u64) -> Option<Spend> {
    if params.created <= now {
        return None;
    }
    let hash = Sha256::new().chain_update(params.device.as_bytes()).chain_update(params.nonce);
    let name = *hash.finalize().first_chunk()?;
    let expires = params.created.saturating_add(WINDOW);
    Some(Spend { ticket: TicketId::from_bytes(name), uses: 1, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const TOO_OLD: Error = Error::Device(DeviceFault::ProofTooOld);
    const REPLAYED: Error = Error::Device(DeviceFault::Replayed);

    fn proof(device: u8, nonce: u64, created: u64) -> SignatureParams {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&nonce.to_be_bytes());
        SignatureParams { created, nonce: bytes, device: DeviceId::from_thumbprint([device; 32]) }
    }

    #[test]
    fn a_proof_is_accepted_once_and_others_are_not_disturbed() {
        let proofs = AcceptedProofs::default();
        for other in [proof(1, 1, NOW), proof(1, 2, NOW), proof(2, 1, NOW), proof(2, 2, NOW - 9)] {
            assert_eq!(proofs.accept(&other, NOW), Ok(()));
            assert_eq!(proofs.accept(&other, NOW + 1), Err(REPLAYED));
        }
    }

    #[test]
    fn what_is_forgotten_is_refused_by_its_date_even_when_the_clock_goes_back() {
        let proofs = AcceptedProofs::default();
        assert_eq!(proofs.accept(&proof(1, 1, NOW), NOW), Ok(()));
        // A later request sweeps; the clock was an hour ahead, and is put right again.
        let later = NOW + 3600;
        assert_eq!(proofs.accept(&proof(2, 1, later), later), Ok(()));
        assert_eq!(proofs.state.lock().unwrap().count, 1);
        assert_eq!(proofs.accept(&proof(1, 1, NOW), NOW), Err(TOO_OLD));
        assert_eq!(proofs.accept(&proof(2, 1, later), NOW), Err(REPLAYED));
    }

    #[test]
    fn a_new_process_accepts_nothing_that_an_earlier_one_may_have() {
        let proofs = AcceptedProofs::default();
        proofs.begin_after(NOW);
        assert_eq!(proofs.accept(&proof(1, 1, NOW - 300), NOW), Err(TOO_OLD));
        assert_eq!(proofs.accept(&proof(1, 1, NOW), NOW), Err(TOO_OLD));
        assert_eq!(proofs.accept(&proof(1, 1, NOW + 1), NOW + 1), Ok(()));
    }

    #[test]
    fn only_a_proof_dated_in_the_future_is_counted_in_the_store() {
        assert_eq!(ahead(&proof(1, 1, NOW), NOW), None);
        let one = ahead(&proof(1, 1, NOW + 1), NOW).unwrap();
        assert_eq!((one.uses, one.expires), (1, NOW + 301));
        let names = [proof(1, 2, NOW + 1), proof(2, 1, NOW + 1)];
        for other in names {
            assert_ne!(ahead(&other, NOW).unwrap().ticket, one.ticket);
        }
    }

    #[test]
    fn a_device_that_sends_too_much_loses_its_own_older_half_and_no_other_device_anything() {
        let proofs = AcceptedProofs::default();
        let most = u64::try_from(MOST_OF_DEVICE).unwrap();
        assert_eq!(proofs.accept(&proof(2, 1, NOW - 300), NOW), Ok(()));
        for nonce in 0..=most {
            let date = NOW - 100 + nonce * 100 / most;
            assert_eq!(proofs.accept(&proof(1, nonce, date), NOW), Ok(()));
        }
        let count = proofs.state.lock().unwrap().count;
        assert!((MOST_OF_DEVICE * 4 / 10..=MOST_OF_DEVICE / 2 + 1).contains(&count), "{count}");
        for nonce in [0, most / 4] {
            let date = NOW - 100 + nonce * 100 / most;
            assert_eq!(proofs.accept(&proof(1, nonce, date), NOW), Err(TOO_OLD));
        }
        assert_eq!(proofs.accept(&proof(1, most, NOW), NOW), Err(REPLAYED));
        assert_eq!(proofs.accept(&proof(1, most + 1, NOW), NOW), Ok(()));
        assert_eq!(proofs.accept(&proof(2, 2, NOW - 299), NOW), Ok(()));
    }

    #[test]
    fn without_room_nothing_is_accepted_until_older_proofs_end() {
        let proofs = AcceptedProofs::default();
        assert_eq!(proofs.accept(&proof(1, 1, NOW), NOW), Ok(()));
        proofs.state.lock().unwrap().count = MOST;
        assert_eq!(proofs.accept(&proof(1, 2, NOW), NOW + 1), Err(Error::Unavailable));
        let later = NOW + WINDOW + 1;
        assert_eq!(proofs.accept(&proof(1, 2, later), later), Ok(()));
        assert_eq!(proofs.state.lock().unwrap().count, 1);
    }
}
