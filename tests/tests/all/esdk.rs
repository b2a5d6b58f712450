//! The message format against the AWS Encryption SDK for Python: each reads what the other writes.
//!
//! Data keys are wrapped as the SDK's raw AES keyring wraps them.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit, Payload},
};
use base64ct::{Base64, Encoding};
use getrandom::SysRng;
use keyhaven_shared::{
    context::EncryptionContext,
    message::{self, EncryptedDataKey, Header, MessageError, MessageSigner, NewMessage},
    secret::DataKey,
};
use keyhaven_tests::vectors::raw_aes::{self, WrappingKey};
use rand_core::{Rng, UnwrapErr};
use serde_json::{Value, json};

/// As in `interop/esdk.py`.
pub(crate) const NAMESPACE: &str = "keyhaven-tests";
const KEY_NAME: &[u8] = b"wrapping key";
pub(crate) const WRAPPING_KEY: [u8; 32] = [0x5a; 32];

const FRAME: u32 = 1024;

/// Plaintext sizes around every border of a frame.
const SIZES: [usize; 8] = [0, 1, 1023, 1024, 1025, 2048, 5000, 3 * 1024 * 1024 + 7];

#[test]
fn keyhaven_reads_what_the_aws_encryption_sdk_writes() {
    let cases: Vec<_> = cases().collect();
    let requests = cases.iter().map(|(signed, plaintext)| {
        json!({
            "key": Base64::encode_string(&WRAPPING_KEY),
            "plaintext": Base64::encode_string(plaintext),
            "context": { "purpose": "test", "caf\u{e9}": "\u{1f511}" },
            "signed": signed,
            "frame_length": FRAME,
        })
    });
    let answers = python("encrypt", requests.collect());
    for ((signed, plaintext), answer) in cases.iter().zip(answers) {
        let sealed = bytes(&answer["message"]);
        let opened = message::decrypt(&sealed, |header| {
            assert_eq!(header.suite().is_signed(), *signed);
            assert!(header.context().contains_all(&context()));
            unwrap_key(header)
        });
        assert!(opened.unwrap().as_slice() == plaintext, "{signed} {}", plaintext.len());
    }
}

#[test]
fn the_aws_encryption_sdk_reads_what_keyhaven_writes() {
    let cases: Vec<_> = cases().collect();
    let requests = cases.iter().map(|(signed, plaintext)| {
        json!({
            "key": Base64::encode_string(&WRAPPING_KEY),
            "message": Base64::encode_string(&sealed(*signed, plaintext)),
        })
    });
    let answers = python("decrypt", requests.collect());
    for ((signed, plaintext), answer) in cases.iter().zip(answers) {
        let what = format!("signed {signed}, {} bytes", plaintext.len());
        assert_eq!(answer["error"], Value::Null, "{what}");
        assert!(bytes(&answer["plaintext"]) == *plaintext, "{what}");
        assert_eq!(answer["context"]["purpose"], "test", "{what}");
        assert_eq!(answer["context"]["aws-crypto-public-key"].is_string(), *signed, "{what}");
    }
}

#[test]
fn both_refuse_the_same_damage() {
    let whole = [false, true].map(|signed| sealed(signed, &[7; 3000]));
    let damaged: Vec<_> = whole.iter().flat_map(|message| damages(message)).collect();
    let requests = damaged.iter().map(|(_, message)| {
        json!({
            "key": Base64::encode_string(&WRAPPING_KEY),
            "message": Base64::encode_string(message),
        })
    });
    for ((what, message), answer) in damaged.iter().zip(python("decrypt", requests.collect())) {
        assert!(answer["error"].is_string(), "the SDK took a message with {what}");
        assert!(message::decrypt(message, unwrap_key).is_err(), "Keyhaven took one with {what}");
    }
}

