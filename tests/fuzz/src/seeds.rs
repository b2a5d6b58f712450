//! The inputs that the fuzzer starts from: genuine ones, since it finds the broken ones by itself.

use keyhaven_shared::{
    ciphertext,
    device::DevicePublicKeys,
    hpke::SealingSuite,
    http_signature::{ContentDigest, SignatureParams, signature_header},
    ids::{DeviceId, Version},
    lease_event::{LeaseEnd, LeaseEvent},
    message::{self, EncryptedDataKey, NewMessage},
    wrap,
};

use crate::{documents, genuine};

/// An input with a name: that of its file.
#[derive(Debug, Clone)]
pub struct Seed {
    /// Says what it is.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

fn seed(name: &str, bytes: impl Into<Vec<u8>>) -> Seed {
    Seed { name: name.to_owned(), bytes: bytes.into() }
}

pub(crate) fn messages() -> Vec<Seed> {
    let context = keyhaven_shared::context::EncryptionContext::default();
    let foreign = EncryptedDataKey {
        provider_id: "aws-kms".to_owned(),
        provider_info: b"arn:aws:kms:eu-north-1:1:key/x".to_vec(),
        ciphertext: vec![1; 40],
    };
    let ours = EncryptedDataKey { provider_id: "keyhaven".to_owned(), ..foreign.clone() };
    let keys = [foreign, ours];
    let new = NewMessage::new(&context, &keys);
    let data = genuine::plaintext(9);
    let recipients = message::encrypt(new, &genuine::data_key(), &data, &mut genuine::rng());
    vec![
        seed("empty", genuine::message(0, 64, false)),
        seed("one-frame", genuine::message(20, 64, false)),
        seed("four-frames", genuine::message(100, 32, false)),
        seed("full-last-frame", genuine::message(64, 32, false)),
        seed("signed", genuine::message(40, 16, true)),
        seed("two-recipients", recipients.expect("all of it is legal")),
        seed("unframed", unframed()),
    ]
}

/// A message that is not framed. Its header's tag is wrong, since nobody here writes such messages: the
/// target that does not look at tags reads on.
fn unframed() -> Vec<u8> {
    let mut message = genuine::message(0, 64, false);
    message.truncate(message.len() - FINAL_HEAD - 16);
    // Content type and frame length stand before the commitment and the tag.
    let at = message.len() - 16 - 32 - 5;
    message.splice(at..at + 5, [1, 0, 0, 0, 0]);
    message.extend([7; 12]);
    message.extend(5_u64.to_be_bytes());
    message.extend([9; 5 + 16]);
    message
}

/// Bodies in frames of 32 bytes, each after the number of its first frame.
pub(crate) fn bodies() -> Vec<Seed> {
    let header = genuine::message(0, 32, false).len() - FINAL_HEAD - 16;
    let body = |length| genuine::message(length, 32, false).split_off(header);
    let from = |number: u16, bytes: &[u8]| [number.to_be_bytes().as_slice(), bytes].concat();
    vec![
        seed("four-frames", from(1, &body(100))),
        seed("from-the-third", from(3, body(100).get(2 * 64..).unwrap_or_default())),
        seed("only-the-last", from(1, &body(5))),
    ]
}

/// Before a final frame's content: mark, number, IV, length.
const FINAL_HEAD: usize = 4 + 4 + 12 + 4;

pub(crate) fn scripts() -> Vec<Seed> {
    vec![
        seed("in-order", [0, 1, 2, 3, 4]),
        seed("swapped", [0, 2, 1, 3, 4]),
        seed("spliced", [0, 1, 7, 3, 4]),
        seed("cut", [0, 1, 0x82, 3, 4]),
        seed("long", genuine::plaintext(200)),
        seed("zeros", [0; 64]),
    ]
}

pub(crate) fn ciphertexts() -> Vec<Seed> {
    let place = (genuine::KEY, Version::FIRST, &genuine::material());
    let made =
        ciphertext::encrypt(place, &genuine::context(), genuine::SECRET, &mut genuine::rng());
    vec![seed("genuine", made.expect("it is short"))]
}

pub(crate) fn wrapped_keys() -> Vec<Seed> {
    let (key, place, material) = (genuine::wrapping_key(), genuine::binding(), genuine::material());
    let made = wrap::wrap(&key, &place, &material, &mut genuine::rng());
    vec![seed("genuine", made.expect("it is short"))]
}

pub(crate) fn sealings() -> Vec<Seed> {
    let sealed = |suite: SealingSuite| {
        let recipient = genuine::sealing_public_key(suite);
        let sealed = recipient.seal(&genuine::BINDING, &[1; 32], &mut genuine::rng());
        let sealed = sealed.expect("both binding and message are short");
        seed(name_of(suite), [sealed.enc.as_slice(), &sealed.ciphertext].concat())
    };
    SealingSuite::ALL.iter().copied().map(sealed).collect()
}

pub(crate) fn deliveries() -> Vec<Seed> {
    let delivery = |device: &DevicePublicKeys| {
        seed(name_of(device.sealing_key().suite()), genuine::delivery(device).encode())
    };
    genuine::devices().iter().map(delivery).collect()
}

pub(crate) fn device_keys() -> Vec<Seed> {
    let keys =
        |device: &DevicePublicKeys| seed(name_of(device.sealing_key().suite()), device.encode());
    genuine::devices().iter().map(keys).collect()
}

const fn name_of(suite: SealingSuite) -> &'static str {
    match suite {
        SealingSuite::X25519Aes256Gcm => "classical",
        SealingSuite::MlKem768X25519Aes256Gcm => "hybrid",
    }
}

