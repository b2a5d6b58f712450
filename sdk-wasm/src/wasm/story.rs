//! The whole way of a data key and a message, with the server's half played by the shared crate.

use keyhaven_shared::{
    ciphertext,
    context::EncryptionContext,
    delivery::{self, DeliveryTerms, Lease, Recipient, UsageFlags},
    device::DevicePublicKeys,
    ids::{DeploymentId, KeyId, KeyringId, Version},
    issuer::{NodeClaims, NodeSigner},
    lease_event::{LeaseEnd, LeaseEvent as Event},
    secret::{DataKey, KeyMaterial, SigningSeed},
};

use super::{
    DataKeyHandle, DataKeyRequest, DeliveryAnswer, Deployment, DeviceKeys, Fault, HeaderReader,
    LeaseEvent, LeaseStream, ModuleKeys,
};
use crate::entropy::make_rng;

const NOW: f64 = 1_700_000_000.0;
const PAIRS: [&str; 2] = ["album", "summer"];

fn pairs() -> Vec<String> {
    PAIRS.map(String::from).to_vec()
}

/// A server with one key, and the device that it enrolled.
pub(super) struct World {
    signer: NodeSigner,
    deployment: Deployment,
    keyring: KeyringId,
    key: KeyId,
    private: ModuleKeys,
    device: DeviceKeys,
    pub(super) data_key: DataKey,
    /// The context of its data key.
    pub(super) pairs: Vec<String>,
}

/// A classical device has no ML-KEM key.
const HYBRID: [bool; 2] = [false, true];

impl World {
    pub(super) fn make() -> Self {
        Self::with_device(true)
    }

    fn with_device(hybrid: bool) -> Self {
        let id = DeploymentId::from_random([1; 16]);
        let (issuer_seed, node_seed) = (seed(2), seed(3));
        let claims = NodeClaims {
            deployment: id,
            node_public_key: NodeSigner::public_key(&node_seed),
            not_before: 1_699_999_000,
            not_after: 1_700_009_000,
        };
        let issuer = ed25519_dalek::SigningKey::from_bytes(&[2; 32]);
        let signature = ed25519_dalek::Signer::sign(&issuer, &claims.to_be_signed()).to_bytes();
        let signer = NodeSigner::new(&node_seed, claims.certified(signature)).unwrap();
        let issuer = NodeSigner::public_key(&issuer_seed);
        let private = ModuleKeys::make(hybrid, true).unwrap();
        let suite = if hybrid { 2 } else { 1 };
        let authentication = p256::ecdsa::SigningKey::from_slice(&[4; 32]).unwrap();
        let point = authentication.verifying_key().to_sec1_point(false);
        Self {
            signer,
            deployment: Deployment::new(&id.to_string(), &issuer, 1.0).unwrap(),
            keyring: KeyringId::from_random([5; 16]),
            key: KeyId::from_random([6; 16]),
            device: DeviceKeys::new(suite, &private.public_key(), point.as_bytes()).unwrap(),
            private,
            data_key: DataKey::make(&mut make_rng().unwrap()),
            pairs: pairs(),
        }
    }

    /// What the server answers to a request with these terms.
    fn answer(&self, request: &DataKeyRequest, usage: UsageFlags) -> DeliveryAnswer {
        let keys = DevicePublicKeys::parse(&self.device.encode()).unwrap();
        let recipient = Recipient {
            deployment: self.deployment.id,
            keyring: self.keyring,
            keys: &keys,
            enrolment_epoch: 1,
        };
        let lease = Lease {
            key: self.key,
            version: Version::FIRST,
            serial: 7,
            issued_at: 1_700_000_000,
            not_after: 1_700_000_300,
            offline_grace: 0,
            flags: usage,
            key_epoch: 1,
            policy_epoch: 1,
        };
        let nonce = request.nonce().try_into().unwrap();
        let context_hash = self.context().hash();
        let terms = DeliveryTerms { nonce, context_hash, lease };
        let rng = &mut make_rng().unwrap();
        let sealed =
            delivery::Delivery::seal(&recipient, &terms, &self.data_key, &self.signer, rng);
        self.beside(sealed.unwrap().encode())
    }

    fn beside(&self, delivery: Vec<u8>) -> DeliveryAnswer {
        let (keyring, key) = (self.keyring.to_string(), self.key.to_string());
        DeliveryAnswer::new(delivery, &keyring, &key, 1).unwrap()
    }

    pub(super) fn handle(&self, usage: &str) -> DataKeyHandle {
        let request = DataKeyRequest::new(self.pairs.clone(), usage, 300, 0).unwrap();
        let answer = self.answer(&request, UsageFlags::from_words([usage]).unwrap());
        let delivery = request.verify(&answer, &self.device, &self.deployment, NOW).unwrap();
        delivery.open_with(&self.private, None).unwrap()
    }

