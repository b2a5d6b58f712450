//! A small world with fixed keys: what a target knows to be genuine. What costs time to make is made once.

use std::sync::LazyLock;

use keyhaven_shared::{
    context::EncryptionContext,
    delivery::{Delivery, DeliveryTerms, Expectations, Lease, Recipient, UsageFlags},
    device::DevicePublicKeys,
    hpke::{Binding, MlKemPrivateKey, SealingPublicKey, SealingSuite},
    ids::{DeploymentId, KeyId, KeyringId, Version},
    issuer::{IssuerPublicKey, NodeClaims, NodeSigner},
    key_spec::{KeySpec, KeyUsage, Origin, ProtectionLevel},
    lease_event::StreamNonce,
    message::{self, EncryptedDataKey, MessageSigner, NewMessage},
    secret::{DataKey, KeyMaterial, MlKemSeed, SealingPrivateKey, SigningSeed, WrappingKey},
    wrap::WrapBinding,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const DEPLOYMENT: DeploymentId = DeploymentId::from_bytes([1; 16]);
pub(crate) const KEYRING: KeyringId = KeyringId::from_bytes([2; 16]);
pub(crate) const KEY: KeyId = KeyId::from_bytes([3; 16]);
pub(crate) const NONCE: [u8; 32] = [4; 32];
pub(crate) const STREAM: StreamNonce = StreamNonce::from_random([6; 32]);
/// What genuine ciphertexts hold.
pub(crate) const SECRET: &[u8] = b"the plaintext of a genuine ciphertext";
pub(crate) const BINDING: Binding<'static> = Binding { info: b"info", aad: b"aad" };

/// The same numbers every time: what it makes is kept in files.
pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

pub(crate) fn context() -> EncryptionContext {
    let pairs = [("album", "summer"), ("owner", "wriţer")];
    EncryptionContext::from_pairs(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())))
        .expect("two short pairs are a context")
}

pub(crate) fn data_key() -> DataKey {
    DataKey::fill_with(|bytes| bytes.fill(5))
}

pub(crate) fn material() -> KeyMaterial {
    KeyMaterial::fill_with(|bytes| bytes.fill(6))
}

pub(crate) fn wrapping_key() -> WrappingKey {
    WrappingKey::fill_with(|bytes| bytes.fill(7))
}

pub(crate) const fn binding() -> WrapBinding {
    WrapBinding {
        deployment: DEPLOYMENT,
        keyring: KEYRING,
        key: KEY,
        version: Version::FIRST,
        spec: KeySpec::Aes256Gcm,
        usage: KeyUsage::EncryptDecrypt,
        origin: Origin::Keyhaven,
        protection: ProtectionLevel::Software,
        generation: 1,
    }
}

/// The plaintext of every genuine message, as long as wanted: each byte tells its place.
pub(crate) fn plaintext(length: usize) -> Vec<u8> {
    (0..=u8::MAX).map(|byte| byte.wrapping_mul(7)).cycle().take(length).collect()
}

/// A message of so many bytes in such frames.
pub(crate) fn message(length: usize, frame_length: u32, signed: bool) -> Vec<u8> {
    let mut rng = rng();
    let signer = signed.then(|| MessageSigner::make(&mut rng));
    let context = match &signer {
        Some(signer) => signer.add_to(&context()).expect("a short context has room for a key"),
        None => context(),
    };
    let keys = [EncryptedDataKey::keyhaven(KEY, Version::FIRST, vec![8; 120])];
    let mut new = NewMessage::new(&context, &keys).frame_length(frame_length);
    if let Some(signer) = signer {
        new = new.signed_by(signer);
    }
    message::encrypt(new, &data_key(), &plaintext(length), &mut rng).expect("all of it is legal")
}

pub(crate) fn sealing_private_key() -> SealingPrivateKey {
    SealingPrivateKey::fill_with(|bytes| bytes.fill(9))
}

/// Of the hybrid device.
pub(crate) fn ml_kem() -> &'static MlKemPrivateKey {
    static KEY: LazyLock<MlKemPrivateKey> =
        LazyLock::new(|| MlKemPrivateKey::from_seed(&MlKemSeed::fill_with(|bytes| bytes.fill(13))));
    &KEY
}

