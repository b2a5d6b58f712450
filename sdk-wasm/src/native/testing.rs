//! What the client's tests have in common: a clock set by hand, and a server played by the shared crate.

mod hands;
mod peer;

pub(crate) use self::{
    hands::{HandClock, START},
    peer::{Mood, Peer, context, issuer, signed_message, until},
};