    /// The data key as the server would encrypt it.
    pub(super) fn encrypted(&self) -> Vec<u8> {
        let material = KeyMaterial::fill_with(|bytes| bytes.fill(9));
        let place = (self.key, Version::FIRST, &material);
        // EXPOSE: the test plays the server.
        let data_key = self.data_key.expose_secret();
        ciphertext::encrypt(place, &self.context(), data_key, &mut make_rng().unwrap()).unwrap()
    }

    fn context(&self) -> EncryptionContext {
        super::delivery::context_from(self.pairs.clone()).unwrap()
    }

    /// A handle that may encrypt, and is ready to.
    pub(super) fn prepared(&self) -> DataKeyHandle {
        let mut handle = self.handle("encrypt");
        handle.prepare(self.encrypted(), self.pairs.clone()).unwrap();
        handle
    }
}

fn seed(byte: u8) -> SigningSeed {
    SigningSeed::fill_with(|bytes| bytes.fill(byte))
}

#[test]
fn what_one_handle_encrypts_another_decrypts_as_often_as_one_likes() {
    let world = World::make();
    let (writer, reader) = (world.prepared(), world.handle("decrypt"));
    let mut messages = Vec::new();
    for length in [0, 1, 100, 65_535, 65_536, 200_000] {
        let plaintext = vec![7; length];
        messages.push(writer.seal(&plaintext).unwrap());
        assert_eq!(reader.open(messages.last().unwrap()).unwrap(), plaintext);
    }
    assert_ne!(writer.seal(b"").unwrap(), messages[0], "each message has an id of its own");
}

