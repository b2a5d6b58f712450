//! The server's word that leases end.

use keyhaven_shared::lease_event::{LeaseEnd, SignedLeaseEvent};
use wasm_bindgen::prelude::wasm_bindgen;

use super::{delivery::Deployment, error::Fault, proof::whole_number};

/// A lease event that a node of the deployment signed.
#[wasm_bindgen]
pub struct LeaseEvent {
    end: LeaseEnd,
    serial: u64,
    at: u64,
}

#[wasm_bindgen]
impl LeaseEvent {
    /// Verifies an event as it came; `now` is the time in seconds. Whether its serial is new is for the
    /// caller to see.
    ///
    /// # Errors
    /// [`Fault::Delivery`], whatever is wrong.
    pub fn verify(bytes: &[u8], deployment: &Deployment, now: f64) -> Result<Self, Fault> {
        let signed = SignedLeaseEvent::parse(bytes).map_err(|_| Fault::Delivery)?;
        let event = signed.verify(&deployment.issuer, deployment.id, whole_number(now)?);
        let event = event.map_err(|_| Fault::Delivery)?;
        Ok(Self { end: event.end, serial: event.serial, at: event.at })
    }

    /// The key whose leases end, if it is one key's.
    #[wasm_bindgen(getter, js_name = keyId)]
    #[must_use]
    pub fn key_id(&self) -> Option<String> {
        match self.end {
            LeaseEnd::KeyStopped(key) => Some(key.to_string()),
            LeaseEnd::DeviceRevoked(_) | LeaseEnd::PolicyChanged => None,
        }
    }

    /// The device whose leases end, if it is one device's.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn device(&self) -> Option<String> {
        match self.end {
            LeaseEnd::DeviceRevoked(device) => Some(device.to_string()),
            LeaseEnd::KeyStopped(_) | LeaseEnd::PolicyChanged => None,
        }
    }

    /// The event's number in the stream.
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
