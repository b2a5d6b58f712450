//! Bytes in documents.

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Public bytes, in padded base64 (RFC 4648 §4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base64Bytes(pub Vec<u8>);

/// Secret bytes that a document carries in plaintext on purpose: to and from a backend that asked the
/// server to encrypt or decrypt for it. Zeroized on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PlaintextBytes(Vec<u8>);

impl PlaintextBytes {
    /// Takes the bytes over.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Hands the bytes on; they stay zeroized on drop.
    #[must_use]
    pub fn into_zeroizing(mut self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(core::mem::take(&mut self.0))
    }

    /// The secret bytes. Each call says in an `EXPOSE:` comment why it needs them.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Base64Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64::encode_string(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64Visitor).map(Self)
    }
}

impl Serialize for PlaintextBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The text is as secret as the bytes.
        let text = Zeroizing::new(Base64::encode_string(&self.0));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for PlaintextBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64Visitor).map(Self)
    }
}

/// Reads base64 strictly: no line breaks, no missing padding, no other alphabet (RFC 4648 §3).
struct Base64Visitor;

impl de::Visitor<'_> for Base64Visitor {
    type Value = Vec<u8>;

    // The parser puts it into its own errors, which name the kind of a value and not the value.
    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("bytes in padded base64")
    }

    // The text is not repeated in the error: it may be secret.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Base64::decode_vec(text).map_err(|_| E::custom("not valid padded base64"))
    }
}

/// What the OpenAPI document says of both types.
#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for super::Base64Bytes {
        fn schema_name() -> Cow<'static, str> {
            "Base64Bytes".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "contentEncoding": "base64" })
        }
    }

    impl JsonSchema for super::PlaintextBytes {
        fn schema_name() -> Cow<'static, str> {
            "PlaintextBytes".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "contentEncoding": "base64", "description": "secret" })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64_is_strict_and_errors_do_not_repeat_it() {
        let bytes: Base64Bytes = serde_json::from_str("\"AQI=\"").unwrap();
        assert_eq!(bytes.0, [1, 2]);
        for bad in ["\"AQI\"", "\"A-_=\"", "\"AQJ=\"", "\" AQI=\"", "7", "[1,2]"] {
            assert!(serde_json::from_str::<Base64Bytes>(bad).is_err(), "{bad}");
        }
        let error = serde_json::from_str::<PlaintextBytes>("\"SECRET!\"").err().unwrap();
        assert!(!error.to_string().contains("SECRET"));
    }

    #[test]
    fn white_space_line_ends_and_other_alphabets_are_refused() {
        for bad in [
            "AQ I=",
            "AQI=\\n",
            "AQI= ",
            "AQ\\r\\nI=",
            "AQI==",
            "AQ=I",
            "=AQI",
            "AQI",
            "AQ==AQ==",
            "A",
            "====",
            "-_-_",
            "AQI\u{ff1d}",
            "AQI=\\u0000",
        ] {
            let text = format!("\"{bad}\"");
            assert!(serde_json::from_str::<Base64Bytes>(&text).is_err(), "{text}");
            assert!(serde_json::from_str::<PlaintextBytes>(&text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Base64Bytes>("\"\"").unwrap().0.is_empty());
    }

    proptest! {
        #[test]
        fn public_and_secret_bytes_are_written_alike_and_read_back(bytes: Vec<u8>) {
            let text = serde_json::to_string(&Base64Bytes(bytes.clone())).unwrap();
            let secret = PlaintextBytes::new(bytes.clone());
            prop_assert_eq!(&serde_json::to_string(&secret).unwrap(), &text);
            let read: PlaintextBytes = serde_json::from_str(&text).unwrap();
            // EXPOSE: the test compares what came out.
            prop_assert_eq!(read.expose_secret(), &bytes);
            let handed_on = read.into_zeroizing();
            prop_assert_eq!(handed_on.as_slice(), &bytes);
        }

        #[test]
        fn bytes_have_one_spelling(text in "[A-Za-z0-9+/]{0,12}={0,3}") {
            let json = format!("\"{text}\"");
            if let Ok(bytes) = serde_json::from_str::<Base64Bytes>(&json) {
                prop_assert_eq!(serde_json::to_string(&bytes).unwrap(), json);
            }
        }
    }
}