pub(crate) fn lease_events() -> Vec<Seed> {
    let ends = [
        ("key-stopped", LeaseEnd::KeyStopped(genuine::KEY)),
        ("device-revoked", LeaseEnd::DeviceRevoked(DeviceId::from_thumbprint([5; 32]))),
        ("policy-changed", LeaseEnd::PolicyChanged),
        ("key-rotated", LeaseEnd::KeyRotated(genuine::KEY, Version::FIRST)),
        ("nothing", LeaseEnd::Nothing),
    ];
    let signed = ends.map(|(name, end)| {
        let event = LeaseEvent { number: 3, serial: 7, end, at: genuine::NOW };
        seed(name, event.sign(&genuine::STREAM, genuine::node()).encode())
    });
    signed.into()
}

pub(crate) fn node_certificates() -> Vec<Seed> {
    vec![seed("genuine", genuine::node().certificate().encode())]
}

pub(crate) fn http_signatures() -> Vec<Seed> {
    let device = genuine::device().thumbprint();
    let params = SignatureParams { created: genuine::NOW, nonce: [1; 16], device };
    let headers = [
        ContentDigest::of(b"{}").to_string(),
        params.signature_input(),
        signature_header(&[6; 64]),
    ];
    vec![
        seed("headers", headers.join("\n")),
        seed("target", "/api/v1/keys/photos/deliver-data-key?x=1&y"),
    ]
}

pub(crate) fn ids() -> Vec<Seed> {
    vec![
        seed("uuid", "0d9f6e3c-5a41-4c7b-8f21-6b1e2d3c4a5f"),
        seed("device", genuine::device().thumbprint().to_string()),
        seed("spec", "aes-256-gcm"),
        seed("operation", "DeliverDataKey"),
    ]
}

pub(crate) fn contexts() -> Vec<Seed> {
    vec![
        seed("pairs", "album=summer\nowner=wriţer"),
        seed("border", "ab=c\na=bc"),
        seed("twice", "a=1\na=2"),
    ]
}

pub(crate) fn bearer_tokens() -> Vec<Seed> {
    let header = r#"{"alg":"ES256","kid":"one","typ":"at+jwt"}"#;
    let claims = r#"{"iss":"https://idp.example","sub":"s","aud":["a","b"],"exp":3,"iat":1,"nbf":2,"jti":"j","x":{"y":[1]}}"#;
    vec![
        seed("parts", format!("{header}\n{claims}")),
        seed("unsigned", format!("{}\n{claims}", header.replace("ES256", "none"))),
        seed(
            "whole",
            "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJpIiwic3ViIjoicyIsImF1ZCI6ImEiLCJleHAiOjIsImlhdCI6MX0.AA",
        ),
    ]
}

