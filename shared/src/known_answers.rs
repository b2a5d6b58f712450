//! What fixed keys and a counting generator give, pinned: a format that changes by accident is noticed
//! here. One that changes on purpose gets a new magic, version or label first.
//!
//! The values under "recomputed" were computed anew from `docs/formats.md` with Python's `hmac`,
//! `hashlib` and `cryptography`; the others, with signatures or HPKE in them, are this code's own.

use sha2::{Digest, Sha256};

use crate::{
    ciphertext,
    committed::tests::CountingRng,
    context::EncryptionContext,
    delivery::{Delivery, DeliveryTerms, Lease, Recipient, UsageFlags, data_key_commitment},
    device::tests::device,
    hex::hex,
    ids::{DeploymentId, DeviceId, KeyId, KeyringId, Version},
    issuer::tests::{DEPLOYMENT, NOW, claims, signer},
    key_spec::{KeySpec, KeyUsage, Origin, ProtectionLevel},
    lease_event::{LeaseEnd, LeaseEvent, StreamNonce},
    message::{self, EncryptedDataKey, HeaderParser, MessageSigner, NewMessage},
    secret::{DataKey, KeyMaterial, WrappingKey},
    wrap::{WrapBinding, wrap},
};

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn context() -> EncryptionContext {
    let pairs = [("user", "alice"), ("photo", "caf\u{e9}")];
    EncryptionContext::from_pairs(pairs.map(|(key, value)| (key.into(), value.into()))).unwrap()
}

fn data_key() -> DataKey {
    DataKey::fill_with(|bytes| bytes.fill(11))
}

/// Recomputed.
#[test]
fn contexts_and_commitments() {
    assert_eq!(
        hex(&context().hash()),
        "0e17b3ef8524eebe64dd71ad32e31f4e92e1d983a7e1d57b1492ba68350baba7"
    );
    assert_eq!(
        hex(&EncryptionContext::default().hash()),
        "32aa00ba80c052a5458713c13752b7c3db19085452c7933aa52e39f071ad4436"
    );
    assert_eq!(
        hex(&data_key_commitment(&data_key())),
        "71527be32a201ba9e256aaedf7110f9a1590328ba1c0c3c885a290e0e042436b"
    );
}

/// Recomputed.
#[test]
fn the_server_s_ciphertext() {
    let material = KeyMaterial::fill_with(|bytes| bytes.fill(1));
    let place = (KeyId::from_bytes([7; 16]), Version::new(3).unwrap(), &material);
    let bytes = ciphertext::encrypt(place, &context(), b"secret", &mut CountingRng(0)).unwrap();
    assert_eq!(digest(&bytes), "1e3981914fad94e4fdcf8ac96375f50ab77087fd5e73a92dafc3b65e5e8865ce");
}

/// Recomputed.
#[test]
fn a_wrapped_key_version() {
    let binding = WrapBinding {
        deployment: DeploymentId::from_bytes([1; 16]),
        keyring: KeyringId::from_bytes([2; 16]),
        key: KeyId::from_bytes([3; 16]),
        version: Version::new(4).unwrap(),
        spec: KeySpec::Aes256Gcm,
        usage: KeyUsage::EncryptDecrypt,
        origin: Origin::Keyhaven,
        protection: ProtectionLevel::Software,
        generation: 5,
    };
    let key = WrappingKey::fill_with(|bytes| bytes.fill(4));
    let material = KeyMaterial::fill_with(|bytes| bytes.fill(5));
    let bytes = wrap(&key, &binding, &material, &mut CountingRng(0)).unwrap();
    assert_eq!(digest(&bytes), "d8fc1159ae5456f6154db33fe58a611538377a2d6ec9b10061a44ec9f1f85c36");
}

/// Recomputed.
#[test]
fn a_device_s_public_keys() {
    assert_eq!(
        digest(&device(1).encode()),
        "094894150febe1eeb9d4d9fed507d5ba01fbab1b8b7c6efbe6e81a774979c3c3"
    );
    assert_eq!(
        hex(device(1).thumbprint().as_bytes()),
        "6f5f1e69a13d42223314854d3962aac2a087d3819c0bf9b3127a808c6b4b69c5"
    );
}

