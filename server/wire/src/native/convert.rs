//! Documents in the engine's terms, and the engine's answers as documents.

pub(crate) mod audit;
pub(crate) mod crypt;
pub(crate) mod delivery;
pub(crate) mod device;
pub(crate) mod key;
pub(crate) mod keyring;
pub(crate) mod lease;
pub(crate) mod policy;
pub(crate) mod principal;

use keyhaven_shared::{api::StringMap, context::EncryptionContext};

use super::error::Refusal;

/// An encryption context out of a document.
fn context(map: StringMap) -> Result<EncryptionContext, Refusal> {
    EncryptionContext::from_pairs(map.0).map_err(|error| Refusal::Malformed(error.to_string()))
}

/// A word of a vocabulary out of a document.
fn word<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error| Refusal::Malformed(format!("{error}")))
}

/// What the next page begins after: the last item of a full page.
fn next<T>(items: &[T], limit: usize, name: fn(&T) -> &String) -> Option<String> {
    items.last().filter(|_| items.len() == limit).map(|last| name(last).clone())
}
