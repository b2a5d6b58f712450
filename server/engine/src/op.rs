//! What each operation does, given a permit. One file a capability.

pub mod keyring;

pub mod key;
pub mod key_name;
pub mod key_state;

pub mod crypt;
pub mod data_key;
pub mod ticket;

pub mod device;
pub mod principal;
pub mod token;

pub mod audit;
pub mod policy;
pub mod shred;
