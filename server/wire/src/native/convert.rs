//! Documents in the engine's terms, and the engine's answers as documents.
//!
//! Each endpoint has two functions that stand side by side: one from path, query and body to an
//! act, one from the act's answer to a document. They know names and spellings and nothing of
//! rights, states or storage; what they refuse is what cannot be understood. Documents and engine
//! types are twins on purpose: either can change without the other, and no field gets into an
//! answer by being added to a row.

pub(crate) mod audit;
pub(crate) mod crypt;
pub(crate) mod delivery;
pub(crate) mod device;
pub(crate) mod identity;
pub(crate) mod key;
pub(crate) mod keyring;
pub(crate) mod lease;
pub(crate) mod policy;
pub(crate) mod principal;

use keyhaven_shared::{api::StringMap, context::EncryptionContext};

use super::error::Refusal;

/// An encryption context out of a document.
///
/// # Errors
/// [`Refusal::Malformed`] for an empty key, or more than 8192 bytes of keys and values; the text
/// repeats none of them.
fn context(map: StringMap) -> Result<EncryptionContext, Refusal> {
    EncryptionContext::from_pairs(map.0).map_err(|error| Refusal::Malformed(error.to_string()))
}

/// A word of a vocabulary, or an id, out of a document. One spelling each.
///
/// # Errors
/// [`Refusal::Malformed`], listing the words or saying the form.
fn word<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error| Refusal::Malformed(format!("{error}")))
}

/// What the next page begins after: the last item of a full page. `None` at the end. The page after
/// a full last one is empty.
fn next<T>(items: &[T], limit: usize, name: fn(&T) -> &String) -> Option<String> {
    // Names and ids are what lists are ordered by, so going on after one skips nothing.
    items.last().filter(|_| items.len() == limit).map(|last| name(last).clone())
}
