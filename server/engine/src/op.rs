//! What each operation does, given a permit. One file a capability.
//!
//! Each is a struct of the request's arguments with an implementation of [`crate::act::Act`].
//! Whether the caller may has been decided before an act runs, and what it proposes takes effect
//! after it: so these files hold rules of the domain and nothing else. `Errors` of an act are those
//! of its arguments; every act can also fail as the store and, where keys are made or opened, as
//! the HSM does.

pub mod keyring;

pub mod key;
pub mod key_name;
pub mod key_state;

pub mod crypt;
pub mod data_key;
pub mod ticket;

pub mod device;
pub mod identity;
pub mod principal;
pub mod token;

pub mod audit;
pub mod policy;
pub mod shred;
