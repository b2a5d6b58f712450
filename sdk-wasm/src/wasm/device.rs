//! Who this device is.

use keyhaven_shared::{
    device::DevicePublicKeys,
    hpke::{SealingPublicKey, SealingSuite},
};
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::Fault;

/// A device's public keys; the private halves are WebCrypto's, or [`ModuleKeys`](super::ModuleKeys).
#[wasm_bindgen]
pub struct DeviceKeys {
    pub(crate) keys: DevicePublicKeys,
}

#[wasm_bindgen]
impl DeviceKeys {
    /// Takes a sealing key of the suite with this code, and an ECDSA P-256 key (65 bytes, uncompressed
    /// point, as WebCrypto's `raw` format gives it). Suite 1 has an X25519 key (32 bytes), suite 2 an
    /// ML-KEM-768 key and an X25519 key (1184 + 32 bytes).
    ///
    /// # Errors
    /// [`Fault::Argument`] for an unknown suite, other lengths or unusable keys.
    #[wasm_bindgen(constructor)]
    pub fn new(suite: u8, sealing: &[u8], authentication: &[u8]) -> Result<Self, Fault> {
        let suite = SealingSuite::from_code(suite).ok_or(Fault::Argument)?;
        let sealing = SealingPublicKey::new(suite, sealing).map_err(|_| Fault::Argument)?;
        let keys = DevicePublicKeys::new(vec![sealing], authentication);
        Ok(Self { keys: keys.map_err(|_| Fault::Argument)? })
    }

    /// The encoding that enrolment sends.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.keys.encode()
    }

    /// The device's id: the thumbprint of these keys.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn id(&self) -> String {
        self.keys.thumbprint().to_string()
    }
}
