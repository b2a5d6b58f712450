//! What the fuzzer runs. Each target takes any bytes and must come back: no panic, no endless loop, no
//! memory beyond its input's; and it checks what must hold for those bytes, such as that nothing forged
//! is accepted. A finding is a panic, so here panicking is the way to tell.
//!
//! `tests/fuzz/README.md` says how to run them. The tests of this crate run every target on its seeds and
//! on simple changes of them, without a fuzzer.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a fuzz target tells what it found by panicking"
)]

mod genuine;

pub mod bearer;
pub mod documents;
pub mod message;
pub mod plan;
pub mod sealed;
pub mod signed;
pub mod text;

mod seeds;

use std::sync::LazyLock;

pub use self::seeds::Seed;

/// One thing to fuzz.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of the fuzzer's binary, and of its folder of seeds.
    pub name: &'static str,
    /// Looks at one input.
    pub run: fn(&[u8]),
    /// The inputs to start from.
    pub seeds: fn() -> Vec<Seed>,
}

/// Inputs that are to be told from all others, made once.
type Genuine = LazyLock<Vec<Seed>>;

/// Whether the input is one of them.
fn is_among(genuine: &Genuine, data: &[u8]) -> bool {
    genuine.iter().any(|seed| seed.bytes == data)
}

macro_rules! targets {
    ($($name:ident: $run:path, $seeds:path;)+) => {
        /// All there are.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), run: $run, seeds: $seeds },)+];
    };
}

targets! {
    message_header: message::header, seeds::messages;
    message_body: message::body, seeds::messages;
    message_layout: message::layout, seeds::messages;
    message_frames: message::frames, seeds::scripts;
    message_round_trip: message::round_trip, seeds::scripts;
    message_plan: plan::plan, seeds::bodies;
    message_seek: plan::layout, seeds::scripts;
    ciphertext: sealed::ciphertext, seeds::ciphertexts;
    wrapped_key: sealed::wrapped_key, seeds::wrapped_keys;
    sealing: sealed::sealing, seeds::sealings;
    delivery: signed::delivery, seeds::deliveries;
    delivery_terms: signed::delivery_terms, seeds::scripts;
    device_keys: signed::device_keys, seeds::device_keys;
    lease_event: signed::lease_event, seeds::lease_events;
    node_certificate: signed::node_certificate, seeds::node_certificates;
    http_signature: text::http_signature, seeds::http_signatures;
    ids: text::ids, seeds::ids;
    context: text::context, seeds::contexts;
    bearer_token: bearer::token, seeds::bearer_tokens;
    bearer_keys: bearer::key_set, seeds::bearer_keys;
    api_documents: documents::api_documents, seeds::api_documents;
}
