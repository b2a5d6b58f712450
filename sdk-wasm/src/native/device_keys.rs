//! A device's two key pairs, made and held in this process.

use keyhaven_shared::{
    delivery::{Lease, VerifiedDelivery},
    device::DevicePublicKeys,
    hpke::{MlKemPrivateKey, SealingPublicKey, SealingSuite},
    ids::DeviceId,
    secret::{DataKey, MlKemSeed, SealingPrivateKey},
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    elliptic_curve::Generate,
};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::error::{ArgumentFault, Error, IntegrityFault};
use crate::entropy::make_rng;

/// Signs requests, and opens what is sealed to it, by the hybrid suite. Zeroized on drop. One key pair has one
/// duty: what signs never opens, so that neither can be tricked into doing the other's work.
pub(crate) struct DeviceKeys {
    /// ML-KEM-768 (FIPS 203), expanded: doing that for each delivery would cost more than opening it.
    ml_kem: MlKemPrivateKey,
    /// X25519 (RFC 7748), the other half of the hybrid: a delivery stays closed as long as one of them holds.
    x25519: SealingPrivateKey,
    /// ECDSA on P-256. Boxed, so that moving these keys leaves no copy of it.
    authentication: Box<SigningKey>,
    /// The public halves, from which the device's id is made.
    public: DevicePublicKeys,
}

impl DeviceKeys {
    /// Bytes of [`Self::expose_secrets`].
    pub(crate) const BYTES: usize = MlKemSeed::BYTES + SealingPrivateKey::BYTES + 32;

    /// Makes the keys of a new device.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the system gives no randomness.
    pub(crate) fn make() -> Result<Self, Error> {
        let mut rng = make_rng()?;
        let (ml_kem, x25519) = (MlKemSeed::make(&mut rng), SealingPrivateKey::make(&mut rng));
        let authentication = Box::new(SigningKey::generate_from_rng(&mut rng));
        Ok(Self::of(&ml_kem, x25519, authentication)?)
    }

    /// Takes up keys that [`Self::expose_secrets`] gave.
    ///
    /// # Errors
    /// [`ArgumentFault::StoredDevice`] for bytes that are none.
    pub(crate) fn from_secrets(bytes: &[u8]) -> Result<Self, ArgumentFault> {
        let read = || {
            let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
            let (ml_kem, rest) = bytes.split_at(MlKemSeed::BYTES);
            let (x25519, authentication) = rest.split_at(SealingPrivateKey::BYTES);
            let authentication = Box::new(SigningKey::from_slice(authentication).ok()?);
            let x25519 = SealingPrivateKey::from_slice(x25519)?;
            Some((MlKemSeed::from_slice(ml_kem)?, x25519, authentication))
        };
        let (ml_kem, x25519, authentication) = read().ok_or(ArgumentFault::StoredDevice)?;
        Self::of(&ml_kem, x25519, authentication)
    }

    /// Puts the keys together with their public halves.
    fn of(
        seed: &MlKemSeed,
        x25519: SealingPrivateKey,
        authentication: Box<SigningKey>,
    ) -> Result<Self, ArgumentFault> {
        let ml_kem = MlKemPrivateKey::from_seed(seed);
        // EXPOSE: the public key is computed from the private one.
        let agreed = StaticSecret::from(*x25519.expose_secret());
        let sealing =
            [ml_kem.public_key().as_slice(), PublicKey::from(&agreed).as_bytes()].concat();
        let sealing = SealingPublicKey::new(SealingSuite::MlKem768X25519Aes256Gcm, &sealing);
        let sealing = sealing.map_err(|_| ArgumentFault::StoredDevice)?;
        let point = authentication.verifying_key().to_sec1_point(false);
        let public = DevicePublicKeys::new(vec![sealing], point.as_bytes());
        let public = public.map_err(|_| ArgumentFault::StoredDevice)?;
        Ok(Self { ml_kem, x25519, authentication, public })
    }

    /// Seed of the ML-KEM-768 key ‖ X25519 private key ‖ P-256 private key, for the device's store.
    pub(crate) fn expose_secrets(&self) -> Zeroizing<Vec<u8>> {
        let authentication = Zeroizing::new(<[u8; 32]>::from(self.authentication.to_bytes()));
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::BYTES));
        // EXPOSE: the device's store keeps its keys over a restart.
        if let Some(seed) = self.ml_kem.seed() {
            bytes.extend_from_slice(seed.expose_secret());
        }
        bytes.extend_from_slice(self.x25519.expose_secret());
        bytes.extend_from_slice(authentication.as_slice());
        bytes
    }

    /// What is enrolled.
    pub(crate) const fn public(&self) -> &DevicePublicKeys {
        &self.public
    }

    /// The device's id: the thumbprint of its public keys, so that no server can give it to other keys.
    pub(crate) fn id(&self) -> DeviceId {
        self.public.thumbprint()
    }

    /// ECDSA with P-256 and SHA-256 (FIPS 186-5), its nonce derived (RFC 6979): r ‖ s.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let signature: Signature = self.authentication.sign(bytes);
        signature.to_bytes().into()
    }

    /// Opens what was sealed to this device. It takes a delivery that is verified, so that no private key is
    /// used on what anybody may have made.
    ///
    /// # Errors
    /// [`IntegrityFault::Delivery`] when it was sealed to somebody else, in whatever respect.
    pub(crate) fn open(
        &self,
        delivery: VerifiedDelivery,
    ) -> Result<(DataKey, Lease), IntegrityFault> {
        let opened = delivery.open_with_private(&self.x25519, Some(&self.ml_kem));
        opened.map_err(|_| IntegrityFault::Delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_from_their_secrets_and_two_devices_differ() {
        let keys = DeviceKeys::make().unwrap();
        let again = DeviceKeys::from_secrets(&keys.expose_secrets()).unwrap();
        assert_eq!(again.id(), keys.id());
        assert_eq!(again.public(), keys.public());
        assert_ne!(DeviceKeys::make().unwrap().id(), keys.id());
        keys.public().verify_signature(b"text", &again.sign(b"text")).unwrap();
    }

    #[test]
    fn other_bytes_are_no_keys() {
        let secrets = DeviceKeys::make().unwrap().expose_secrets();
        for length in 0..DeviceKeys::BYTES {
            assert!(DeviceKeys::from_secrets(&secrets[..length]).is_err(), "{length}");
        }
        assert!(DeviceKeys::from_secrets(&[secrets.as_slice(), &[0]].concat()).is_err());
        let mut zero = secrets.to_vec();
        zero[96..].fill(0);
        assert!(DeviceKeys::from_secrets(&zero).is_err(), "0 is no private key of P-256");
    }
}
