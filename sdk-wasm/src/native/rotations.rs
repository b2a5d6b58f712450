//! Which versions of keys are no longer the newest.

use std::{collections::HashMap, sync::Mutex};

use keyhaven_shared::ids::{KeyId, Version};

use super::{held_key::SealedKey, lock::locked};

/// The newest version of each key that was rotated while this client listened. What was begun under an older
/// one goes on; the next message is written under the newest.
#[derive(Default)]
pub(crate) struct Rotations(Mutex<HashMap<KeyId, Version>>);

/// Beyond it older ones are forgotten: then the leases of their data keys are what ends their use.
const MOST: usize = 10_000;

impl Rotations {
    /// The server said that a key has a new version.
    pub(crate) fn hear(&self, key: KeyId, version: Version) {
        let mut newest = locked(&self.0);
        if newest.len() >= MOST {
            newest.clear();
        }
        let known = newest.entry(key).or_insert(version);
        *known = version.max(*known);
    }

    /// Whether a data key was made under a version that is not the newest any more.
    pub(crate) fn is_old(&self, sealed: &SealedKey) -> bool {
        locked(&self.0).get(&sealed.key).is_some_and(|newest| sealed.version < *newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_that_was_heard_of_counts_in_whatever_order_it_came() {
        let (rotations, key) = (Rotations::default(), KeyId::from_bytes([1; 16]));
        let version = |number| Version::new(number).unwrap();
        let old = |key, number| {
            rotations.is_old(&SealedKey { key, version: version(number), ciphertext: Vec::new() })
        };
        assert!(!old(key, 1));
        rotations.hear(key, version(3));
        rotations.hear(key, version(2));
        assert!(old(key, 2) && !old(key, 3) && !old(key, 4));
        assert!(!old(KeyId::from_bytes([2; 16]), 1));
    }
}
