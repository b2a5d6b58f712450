//! A map that forgets what was not asked for longest.

use std::{collections::HashMap, hash::Hash};

/// At most so many values.
pub(crate) struct Recent<K, V> {
    most: usize,
    /// Each with the time of its last use.
    values: HashMap<K, (V, u64)>,
    /// Counts the uses.
    now: u64,
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, values: HashMap::new(), now: 0 }
    }

    /// A value, which is the newest from here on.
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut V> {
        self.now += 1;
        let now = self.now;
        self.values.get_mut(key).map(|(value, used)| {
            *used = now;
            value
        })
    }

    /// Keeps a value in place of an older one, if there is room for any.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.values.len() >= self.most && !self.values.contains_key(&key) {
            self.forget_oldest();
        }
        self.now += 1;
        if self.most > 0 {
            self.values.insert(key, (value, self.now));
        }
    }

    /// Forgets what a condition does not hold for.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&V) -> bool) {
        self.values.retain(|_, (value, _)| stays(value));
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.values.clear();
    }

    /// Looks at all: it comes after a request to a server, which takes longer.
    fn forget_oldest(&mut self) {
        let oldest = self.values.iter().min_by_key(|(_, (_, used))| *used);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.values.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_makes_room() {
        let mut recent = Recent::new(2);
        recent.insert("a", 1);
        recent.insert("b", 2);
        assert_eq!(recent.get(&"a"), Some(&mut 1));
        recent.insert("c", 3);
        assert_eq!(recent.get(&"b"), None);
        recent.insert("a", 4);
        assert_eq!((recent.get(&"a").copied(), recent.get(&"c").copied()), (Some(4), Some(3)));
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let mut recent = Recent::new(0);
        recent.insert("a", 1);
        assert_eq!(recent.get(&"a"), None);
    }
}
