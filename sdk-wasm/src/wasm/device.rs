//! Who this device is.

use keyhaven_shared::{device::DevicePublicKeys, hpke::SealingSuite};
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::Fault;

/// A device's public keys; the private halves are WebCrypto's, or a [`FallbackKey`](super::FallbackKey).
#[wasm_bindgen]
pub struct DeviceKeys {
    pub(crate) keys: DevicePublicKeys,
}

#[wasm_bindgen]
impl DeviceKeys {
    /// Takes an X25519 key (32 bytes) and an ECDSA P-256 key (65 bytes, uncompressed point), as
    /// WebCrypto's `raw` format gives them.
    ///
    /// # Errors
    /// [`Fault::Argument`] for other lengths or unusable keys.
    #[wasm_bindgen(constructor)]
    pub fn new(sealing: &[u8], authentication: &[u8]) -> Result<Self, Fault> {
        let sealing = sealing.try_into().map_err(|_| Fault::Argument)?;
        let keys = DevicePublicKeys::new(SealingSuite::ALL, sealing, authentication);
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