pub(crate) fn bearer_keys() -> Vec<Seed> {
    let rsa = r#"{"kty":"RSA","kid":"r","n":"bg","e":"AQAB","alg":"PS256","x5c":["x"]}"#;
    let ec = r#"{"kty":"EC","crv":"P-256","kid":"p","x":"eA","y":"eQ","use":"sig"}"#;
    let ed25519 = r#"{"kty":"OKP","crv":"Ed25519","kid":"d","x":"eA","key_ops":["verify"]}"#;
    vec![
        seed("three", format!(r#"{{"keys":[{rsa},{ec},{ed25519}]}}"#)),
        seed("twice", format!(r#"{{"keys":[{ec},{ec},7]}}"#)),
    ]
}

pub(crate) fn api_documents() -> Vec<Seed> {
    documents::NAMES
        .iter()
        .zip(0_u8..)
        .map(|(name, number)| {
            let json = DOCUMENTS.iter().find(|(of, _)| of == name).map_or("{}", |(_, json)| json);
            seed(name, [&[number], json.as_bytes()].concat())
        })
        .collect()
}

/// One of each document.
const DOCUMENTS: &[(&str, &str)] = &[
    ("CreatePrincipal", r#"{"name":"n","groups":["g"]}"#),
    ("Principal", r#"{"name":"n","groups":["g"],"enabled":true,"created_at":1}"#),
    ("PrincipalList", r#"{"principals":[],"next":"n"}"#),
    ("IssueToken", r#"{"expires_in_days":1}"#),
    ("IssuedToken", r#"{"token":"t","id":"i","expires_at":1}"#),
    ("RevokedToken", r#"{"id":"i","revoked_at":1}"#),
    ("AuditPage", r#"{"entries":[{"index":1,"who":["a",null,true,-1.5e3]}],"next":2}"#),
    ("Encrypt", r#"{"plaintext":"AQI=","context":{"a":"b"}}"#),
    ("Encrypted", r#"{"ciphertext":"AQI=","key":"k","version":1}"#),
    ("Decrypt", r#"{"ciphertext":"AQI=","context":{"a":"b"}}"#),
    ("Decrypted", r#"{"plaintext":"AQI=","key":"k","version":1}"#),
    ("ReEncrypt", r#"{"ciphertext":"AQI=","context":{},"to_key":"k","to_context":{"c":"d"}}"#),
    ("GenerateDataKey", r#"{"context":{"a":"b"}}"#),
    ("GeneratedDataKey", r#"{"plaintext":"AQI=","ciphertext":"AwQ=","key":"k","version":1}"#),
    (
        "MintTicket",
        r#"{"subject":"s","operations":["DeliverDataKey"],"context":{"a":"b"},"context_exact":true,"device":"d","uses":2,"expires_in_s":3}"#,
    ),
    ("Ticket", r#"{"ticket":"t","id":"i","expires_at":1}"#),
    ("MintEnrolmentToken", r#"{"subject":"s","origin":"https://a.example","expires_in_s":3}"#),
    ("EnrolmentToken", r#"{"token":"t","id":"i","expires_at":1}"#),
    ("EnrolDevice", r#"{"keys":"AQI=","origin":"o","name":"n"}"#),
    (
        "EnrolledDevice",
        r#"{"device":"d","enrolment_epoch":1,"deployment":"d","issuer":"AQI=","server_time":2}"#,
    ),
    ("Device", r#"{"device":"d","owner":"o","name":"n","enrolled_at":1,"revoked_at":2}"#),
    ("DeviceList", r#"{"devices":[],"next":"n"}"#),
    (
        "DeliverDataKey",
        r#"{"nonce":"AQI=","context":{"a":"b"},"usage":["export"],"lease_s":1,"offline_grace_s":2}"#,
    ),
    (
        "UnsealDataKey",
        r#"{"encrypted_data_key":"AQI=","nonce":"AQI=","context":{"a":"b"},"usage":["decrypt"],"lease_s":1,"offline_grace_s":2}"#,
    ),
    (
        "SealedDataKey",
        r#"{"delivery":"AQI=","encrypted_data_key":"AQI=","key":"k","version":1,"keyring":"r"}"#,
    ),
    ("CreateKeyring", r#"{"name":"n"}"#),
    ("Keyring", r#"{"name":"n","id":"i","root_epoch":1,"created_at":2}"#),
    ("KeyringList", r#"{"keyrings":[],"next":"n"}"#),
    (
        "CreateKey",
        r#"{"keyring":"k","alias":"a","spec":"s","distribution":"d","max_offline_grace_s":9,"tags":{"t":"v"}}"#,
    ),
    ("KeyVersion", r#"{"version":1,"created_at":2}"#),
    (
        "Key",
        r#"{"id":"i","keyring":"k","aliases":["a"],"spec":"s","usage":"u","origin":"o","protection":"p","distribution":"d","state":"enabled","destruction_at":3,"primary_version":1,"versions":[],"max_offline_grace_s":4,"tags":{},"created_at":5}"#,
    ),
    ("KeyList", r#"{"keys":[],"next":"n"}"#),
    ("TagKey", r#"{"tags":{"a":"b"}}"#),
    ("ScheduleDestruction", r#"{"waiting_days":7,"now":true}"#),
    ("Empty", "{}"),
    ("BindIdentity", r#"{"principal":"p","issuer":"https://a.example","subject":"s"}"#),
    (
        "Identity",
        r#"{"id":"i","principal":"p","issuer":"https://a.example","subject":"s","created_at":1}"#,
    ),
    ("IdentityList", r#"{"identities":[],"next":"n"}"#),
    ("PutPolicy", r#"{"text":"t"}"#),
    ("Policy", r#"{"name":"n","text":"t","updated_at":1}"#),
    ("PolicyList", r#"{"policies":[],"schema":"s"}"#),
    (
        "Problem",
        r#"{"type":"t","title":"t","status":404,"code":"c","detail":"d","request_id":"r"}"#,
    ),
];
