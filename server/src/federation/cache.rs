//! How long keys are used, and how often they are fetched. No I/O, and time is an argument.

use std::{sync::Arc, time::Duration};

use keyhaven_shared::jwt::KeySet;
use tokio::time::Instant;

/// The shortest time between two fetches: tokens with names of keys that do not exist can cause no more.
const PAUSE: Duration = Duration::from_secs(10);

/// One provider's keys, as fetched last.
#[derive(Default)]
pub(super) struct Cache {
    kept: Option<(Arc<KeySet>, Instant)>,
    tried: Option<Instant>,
}

/// What a look into the cache comes to.
pub(super) enum Look {
    /// These are good to be used.
    Use(Arc<KeySet>),
    /// They are to be fetched first.
    Fetch,
    /// There are none, and it is too early to try again.
    Nothing,
}

impl Cache {
    /// Looks for a key. Keys are fetched anew at half of their age, so that a provider may be away for the
    /// other half; and when one is asked for that is not among them, since providers rotate.
    pub(super) fn look(&self, key_id: &str, max_age: Duration, now: Instant) -> Look {
        let may_fetch = self.tried.is_none_or(|tried| now.duration_since(tried) >= PAUSE);
        match self.present(max_age, now) {
            Some(keys) => {
                let due = self.age(now) >= max_age / 2;
                let wanted = due || (!key_id.is_empty() && !keys.has(key_id));
                if wanted && may_fetch { Look::Fetch } else { Look::Use(keys) }
            }
            None if may_fetch => Look::Fetch,
            None => Look::Nothing,
        }
    }

    /// The keys that may still be used.
    pub(super) fn present(&self, max_age: Duration, now: Instant) -> Option<Arc<KeySet>> {
        let (keys, _) = self.kept.as_ref()?;
        (self.age(now) < max_age).then(|| Arc::clone(keys))
    }

    /// A fetch begins; meanwhile nobody else begins one.
    pub(super) const fn begin(&mut self, now: Instant) {
        self.tried = Some(now);
    }

    /// Keeps what was fetched. An empty set is kept, too: its provider has withdrawn all keys.
    pub(super) fn keep(&mut self, keys: Arc<KeySet>, now: Instant) {
        self.kept = Some((keys, now));
    }

    fn age(&self, now: Instant) -> Duration {
        self.kept.as_ref().map_or(Duration::MAX, |(_, since)| now.duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn keys(kid: &str) -> Arc<KeySet> {
        let json =
            format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"eA"}}]}}"#);
        Arc::new(KeySet::parse(json.as_bytes()).unwrap())
    }

    fn word(look: &Look) -> &'static str {
        match look {
            Look::Use(_) => "use",
            Look::Fetch => "fetch",
            Look::Nothing => "nothing",
        }
    }

    #[test]
    fn keys_are_used_until_they_are_too_old_and_fetched_anew_at_half_of_that() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        let at = |cache: &Cache, seconds: u64| {
            word(&cache.look("a", HOUR, start + Duration::from_secs(seconds)))
        };
        assert_eq!(at(&cache, 0), "fetch");
        cache.begin(start);
        assert_eq!((at(&cache, 0), at(&cache, 9), at(&cache, 10)), ("nothing", "nothing", "fetch"));
        cache.keep(keys("a"), start);
        assert_eq!((at(&cache, 0), at(&cache, 1799), at(&cache, 1800)), ("use", "use", "fetch"));
        // The provider is away.
        cache.begin(start + Duration::from_secs(3595));
        assert_eq!(
            (at(&cache, 3599), at(&cache, 3600), at(&cache, 3605)),
            ("use", "nothing", "fetch")
        );
    }

    #[test]
    fn a_name_that_is_not_known_causes_a_fetch_now_and_then_and_disturbs_no_other() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.begin(start);
        cache.keep(keys("a"), start);
        let at = |cache: &Cache, kid: &str, seconds: u64| {
            word(&cache.look(kid, HOUR, start + Duration::from_secs(seconds)))
        };
        assert_eq!(
            (at(&cache, "b", 9), at(&cache, "b", 10), at(&cache, "a", 10)),
            ("use", "fetch", "use")
        );
        cache.begin(start + Duration::from_secs(10));
        assert_eq!((at(&cache, "b", 19), at(&cache, "b", 20)), ("use", "fetch"));
    }

    #[test]
    fn a_set_without_keys_ends_those_that_were_kept() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.keep(keys("a"), start);
        cache.keep(Arc::default(), start);
        assert!(cache.present(HOUR, start).is_some_and(|keys| keys.is_empty()));
    }
}
