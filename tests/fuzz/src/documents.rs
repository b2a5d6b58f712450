//! The native API's documents: JSON from anybody. The first byte of an input says which document it is
//! to be read as, so that the fuzzer does not spend its time on all of them for each input.

use keyhaven_shared::api::{access, audit, crypto, delivery, identities, keys, policies, problem};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

macro_rules! documents {
    ($($module:ident: $($name:ident)+;)+) => {
        /// Every document's name, in the order of the first byte.
        pub(crate) const NAMES: &[&str] = &[$($(stringify!($name),)+)+];
        const READERS: &[fn(&[u8])] = &[$($(read_again::<$module::$name>,)+)+];
    };
}

documents! {
    access: CreatePrincipal Principal PrincipalList IssueToken IssuedToken RevokedToken;
    audit: AuditPage;
    crypto: Encrypt Encrypted Decrypt Decrypted ReEncrypt GenerateDataKey GeneratedDataKey;
    delivery: MintTicket Ticket MintEnrolmentToken EnrolmentToken EnrolDevice EnrolledDevice Device
        DeviceList DeliverDataKey UnsealDataKey SealedDataKey;
    keys: CreateKeyring Keyring KeyringList CreateKey KeyVersion Key KeyList TagKey
        ScheduleDestruction Empty;
    policies: PutPolicy Policy PolicyList;
    problem: Problem;
    identities: BindIdentity Identity IdentityList;
}

/// What is read as a document is written such that it is read as the same.
pub fn api_documents(data: &[u8]) {
    let Some((first, json)) = data.split_first() else { return };
    if let Some(read) = READERS.get(usize::from(*first)) {
        read(json);
    }
}

fn read_again<T: Serialize + DeserializeOwned>(json: &[u8]) {
    let Ok(document) = serde_json::from_slice::<T>(json) else { return };
    let written = serde_json::to_vec(&document).expect("a document is written");
    let again: T = serde_json::from_slice(&written).expect("what was written is read");
    let again = serde_json::to_vec(&again).expect("a document is written");
    // A fraction is read as the one next to it at times; what Keyhaven writes has whole numbers only.
    if !has_fraction(&serde_json::from_slice(&written).expect("it is JSON")) {
        assert_eq!(written, again);
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}
