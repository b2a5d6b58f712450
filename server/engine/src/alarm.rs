//! What was found to be tampered with. It stays refused until the next start, so that somebody looks at
//! it; the log, the metrics and `/readyz` tell.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{error::Error, integrity::Fault, row::Place};

/// Places remembered; beyond them a place is checked anew each time it is read, and refused as well.
const MOST: usize = 10_000;

/// What was found.
#[derive(Debug, Default)]
pub struct Alarms {
    quarantined: Mutex<BTreeMap<Place, Fault>>,
    rolled_back: AtomicBool,
}

impl Alarms {
    /// Refuses what is known to be tampered with.
    ///
    /// # Errors
    /// [`Error::RolledBack`], [`Error::Quarantined`].
    pub(crate) fn check(&self, place: &Place) -> Result<(), Error> {
        self.check_store()?;
        let quarantined = self.quarantined.lock().unwrap_or_else(PoisonError::into_inner);
        if quarantined.contains_key(place) { Err(Error::Quarantined) } else { Ok(()) }
    }

    /// Refuses everything once the store was found to be older than it was.
    ///
    /// # Errors
    /// [`Error::RolledBack`].
    pub(crate) fn check_store(&self) -> Result<(), Error> {
        if self.rolled_back() { Err(Error::RolledBack) } else { Ok(()) }
    }

    /// Raises the alarm; answers what the caller is told.
    pub(crate) fn raise(&self, place: &Place, fault: Fault) -> Error {
        if fault == Fault::RolledBack {
            return self.raise_rolled_back();
        }
        let mut quarantined = self.quarantined.lock().unwrap_or_else(PoisonError::into_inner);
        let known = quarantined.contains_key(place);
        if !known {
            let (kind, id) = (place.kind.word(), &place.id);
            tracing::error!(kind, id, %fault, "ALARM: the store was tampered with; this is refused: run `keyhaven fsck`");
        }
        if quarantined.len() < MOST {
            quarantined.insert(place.clone(), fault);
        }
        Error::Quarantined
    }

    /// Raises the alarm that the whole store is not the newest any more.
    pub(crate) fn raise_rolled_back(&self) -> Error {
        if !self.rolled_back.swap(true, Ordering::AcqRel) {
            tracing::error!(
                "ALARM: the store was put back to an older state while it was served; everything is refused: stop the server and restore the newest state"
            );
        }
        Error::RolledBack
    }

    /// How many places are refused.
    #[must_use]
    pub fn quarantined(&self) -> usize {
        self.quarantined.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether the store was found to be older than it was.
    #[must_use]
    pub fn rolled_back(&self) -> bool {
        self.rolled_back.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Kind;

    #[test]
    fn what_was_found_stays_refused_and_the_rest_does_not() {
        let (alarms, other) = (Alarms::default(), Place::new(Kind::Key, "other"));
        let place = Place::new(Kind::Key, "k");
        assert_eq!(alarms.check(&place), Ok(()));
        for fault in [Fault::Changed, Fault::Deleted] {
            assert_eq!(alarms.raise(&place, fault), Error::Quarantined);
            assert_eq!((alarms.check(&place), alarms.quarantined()), (Err(Error::Quarantined), 1));
        }
        assert_eq!((alarms.check(&other), alarms.rolled_back()), (Ok(()), false));
        assert_eq!(alarms.raise(&other, Fault::RolledBack), Error::RolledBack);
        for place in [place, other] {
            assert_eq!(alarms.check(&place), Err(Error::RolledBack));
        }
        assert_eq!((alarms.quarantined(), alarms.rolled_back()), (1, true));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let alarms = Alarms::default();
        for number in 0..=MOST {
            let place = Place::new(Kind::Key, number);
            assert_eq!(alarms.raise(&place, Fault::Inserted), Error::Quarantined);
        }
        assert_eq!(alarms.quarantined(), MOST);
    }
}