fn damages(whole: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let flipped = |at: usize| {
        let mut changed = whole.to_vec();
        changed[at] ^= 1;
        changed
    };
    let mut older = whole.to_vec();
    older[1..3].copy_from_slice(&[0x03, 0x78]);
    vec![
        ("a changed message id", flipped(10)),
        ("a changed context", flipped(50)),
        ("a changed frame", flipped(whole.len() - 1500)),
        ("a changed last byte", flipped(whole.len() - 1)),
        ("its end cut off", whole[..whole.len() - 1].to_vec()),
        ("half of it cut off", whole[..whole.len() / 2].to_vec()),
        ("an older suite's number", older),
    ]
}

/// Every size, unsigned and signed.
fn cases() -> impl Iterator<Item = (bool, Vec<u8>)> {
    [false, true].into_iter().flat_map(|signed| {
        SIZES.map(|size| {
            let mut plaintext = vec![0; size];
            UnwrapErr(SysRng).fill_bytes(&mut plaintext);
            (signed, plaintext)
        })
    })
}

fn context() -> EncryptionContext {
    let pairs = [("purpose", "test"), ("caf\u{e9}", "\u{1f511}")];
    EncryptionContext::from_pairs(pairs.map(|(k, v)| (k.to_owned(), v.to_owned()))).unwrap()
}

/// A message whose data key is wrapped by that key.
pub(crate) fn sealed(signed: bool, plaintext: &[u8]) -> Vec<u8> {
    let rng = &mut UnwrapErr(SysRng);
    let (data_key, mut context) = (DataKey::make(rng), context());
    let signer = signed.then(|| MessageSigner::make(rng));
    if let Some(signer) = &signer {
        context = signer.add_to(&context).unwrap();
    }
    let keys = [wrap_key(&data_key, &context)];
    let mut new = NewMessage::new(&context, &keys).frame_length(FRAME);
    if let Some(signer) = signer {
        new = new.signed_by(signer);
    }
    message::encrypt(new, &data_key, plaintext, rng).unwrap()
}

/// Wraps as the raw AES keyring does: provider info = key name ‖ tag length in bits ‖ IV length ‖ IV.
fn wrap_key(data_key: &DataKey, context: &EncryptionContext) -> EncryptedDataKey {
    let mut iv = [0; 12];
    UnwrapErr(SysRng).fill_bytes(&mut iv);
    let aad = raw_aes::serialized(context).unwrap();
    // EXPOSE: the test stands in for the key server here.
    let payload = Payload { msg: data_key.expose_secret(), aad: &aad };
    let ciphertext = Aes256Gcm::new(&WRAPPING_KEY.into()).encrypt(&iv.into(), payload).unwrap();
    let provider_info = [KEY_NAME, &128_u32.to_be_bytes(), &12_u32.to_be_bytes(), &iv].concat();
    EncryptedDataKey { provider_id: NAMESPACE.to_owned(), provider_info, ciphertext }
}

pub(crate) fn unwrap_key(header: &Header) -> Result<DataKey, MessageError> {
    let key = WrappingKey { provider_id: NAMESPACE.to_owned(), material: WRAPPING_KEY.to_vec() };
    raw_aes::unwrap(header, &[key]).ok_or(MessageError::Refused)
}

fn bytes(value: &Value) -> Vec<u8> {
    Base64::decode_vec(value.as_str().unwrap()).unwrap()
}

/// Runs `interop/esdk.py` on all requests at once: starting it costs more than its work.
fn python(command: &str, requests: Vec<Value>) -> Vec<Value> {
    let interpreter = std::env::var("KEYHAVEN_TEST_PYTHON").expect(
        "KEYHAVEN_TEST_PYTHON names no Python with the AWS Encryption SDK: run `cargo xtask test`, \
         which installs it",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/esdk.py");
    let mut child = Command::new(interpreter)
        .args([script.as_os_str(), command.as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let count = requests.len();
    let writer = std::thread::spawn(move || {
        for request in requests {
            writeln!(input, "{request}").unwrap();
        }
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "esdk.py {command}: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), count);
    answers
}