#[test]
fn a_header_tells_what_to_ask_for() {
    let world = World::make();
    let message = world.prepared().seal(b"hello").unwrap();
    let header = HeaderReader::new().push(&message).unwrap().unwrap();
    assert_eq!(header.key_id(), Ok(world.key.to_string()));
    assert_eq!(header.key_version(), Ok(1));
    assert_eq!(header.encrypted_data_key().unwrap()[..4], *b"KHC1");
    assert_eq!(header.context(), pairs());
    assert_eq!(header.frame_length(), Some(keyhaven_shared::message::DEFAULT_FRAME_LENGTH));
    assert_eq!(header.rest(), 24 + 5 + 16);
    assert!(!header.signed());
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_message_is_refused() {
    let world = World::make();
    let (message, handle) =
        (world.prepared().seal(b"twenty bytes of text").unwrap(), world.handle("decrypt"));
    assert!(handle.open(&message).is_ok());
    for bit in 0..message.len() * 8 {
        let mut changed = message.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(handle.open(&changed).is_err(), "bit {bit}");
    }
    for length in 0..message.len() {
        assert!(handle.open(&message[..length]).is_err(), "cut to {length}");
    }
    assert!(handle.open(&[message.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn a_key_serves_only_the_use_and_context_it_was_delivered_for() {
    let world = World::make();
    let other = || vec!["album".to_owned(), "winter".to_owned()];
    let prepare = |usage, pairs, encrypted| world.handle(usage).prepare(encrypted, pairs).err();
    assert_eq!(prepare("encrypt", pairs(), world.encrypted()), None);
    assert_eq!(prepare("decrypt", pairs(), world.encrypted()), Some(Fault::Usage));
    assert_eq!(prepare("encrypt", other(), world.encrypted()), Some(Fault::Delivery));
    assert_eq!(prepare("encrypt", pairs(), vec![1, 2, 3]), Some(Fault::Delivery));
    let mut of_another_version = world.encrypted();
    of_another_version[24] = 2;
    assert_eq!(prepare("encrypt", pairs(), of_another_version), Some(Fault::Delivery));
    let message = world.prepared().seal(b"hello").unwrap();
    assert_eq!(world.handle("encrypt").seal(b"unprepared"), Err(Fault::Usage));
    assert_eq!(world.handle("encrypt").open(&message), Err(Fault::Usage));
    let elsewhere = World { pairs: other(), ..world };
    assert_eq!(elsewhere.handle("decrypt").open(&message), Err(Fault::Delivery));
}

#[test]
fn an_answer_to_another_request_time_or_device_is_refused() {
    let world = World::make();
    let request = |pairs, lease| DataKeyRequest::new(pairs, "encrypt", lease, 0).unwrap();
    let asked = request(pairs(), 300);
    let answer = world.answer(&asked, UsageFlags::ENCRYPT);
    let verify = |asked: &DataKeyRequest, answer: &DeliveryAnswer, now| {
        asked.verify(answer, &world.device, &world.deployment, now).err()
    };
    let refused = Some(Fault::Delivery);
    assert_eq!(verify(&asked, &answer, NOW), None);
    assert_eq!(verify(&asked, &answer, NOW + 300.0), refused, "after its lease");
    assert_eq!(verify(&request(pairs(), 300), &answer, NOW), refused, "another nonce");
    let wider = world.answer(&asked, UsageFlags::ENCRYPT.with(UsageFlags::EXPORT));
    assert_eq!(verify(&asked, &wider, NOW), refused, "wider usage");
    let shorter = request(pairs(), 299);
    let too_long = world.answer(&shorter, UsageFlags::ENCRYPT);
    assert_eq!(verify(&shorter, &too_long, NOW), refused, "a longer lease than asked for");
    let other_context = request(Vec::new(), 300);
    let answer_of_other = world.answer(&other_context, UsageFlags::ENCRYPT);
    assert_eq!(verify(&other_context, &answer_of_other, NOW), refused, "another context");
    let other = World::make();
    let foreign = asked.verify(&answer, &other.device, &world.deployment, NOW).err();
    assert_eq!(foreign, refused, "another device");
}

#[test]
fn a_delivery_opens_for_its_private_keys_only() {
    for hybrid in HYBRID {
        let world = World::with_device(hybrid);
        let request = DataKeyRequest::new(pairs(), "decrypt", 300, 0).unwrap();
        let answer = world.answer(&request, UsageFlags::DECRYPT);
        let verified = || request.verify(&answer, &world.device, &world.deployment, NOW).unwrap();
        let other = ModuleKeys::make(hybrid, true).unwrap();
        assert_eq!(verified().open_with(&other, None).err(), Some(Fault::Delivery));

        // WebCrypto keeps the X25519 key, this module the rest.
        // EXPOSE: the test plays WebCrypto.
        let private = *world.private.x25519.as_ref().unwrap().expose_secret();
        let share: [u8; 32] = verified().share().try_into().unwrap();
        let agreed = x25519_dalek::StaticSecret::from(private).diffie_hellman(&share.into());
        let kept = world.private.seal(vec![7; 32]).unwrap();
        let mut kept = ModuleKeys::restore(vec![7; 32], &kept).unwrap();
        kept.x25519 = None;
        let open = |agreed: Vec<u8>| {
            if hybrid { verified().open_with(&kept, Some(agreed)) } else { verified().open(agreed) }
        };
        let handle = open(agreed.as_bytes().to_vec()).unwrap();
        assert_eq!((handle.key_id(), handle.key_version()), (world.key.to_string(), 1));
        assert_eq!((handle.issued_at(), handle.not_after()), (NOW, NOW + 300.0));
        assert_eq!(open(vec![1; 32]).err(), Some(Fault::Delivery));
        assert_eq!(open(vec![0; 32]).err(), Some(Fault::Delivery), "a low-order point");
        assert_eq!(open(vec![1; 31]).err(), Some(Fault::Argument));
        assert_eq!(verified().open_with(&kept, None).err(), Some(Fault::Argument));
        if hybrid {
            let without_ml_kem = verified().open(agreed.as_bytes().to_vec());
            assert_eq!(without_ml_kem.err(), Some(Fault::Delivery));
        }
    }
}

#[test]
fn a_delivery_of_another_suite_than_the_device_s_is_refused() {
    for hybrid in HYBRID {
        let (world, other) = (World::with_device(hybrid), World::with_device(!hybrid));
        let request = DataKeyRequest::new(pairs(), "decrypt", 300, 0).unwrap();
        let answer = other.answer(&request, UsageFlags::DECRYPT);
        let refused = request.verify(&answer, &world.device, &world.deployment, NOW).err();
        assert_eq!(refused, Some(Fault::Delivery));
    }
}

#[test]
fn lease_events_are_believed_only_when_signed() {
    let world = World::make();
    let (stream, other) = (LeaseStream::new().unwrap(), LeaseStream::new().unwrap());
    assert_ne!(stream.nonce(), other.nonce());
    let sign = |end| {
        let event = Event { number: 2, serial: 9, end, at: 1_700_000_001 };
        event.sign(&stream.nonce().parse().unwrap(), &world.signer).encode()
    };
    let hear = |bytes: &[u8], stream| LeaseEvent::verify(bytes, stream, &world.deployment, NOW);
    let mut bytes = sign(LeaseEnd::KeyStopped(world.key));
    let heard = hear(&bytes, &stream).unwrap();
    assert_eq!(
        (heard.kind().as_str(), heard.key_id()),
        ("key_stopped", Some(world.key.to_string()))
    );
    assert_eq!((heard.device(), heard.serial().as_str(), heard.at()), (None, "9", NOW + 1.0));
    assert_eq!((heard.number(), heard.key_version()), (2.0, None));
    assert_eq!(hear(&bytes, &other).err(), Some(Fault::Delivery));
    bytes[20] ^= 1;
    assert_eq!(hear(&bytes, &stream).err(), Some(Fault::Delivery));
    let rotated = hear(&sign(LeaseEnd::KeyRotated(world.key, Version::FIRST)), &stream).unwrap();
    assert_eq!((rotated.kind().as_str(), rotated.key_version()), ("key_rotated", Some(1)));
    let nothing = hear(&sign(LeaseEnd::Nothing), &stream).unwrap();
    assert_eq!((nothing.kind().as_str(), nothing.key_id()), ("nothing", None));
}
