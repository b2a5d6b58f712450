//! Maps of strings in documents.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, de};

/// A map of strings: an encryption context, or tags. A key that stands twice is refused: of two readers
/// of the same text, one might take the first and the other the last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StringMap(pub BTreeMap<String, String>);

impl StringMap {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Sets a key's value, and gives the one it had.
    pub fn insert(&mut self, key: String, value: String) -> Option<String> {
        self.0.insert(key, value)
    }
}

impl From<BTreeMap<String, String>> for StringMap {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self(map)
    }
}

impl FromIterator<(String, String)> for StringMap {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for StringMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// Reads pair by pair: a map type's own reader would keep the last of two in silence.
struct PairsVisitor;

impl<'de> de::Visitor<'de> for PairsVisitor {
    type Value = StringMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<StringMap, A::Error> {
        // Keys are compared after JSON's escapes were read: two spellings of one key are one key.
        let mut map = BTreeMap::new();
        while let Some((key, value)) = access.next_entry()? {
            if map.insert(key, value).is_some() {
                return Err(de::Error::custom("a key appears twice"));
            }
        }
        Ok(StringMap(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let map: StringMap = serde_json::from_str(r#"{"b":"2","a":"1"}"#).unwrap();
        assert_eq!(serde_json::to_string(&map).unwrap(), r#"{"a":"1","b":"2"}"#);
        for bad in [
            r#"{"a":"1","a":"1"}"#,
            r#"{"a":"1","\u0061":"2"}"#,
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"[["a","1"]]"#,
            "null",
        ] {
            assert!(serde_json::from_str::<StringMap>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_that_only_look_alike_are_two() {
        let map: StringMap =
            serde_json::from_str("{\"caf\u{e9}\":\"1\",\"cafe\u{301}\":\"2\"}").unwrap();
        assert_eq!(map.0.len(), 2);
    }

    proptest! {
        #[test]
        fn maps_round_trip_whatever_characters_they_hold(
            map in proptest::collection::btree_map(".{0,6}", ".{0,6}", 0..6),
        ) {
            let map = StringMap(map);
            let text = serde_json::to_string(&map).unwrap();
            let read: StringMap = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, &map);
            prop_assert_eq!(map.0.into_iter().collect::<StringMap>(), read);
        }

        #[test]
        fn a_key_given_again_anywhere_is_refused(
            keys in proptest::collection::btree_set("[a-z]{1,4}", 1..6),
            again: proptest::sample::Index,
            at: proptest::sample::Index,
        ) {
            let mut pairs: Vec<_> = keys.iter().map(|key| format!("\"{key}\":\"\"")).collect();
            let text = |pairs: &[String]| format!("{{{}}}", pairs.join(","));
            prop_assert!(serde_json::from_str::<StringMap>(&text(&pairs)).is_ok());
            let pair = pairs[again.index(pairs.len())].clone();
            pairs.insert(at.index(pairs.len() + 1), pair);
            prop_assert!(serde_json::from_str::<StringMap>(&text(&pairs)).is_err());
        }
    }
}
