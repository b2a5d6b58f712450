//! A data key's commitment: names the key without telling it, so that one delivery cannot be opened to
//! two different keys.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::{
    encoding::{Label, Transcript},
    secret::DataKey,
};

/// `HKDF-Extract(salt = label, IKM = data key)` with SHA-256 (RFC 5869 §2.2): 32 bytes.
///
/// The key has 256 random bits, so its commitment tells nothing that could be guessed at. It is
/// compared by devices and stands in the header.
#[must_use]
pub fn data_key_commitment(data_key: &DataKey) -> [u8; 32] {
    let salt = Transcript::new(Label::DATA_KEY_COMMITMENT).finish();
    // EXPOSE: the commitment is derived from the key.
    let (commitment, _) = Hkdf::<Sha256>::extract(Some(&salt), data_key.expose_secret());
    commitment.into()
}