/// What opens things that are sealed by this suite.
pub(crate) fn ml_kem_of(suite: SealingSuite) -> Option<&'static MlKemPrivateKey> {
    (suite == SealingSuite::MlKem768X25519Aes256Gcm).then(ml_kem)
}

pub(crate) fn sealing_public_key(suite: SealingSuite) -> SealingPublicKey {
    // EXPOSE: a key of no secret, from which its public half is computed.
    let private = x25519_dalek::StaticSecret::from(*sealing_private_key().expose_secret());
    let x25519 = x25519_dalek::PublicKey::from(&private).to_bytes();
    let mut bytes = ml_kem_of(suite).map_or_else(Vec::new, MlKemPrivateKey::public_key);
    bytes.extend(x25519);
    SealingPublicKey::new(suite, &bytes).expect("it is usable")
}

/// A device for each suite.
pub(crate) fn devices() -> &'static [DevicePublicKeys] {
    static DEVICES: LazyLock<Vec<DevicePublicKeys>> = LazyLock::new(|| {
        let key = p256::ecdsa::SigningKey::from_slice(&[10; 32]).expect("it is below the order");
        let point = key.verifying_key().to_sec1_point(false);
        let device = |suite: &SealingSuite| {
            DevicePublicKeys::new(vec![sealing_public_key(*suite)], point.as_bytes())
                .expect("all keys are usable")
        };
        SealingSuite::ALL.iter().map(device).collect()
    });
    &DEVICES
}

/// The first of them.
pub(crate) fn device() -> &'static DevicePublicKeys {
    devices().first().expect("there are suites")
}

fn hsm() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[11; 32])
}

pub(crate) fn issuer() -> &'static IssuerPublicKey {
    static ISSUER: LazyLock<IssuerPublicKey> = LazyLock::new(|| {
        IssuerPublicKey::from_bytes(hsm().verifying_key().as_bytes()).expect("it is not weak")
    });
    &ISSUER
}

pub(crate) fn node() -> &'static NodeSigner {
    static NODE: LazyLock<NodeSigner> = LazyLock::new(|| {
        let seed = SigningSeed::fill_with(|bytes| bytes.fill(12));
        let claims = NodeClaims {
            deployment: DEPLOYMENT,
            node_public_key: NodeSigner::public_key(&seed),
            not_before: NOW - 1000,
            not_after: NOW + 1000,
        };
        let signature = ed25519_dalek::Signer::sign(&hsm(), &claims.to_be_signed()).to_bytes();
        NodeSigner::new(&seed, claims.certified(signature)).expect("the key is the certified one")
    });
    &NODE
}

pub(crate) const fn recipient(keys: &DevicePublicKeys) -> Recipient<'_> {
    Recipient { deployment: DEPLOYMENT, keyring: KEYRING, keys, enrolment_epoch: 1 }
}

pub(crate) const fn lease() -> Lease {
    Lease {
        key: KEY,
        version: Version::FIRST,
        serial: 7,
        issued_at: NOW,
        not_after: NOW + 300,
        offline_grace: 60,
        flags: UsageFlags::DECRYPT,
        key_epoch: 1,
        policy_epoch: 1,
    }
}

/// What a device asked for, whose answer [`delivery`] is.
pub(crate) fn expectations(keys: &DevicePublicKeys) -> Expectations<'_> {
    Expectations {
        recipient: recipient(keys),
        nonce: NONCE,
        key: KEY,
        version: Some(Version::FIRST),
        context_hash: context().hash(),
        flags: UsageFlags::DECRYPT.with(UsageFlags::ENCRYPT),
        max_lease: 300,
        max_offline_grace: 60,
    }
}

pub(crate) fn delivery(device: &DevicePublicKeys) -> Delivery {
    let terms = DeliveryTerms { nonce: NONCE, context_hash: context().hash(), lease: lease() };
    Delivery::seal(&recipient(device), &terms, &data_key(), node(), &mut rng())
        .expect("the lease is legal and the device's key usable")
}
