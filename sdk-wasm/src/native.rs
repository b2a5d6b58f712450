//! The client for Rust programs. Its modules in the order in which a message needs them.

mod about;
mod error;
mod lock;
mod transport;

mod endpoint;
#[cfg(feature = "reqwest")]
mod https;

mod credential;
mod device_keys;
mod documents;
mod key_name;
mod proof;

mod api;

mod device;
mod device_store;
mod minting;
mod tickets;

mod clock;
mod data_keys;
mod device_source;
mod held_key;
mod keeper;
mod lease;
mod leases;
mod limits;
mod listener;
mod reachability;
mod recent;
mod rotations;
mod single_flight;
mod sse;
mod token_source;

mod client;
mod decryption;
mod encryption;
mod io;
mod stream;
mod work;

#[cfg(feature = "reqwest")]
pub use self::https::{Https, Tokio};
pub use self::{
    about::context,
    client::Client,
    credential::Credential,
    decryption::{Decryption, MessageInfo},
    device::{Device, Enrol},
    device_store::{DeviceStore, FileStore, MemoryStore, StoreLock},
    encryption::Encryption,
    endpoint::Endpoint,
    error::{
        ArgumentFault, Error, IntegrityFault, LeaseEnd, Refusal, SourceError, TransportError,
        UnsupportedFault,
    },
    io::{DecryptingReader, EncryptingWriter},
    limits::Limits,
    minting::{Minted, Minting, TicketTerms},
    tickets::{DeviceOperation, TicketRequest, TicketSource},
    transport::{Body, BoxFuture, Moment, Runtime, Transport},
};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
