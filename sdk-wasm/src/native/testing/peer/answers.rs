//! What the server answers when it is honest.

use http::Request;
use keyhaven_shared::{
    api::{
        StringMap,
        bytes::Base64Bytes,
        crypto::{Decrypt, GenerateDataKey},
        delivery::{DeliverDataKey, EnrolDevice, UnsealDataKey},
    },
    ciphertext::{self, Ciphertext},
    context::EncryptionContext,
    delivery::{Delivery, DeliveryTerms, Lease, Recipient, UsageFlags},
    device::DevicePublicKeys,
    http_signature::{ContentDigest, SignatureParams, parse_signature, signature_base},
    ids::{KeyId, Version},
    message::{self, EncryptedDataKey, MessageSigner, NewMessage},
    secret::{DataKey, KeyMaterial},
};
use serde_json::{Value, json};

use super::{Peer, State, issuer};
use crate::entropy::make_rng;

type Answer = Result<Value, (u16, &'static str)>;

impl State {
    pub(super) fn answer(&mut self, request: &Request<Vec<u8>>) -> (u16, Value) {
        match self.try_answer(request) {
            Ok(document) => (200, document),
            Err((status, code)) => {
                (status, json!({ "code": code, "detail": "because", "request_id": "r-1" }))
            }
        }
    }

    fn try_answer(&mut self, request: &Request<Vec<u8>>) -> Answer {
        let path = request.uri().path().strip_prefix("/api/v1").unwrap();
        let [what, ..] = path.rsplit('/').collect::<Vec<_>>()[..] else { panic!("{path}") };
        let (scheme, pass) = credential(request);
        let expected = match what {
            "devices" => "Keyhaven-Enrolment",
            "deliver-data-key" | "unseal-data-key" => "Keyhaven-Ticket",
            _ => "Bearer",
        };
        if scheme != expected || (scheme == "Bearer" && pass != Peer::TOKEN) {
            return Err((401, "unauthenticated"));
        }
        if scheme != "Bearer" && params(request).created < self.floor {
            return Err((401, "device_proof_too_old"));
        }
        if scheme != "Bearer" && !self.spent.insert(pass) {
            return Err((403, "ticket_spent"));
        }
        let body = request.body();
        match what {
            "devices" => self.enrol(request, read(body)),
            "deliver-data-key" => self.deliver(request, read(body)),
            "unseal-data-key" => self.unseal(request, read(body)),
            "generate-data-key" => Ok(generate(read(body))),
            "decrypt" => decrypt(read(body)),
            "tickets" => Ok(json!({ "ticket": self.minted(), "id": "t-1", "expires_at": 5 })),
            "enrolment-tokens" => {
                Ok(json!({ "token": self.minted(), "id": "e-1", "expires_at": 5 }))
            }
            _ => Err((404, "not_found")),
        }
    }

    fn minted(&mut self) -> String {
        self.tickets += 1;
        format!("ticket-{}", self.tickets)
    }

    fn enrol(&mut self, request: &Request<Vec<u8>>, document: EnrolDevice) -> Answer {
        let keys = DevicePublicKeys::parse(&document.keys.0).unwrap();
        verify(request, &keys)?;
        let device = keys.thumbprint();
        self.enrolled.insert(device, keys);
        Ok(json!({
            "device": device.to_string(),
            "enrolment_epoch": 1,
            "deployment": Peer::DEPLOYMENT.to_string(),
            "issuer": Base64Bytes(issuer().to_vec()),
            "server_time": self.now(),
        }))
    }

    fn deliver(&self, request: &Request<Vec<u8>>, wish: DeliverDataKey) -> Answer {
        let context = context(&wish.context);
        let key = DataKey::make(&mut make_rng().unwrap());
        let encrypted = encrypted(self.place, &key, &context);
        let terms = self.terms(
            self.place,
            (&wish.nonce, &context),
            (&wish.usage, wish.lease_s, wish.offline_grace_s),
        );
        self.sealed(request, &key, &terms, encrypted)
    }

    fn unseal(&self, request: &Request<Vec<u8>>, wish: UnsealDataKey) -> Answer {
        let context = context(&wish.context);
        let key = opened(&wish.encrypted_data_key.0, &context)?;
        let named = Ciphertext::parse(&wish.encrypted_data_key.0).unwrap();
        let place = (named.key, named.version);
        let terms = self.terms(
            place,
            (&wish.nonce, &context),
            (&wish.usage, wish.lease_s, wish.offline_grace_s),
        );
        self.sealed(request, &key, &terms, wish.encrypted_data_key.0)
    }

    fn terms(
        &self,
        (key, version): (KeyId, Version),
        (nonce, context): (&Base64Bytes, &EncryptionContext),
        (usage, lease_s, offline_grace): (&[String], u32, u32),
    ) -> DeliveryTerms {
        let now = self.now();
        let lease = Lease {
            key,
            version,
            serial: 7,
            issued_at: now,
            not_after: now + u64::from(lease_s),
            offline_grace,
            flags: UsageFlags::from_words(usage.iter().map(String::as_str)).unwrap(),
            key_epoch: 1,
            policy_epoch: 1,
        };
        DeliveryTerms {
            nonce: nonce.0.as_slice().try_into().unwrap(),
            context_hash: context.hash(),
            lease,
        }
    }

    fn sealed(
        &self,
        request: &Request<Vec<u8>>,
        key: &DataKey,
        terms: &DeliveryTerms,
        encrypted: Vec<u8>,
    ) -> Answer {
        let params = params(request);
        let keys = self.enrolled.get(&params.device).ok_or((401, "device_unknown"))?;
        verify(request, keys)?;
        let recipient = Recipient {
            deployment: Peer::DEPLOYMENT,
            keyring: Peer::KEYRING,
            keys,
            enrolment_epoch: 1,
        };
        let rng = &mut make_rng().unwrap();
        let delivery = Delivery::seal(&recipient, terms, key, &self.signer, rng).unwrap();
        Ok(json!({
            "delivery": Base64Bytes(delivery.encode()),
            "encrypted_data_key": Base64Bytes(encrypted),
            "key": terms.lease.key.to_string(),
            "version": terms.lease.version.number(),
            "keyring": Peer::KEYRING.to_string(),
            "a_newer_server_says": "more",
        }))
    }
}

fn generate(document: GenerateDataKey) -> Value {
    let key = DataKey::make(&mut make_rng().unwrap());
    let encrypted = encrypted(FIRST, &key, &context(&document.context));
    json!({
        // EXPOSE: the test plays the server.
        "plaintext": Base64Bytes(key.expose_secret().to_vec()),
        "ciphertext": Base64Bytes(encrypted),
        "key": Peer::KEY.to_string(),
        "version": 1,
    })
}

/// A signed message about a context, as another client of this server might have written it.
pub(crate) fn signed_message(context: &EncryptionContext, data: &[u8]) -> Vec<u8> {
    let rng = &mut make_rng().unwrap();
    let signer = MessageSigner::make(rng);
    let context = signer.add_to(context).unwrap();
    let key = DataKey::make(rng);
    let encrypted = encrypted(FIRST, &key, &context);
    let keys = [EncryptedDataKey::keyhaven(Peer::KEY, Version::FIRST, encrypted)];
    let new = NewMessage::new(&context, &keys).signed_by(signer);
    message::encrypt(new, &key, data, rng).unwrap()
}

fn decrypt(document: Decrypt) -> Answer {
    let key = opened(&document.ciphertext.0, &context(&document.context))?;
    // EXPOSE: the test plays the server.
    let plaintext = Base64Bytes(key.expose_secret().to_vec());
    Ok(json!({ "plaintext": plaintext, "key": Peer::KEY.to_string(), "version": 1 }))
}

const FIRST: (KeyId, Version) = (Peer::KEY, Version::FIRST);

fn encrypted(
    (key_id, version): (KeyId, Version),
    key: &DataKey,
    context: &EncryptionContext,
) -> Vec<u8> {
    let place = (key_id, version, &material());
    // EXPOSE: the test plays the server.
    let key = key.expose_secret();
    ciphertext::encrypt(place, context, key, &mut make_rng().unwrap()).unwrap()
}

fn opened(bytes: &[u8], context: &EncryptionContext) -> Result<DataKey, (u16, &'static str)> {
    let parsed = Ciphertext::parse(bytes).map_err(|_| (400, "ciphertext_invalid"))?;
    let opened = parsed.decrypt(&material(), context).map_err(|_| (400, "ciphertext_invalid"))?;
    Ok(DataKey::from_slice(&opened).unwrap())
}

fn material() -> KeyMaterial {
    KeyMaterial::fill_with(|bytes| bytes.fill(9))
}

fn context(pairs: &StringMap) -> EncryptionContext {
    EncryptionContext::from_pairs(pairs.0.clone()).unwrap()
}

fn read<D: serde::de::DeserializeOwned>(body: &[u8]) -> D {
    serde_json::from_slice(body).unwrap()
}

fn header<'a>(request: &'a Request<Vec<u8>>, name: &str) -> &'a str {
    request.headers()[name].to_str().unwrap()
}

pub(super) fn params(request: &Request<Vec<u8>>) -> SignatureParams {
    SignatureParams::parse(header(request, "signature-input")).unwrap()
}

fn credential(request: &Request<Vec<u8>>) -> (String, String) {
    let (scheme, pass) = header(request, "authorization").split_once(' ').unwrap();
    (scheme.to_owned(), pass.to_owned())
}

fn verify(request: &Request<Vec<u8>>, keys: &DevicePublicKeys) -> Result<(), (u16, &'static str)> {
    let params = params(request);
    let digest = ContentDigest::parse(header(request, "content-digest")).unwrap();
    assert_eq!(digest, ContentDigest::of(request.body()));
    let target = request.uri().path_and_query().unwrap().as_str();
    let base = signature_base(request.method().as_str(), target, &digest, &params).unwrap();
    let signature = parse_signature(header(request, "signature")).unwrap();
    keys.verify_signature(base.as_bytes(), &signature).map_err(|_| (401, "device_proof_invalid"))
}
