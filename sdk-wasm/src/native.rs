//! The client for Rust programs. Its modules in the order in which a message needs them.

// What everything else speaks of.
mod about;
mod error;
mod lock;
mod transport;

// The way to the server.
mod endpoint;
#[cfg(feature = "reqwest")]
mod https;

// What requests show, and what they and their answers say.
mod credential;
mod device_keys;
mod documents;
mod key_name;
mod proof;

mod api;

// Who asks.
mod device;
mod device_store;
mod minting;
mod tickets;

// Data keys: where they come from, how long they last, and who ends them.
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

// What the application calls.
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
