//! Key wrapping: how a key version's material rests in the store, sealed under its keyring's
//! wrapping key and bound to its place and meaning.
//!
//! The wrapped bytes are those of [`crate::committed`]: salt (32) ‖ commitment (32) ‖ body (material + 16).
//!
//! Whoever can write to the store can swap two wrapped keys, or edit the row beside one, to have a
//! key used as another. Neither opens: what a row says of a key is bound into the wrapping.

use rand_core::CryptoRng;

use crate::{
    committed::{self, OpenError},
    encoding::{Label, Transcript},
    ids::{DeploymentId, KeyId, KeyringId, Version},
    key_spec::{KeySpec, KeyUsage, Origin, ProtectionLevel},
    secret::{KeyMaterial, WrappingKey},
};

/// What a wrapped key version is bound to. A wrapped key moved to another place, or whose meaning was
/// edited in the store, does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrapBinding {
    /// The installation.
    pub deployment: DeploymentId,
    /// The keyring.
    pub keyring: KeyringId,
    /// The key.
    pub key: KeyId,
    /// The key's version.
    pub version: Version,
    /// Algorithm and size.
    pub spec: KeySpec,
    /// What the key may be used for.
    pub usage: KeyUsage,
    /// Where the material came from.
    pub origin: Origin,
    /// Where the material is used.
    pub protection: ProtectionLevel,
    /// The generation of the domain key whose wrapping key seals it.
    pub generation: u32,
}

impl WrapBinding {
    /// HKDF's `info`. What an operator may change later (state, aliases, tags) is not in it.
    fn encode(&self) -> Vec<u8> {
        Transcript::new(Label::WRAPPED_VERSION)
            .field(self.deployment.as_bytes())
            .field(self.keyring.as_bytes())
            .field(self.key.as_bytes())
            .number(self.version.number().into())
            .field(&[self.spec.code()])
            .field(&[self.usage.code()])
            .field(&[self.origin.code()])
            .field(&[self.protection.code()])
            .number(self.generation.into())
            .finish()
    }
}

