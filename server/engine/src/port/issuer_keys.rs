//! The keys of identity providers, as whoever fetches them has them.

use std::{future::Future, pin::Pin, sync::Arc};

use keyhaven_shared::jwt::KeySet;

/// The keys, later; `None` where there are none to be believed now.
pub type KeysFuture<'a> = Pin<Box<dyn Future<Output = Option<Arc<KeySet>>> + Send + 'a>>;

/// Knows the keys of the issuers that are configured.
///
/// Freshness: keys are no older than the bound that an operator set. When they cannot be had anew, there
/// are none: nobody is believed by keys that their provider may have withdrawn.
///
/// Reach: what is fetched, and where, follows from the configuration. `key_id` comes from a token that
/// nobody has checked; it may only decide whether to look sooner, and how often that happens is bounded.
pub trait IssuerKeys: Send + Sync {
    /// The keys of `issuer`, looked up anew if `key_id` is not among them.
    fn keys<'a>(&'a self, issuer: &'a str, key_id: &'a str) -> KeysFuture<'a>;
}
