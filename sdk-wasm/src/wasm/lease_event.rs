//! The server's word that leases end.

use keyhaven_shared::lease_event::{LeaseEnd, SignedLeaseEvent, StreamNonce};
use wasm_bindgen::prelude::wasm_bindgen;

use super::{delivery::Deployment, error::Fault, proof::whole_number};
use crate::entropy::make_rng;

/// A stream of events, as this device opens it: its random nonce.
#[wasm_bindgen]
pub struct LeaseStream(StreamNonce);

#[wasm_bindgen]
impl LeaseStream {
    /// A stream that was never opened before.
    ///
    /// # Errors
    /// [`Fault::Randomness`].
    #[wasm_bindgen(constructor)]
    pub fn new() -> Result<Self, Fault> {
        let mut nonce = [0; 32];
        rand_core::Rng::fill_bytes(&mut make_rng()?, &mut nonce);
        Ok(Self(StreamNonce::from_random(nonce)))
    }

    /// What the request names it by: 43 characters.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn nonce(&self) -> String {
        self.0.to_string()
    }
}

/// A lease event that a node of the deployment signed.
#[wasm_bindgen]
pub struct LeaseEvent {
    end: LeaseEnd,
    number: u64,
    serial: u64,
    at: u64,
}

#[wasm_bindgen]
impl LeaseEvent {
    /// Verifies an event of a stream as it came; `now` is the time in seconds. Whether it is the next one
    /// is for the caller to see.
    ///
    /// # Errors
    /// [`Fault::Delivery`], whatever is wrong.
    pub fn verify(
        bytes: &[u8],
        stream: &LeaseStream,
        deployment: &Deployment,
        now: f64,
    ) -> Result<Self, Fault> {
        let signed = SignedLeaseEvent::parse(bytes).map_err(|_| Fault::Delivery)?;
        let now = whole_number(now)?;
        let event = signed.verify(&stream.0, &deployment.issuer, deployment.id, now);
        let event = event.map_err(|_| Fault::Delivery)?;
        Ok(Self { end: event.end, number: event.number, serial: event.serial, at: event.at })
    }

    /// What ended, in a word: `key_stopped`, `key_rotated`, `device_revoked`, `policy_changed`, or
    /// `nothing`.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn kind(&self) -> String {
        let word = match self.end {
            LeaseEnd::KeyStopped(_) => "key_stopped",
            LeaseEnd::KeyRotated(..) => "key_rotated",
            LeaseEnd::DeviceRevoked(_) => "device_revoked",
            LeaseEnd::PolicyChanged => "policy_changed",
            LeaseEnd::Nothing => "nothing",
        };
        word.to_owned()
    }

    /// The key whose leases end, if it is one key's.
    #[wasm_bindgen(getter, js_name = keyId)]
    #[must_use]
    pub fn key_id(&self) -> Option<String> {
        match self.end {
            LeaseEnd::KeyStopped(key) | LeaseEnd::KeyRotated(key, _) => Some(key.to_string()),
            LeaseEnd::DeviceRevoked(_) | LeaseEnd::PolicyChanged | LeaseEnd::Nothing => None,
        }
    }

    /// The version that a rotation made.
    #[wasm_bindgen(getter, js_name = keyVersion)]
    #[must_use]
    pub fn key_version(&self) -> Option<u32> {
        match self.end {
            LeaseEnd::KeyRotated(_, version) => Some(version.number()),
            LeaseEnd::KeyStopped(_)
            | LeaseEnd::DeviceRevoked(_)
            | LeaseEnd::PolicyChanged
            | LeaseEnd::Nothing => None,
        }
    }

    /// The device whose leases end, if it is one device's.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn device(&self) -> Option<String> {
        match self.end {
            LeaseEnd::DeviceRevoked(device) => Some(device.to_string()),
            LeaseEnd::KeyStopped(_)
            | LeaseEnd::KeyRotated(..)
            | LeaseEnd::PolicyChanged
            | LeaseEnd::Nothing => None,
        }
    }

    /// The event's number in its stream, from 0.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn number(&self) -> f64 {
        self.number as f64
    }

    /// Where the next stream is to go on after: a number of up to 20 digits.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn serial(&self) -> String {
        self.serial.to_string()
    }

    /// When it happened, in seconds.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn at(&self) -> f64 {
        self.at as f64
    }
}