/// Wraps `material` for its place.
///
/// # Errors
/// [`OpenError`] never, for material of this size.
pub fn wrap(
    wrapping_key: &WrappingKey,
    binding: &WrapBinding,
    material: &KeyMaterial,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, OpenError> {
    // EXPOSE: wrapping is what both secrets are for.
    committed::seal(wrapping_key.expose_secret(), &binding.encode(), material.expose_secret(), rng)
}

/// Opens what [`wrap`] made, in the same place.
///
/// # Errors
/// [`OpenError`] for another wrapping key, another place or meaning, or changed bytes.
pub fn unwrap(
    wrapping_key: &WrappingKey,
    binding: &WrapBinding,
    wrapped: &[u8],
) -> Result<KeyMaterial, OpenError> {
    // EXPOSE: unwrapping is what the wrapping key is for.
    // Read from the store, so believed only now.
    let opened = committed::open(wrapping_key.expose_secret(), &binding.encode(), wrapped)?;
    // It has the length of its spec, or it was not wrapped by us.
    KeyMaterial::from_slice(&opened).ok_or(OpenError)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::committed::tests::CountingRng;

    fn binding() -> WrapBinding {
        WrapBinding {
            deployment: DeploymentId::from_random([1; 16]),
            keyring: KeyringId::from_random([2; 16]),
            key: KeyId::from_random([3; 16]),
            version: Version::FIRST,
            spec: KeySpec::Aes256Gcm,
            usage: KeyUsage::EncryptDecrypt,
            origin: Origin::Keyhaven,
            protection: ProtectionLevel::Software,
            generation: 1,
        }
    }

    #[test]
    fn opens_in_its_own_place_only() {
        let wrapping_key = WrappingKey::fill_with(|bytes| bytes.fill(4));
        let material = KeyMaterial::fill_with(|bytes| bytes.fill(5));
        let wrapped = wrap(&wrapping_key, &binding(), &material, &mut CountingRng(0)).unwrap();
        let opened = unwrap(&wrapping_key, &binding(), &wrapped).ok().unwrap();
        // EXPOSE: the test compares what came out.
        assert_eq!(opened.expose_secret(), &[5; 32]);

        let elsewhere = [
            WrapBinding { deployment: DeploymentId::from_random([9; 16]), ..binding() },
            WrapBinding { keyring: KeyringId::from_random([9; 16]), ..binding() },
            WrapBinding { key: KeyId::from_random([9; 16]), ..binding() },
            WrapBinding { version: Version::new(2).unwrap(), ..binding() },
            WrapBinding { generation: 2, ..binding() },
        ];
        for place in elsewhere {
            assert!(unwrap(&wrapping_key, &place, &wrapped).is_err(), "{place:?}");
        }
        let other_key = WrappingKey::fill_with(|bytes| bytes.fill(6));
        assert!(unwrap(&other_key, &binding(), &wrapped).is_err());
    }

    /// A binding out of bytes, few enough that equal ones are met.
    fn bound_to(parts: [u8; 5]) -> WrapBinding {
        let [deployment, keyring, key, version, generation] = parts;
        WrapBinding {
            deployment: DeploymentId::from_bytes([deployment; 16]),
            keyring: KeyringId::from_bytes([keyring; 16]),
            key: KeyId::from_bytes([key; 16]),
            version: Version::new(u32::from(version) + 1).unwrap(),
            generation: generation.into(),
            ..binding()
        }
    }

    proptest! {
        #[test]
        fn places_encode_alike_only_if_they_are_the_same(
            one in proptest::array::uniform5(0_u8..3),
            other in proptest::array::uniform5(0_u8..3),
        ) {
            let (a, b) = (bound_to(one), bound_to(other));
            prop_assert_eq!(one == other, a.encode() == b.encode());
            let key = WrappingKey::fill_with(|bytes| bytes.fill(4));
            let material = KeyMaterial::fill_with(|bytes| bytes.fill(5));
            let wrapped = wrap(&key, &a, &material, &mut CountingRng(0)).unwrap();
            prop_assert_eq!(unwrap(&key, &b, &wrapped).is_ok(), one == other);
        }
    }

    #[test]
    fn every_part_of_the_meaning_stands_in_the_encoding() {
        let bytes = binding().encode();
        let mut fields = crate::fields::Fields::new(&bytes);
        let mut lengths = Vec::new();
        while fields.end().is_err() {
            let length = fields.u32().unwrap() as usize;
            lengths.push(length);
            fields.take_slice(length).unwrap();
        }
        // Label; deployment, keyring, key, version; spec, usage, origin, protection; generation.
        assert_eq!(lengths, [Label::WRAPPED_VERSION.as_str().len(), 16, 16, 16, 8, 1, 1, 1, 1, 8]);
    }

    #[test]
    fn material_of_another_length_is_refused_even_when_it_was_sealed_here() {
        let key = WrappingKey::fill_with(|bytes| bytes.fill(4));
        for length in [0, 16, 31, 33, 64] {
            let info = binding().encode();
            // EXPOSE: the test seals what `wrap` would not.
            let parent = key.expose_secret();
            let rng = &mut CountingRng(0);
            let wrapped = committed::seal(parent, &info, &vec![5; length], rng).unwrap();
            assert!(unwrap(&key, &binding(), &wrapped).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let key = WrappingKey::fill_with(|bytes| bytes.fill(4));
        let material = KeyMaterial::fill_with(|bytes| bytes.fill(5));
        let wrapped = wrap(&key, &binding(), &material, &mut CountingRng(0)).unwrap();
        assert_eq!(wrapped.len(), committed::OVERHEAD + KeyMaterial::BYTES);
        for bit in 0..wrapped.len() * 8 {
            let mut changed = wrapped.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(unwrap(&key, &binding(), &changed).is_err(), "bit {bit}");
        }
        for length in 0..wrapped.len() {
            assert!(unwrap(&key, &binding(), &wrapped[..length]).is_err(), "cut to {length}");
        }
    }
}
