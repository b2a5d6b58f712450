//! The native API's documents, as both sides write and read them: JSON, `snake_case`, bytes in padded
//! base64, times in whole seconds since the Unix epoch, durations in seconds (`…_s`).
//!
//! Unknown fields are refused, so that a misspelt option is an error and not silently ignored.

pub mod access;
pub mod audit;
pub mod bytes;
pub mod crypto;
pub mod delivery;
pub mod identities;
pub mod keys;
pub mod map;
pub mod policies;
pub mod problem;

/// Declares documents: each is `Serialize` and `Deserialize`, refuses unknown fields, and with the
/// `schema` feature describes itself.
// Doc comments in there become descriptions in the OpenAPI document: they are written for users of
// the API.
macro_rules! documents {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(serde::Serialize, serde::Deserialize)]
            #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
        )+
    };
}
pub(crate) use documents;

pub use self::map::StringMap;

#[cfg(test)]
mod tests;