/// Recomputed.
#[test]
fn a_node_s_certificate_and_lease_events() {
    let node = signer(2, claims());
    assert_eq!(
        digest(&node.certificate().encode()),
        "50c27dcd025c8e43b1daf70afdaad0a77bb0c77d21d142ade8dcaf2cfdcbe81f"
    );
    let ends = [
        LeaseEnd::KeyStopped(KeyId::from_bytes([5; 16])),
        LeaseEnd::DeviceRevoked(DeviceId::from_thumbprint([6; 32])),
        LeaseEnd::PolicyChanged,
        LeaseEnd::KeyRotated(KeyId::from_bytes([5; 16]), Version::FIRST),
        LeaseEnd::Nothing,
    ];
    let stream = StreamNonce::from_random([8; 32]);
    let events = ends.map(|end| {
        let event = LeaseEvent { number: 3, serial: 7, end, at: NOW };
        digest(&event.sign(&stream, &node).encode())
    });
    assert_eq!(
        events,
        [
            "1ae4ecf1d41ec42d38a5d321decfe2f9b8c51f56cafa3ce45ddbf9934739a7b7",
            "75ed3117a8308560fbf2d6f42b2589556520c9974c0176be74151b787cd02a3b",
            "d148322e6384abd0c95615a0a60638c601a128f08fc5a2ab987d8866a808dd1b",
            "9ea902e3fe439d610d0fa997b27c6bda747513111f3d3bc66a9a401aa97e7b98",
            "a9d1eb7a7a3ab707b94dda874378cee32d2ce6bab8db2912d36ffabfb9ea6184"
        ]
    );
}

#[test]
fn a_delivery() {
    let keys = device(1);
    let keyring = KeyringId::from_bytes([4; 16]);
    let recipient = Recipient { deployment: DEPLOYMENT, keyring, keys: &keys, enrolment_epoch: 1 };
    let lease = Lease {
        key: KeyId::from_bytes([5; 16]),
        version: Version::FIRST,
        serial: 6,
        issued_at: NOW,
        not_after: NOW + 300,
        offline_grace: 60,
        flags: UsageFlags::DECRYPT,
        key_epoch: 7,
        policy_epoch: 8,
    };
    let terms = DeliveryTerms { nonce: [9; 32], context_hash: [10; 32], lease };
    let (node, rng) = (signer(2, claims()), &mut CountingRng(0));
    let delivery = Delivery::seal(&recipient, &terms, &data_key(), &node, rng).unwrap();
    assert_eq!(
        digest(&delivery.encode()),
        "9de42b3bc174e8c720eabdb5364e6b888bcc9578a941131a613b455d508e64e3"
    );
}

/// Recomputed, the signed one excepted.
#[test]
fn messages() {
    let write = |signed: bool| {
        let mut rng = CountingRng(0);
        let signer = signed.then(|| MessageSigner::make(&mut rng));
        let context = signer.as_ref().map_or(context(), |one| one.add_to(&context()).unwrap());
        let key = KeyId::from_bytes([7; 16]);
        let keys = [EncryptedDataKey::keyhaven(key, Version::FIRST, vec![1, 2, 3])];
        let mut new = NewMessage::new(&context, &keys).frame_length(16);
        if let Some(signer) = signer {
            new = new.signed_by(signer);
        }
        message::encrypt(new, &data_key(), b"two frames, and a bit", &mut rng).unwrap()
    };
    let [plain, signed] = [write(false), write(true)];
    let (header, body) = HeaderParser::new().push(&plain).unwrap().unwrap();
    assert_eq!(header.message_id()[..4], [1, 2, 3, 4]);
    assert_eq!(
        digest(&plain[..plain.len() - body.len()]),
        "c9250f3c9a6b6632babe524e09f29dcb57e87baeaec4a802a4ffb22991c99bdd"
    );
    assert_eq!(digest(&plain), "8e8cb97c4d638898252bffdc199507df4d4ded3e3d090349e91a9b3d4e7efca3");
    assert_eq!(digest(&signed), "151c27cf9d9f2da1d7d72c85c1244a3415edba8491c8d697c96b691b14652105");
}
