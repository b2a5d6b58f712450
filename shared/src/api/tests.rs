//! Every document: what it says survives the way there and back, and nothing else is taken for it.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{access, audit, crypto, delivery, keys, policies, problem};

/// Looks at one document. `full` has every field; `defaults` are those that may be left out, with what
/// they are then read as (`null`: left out when written, too).
fn check<T: Serialize + DeserializeOwned>(full: &Value, defaults: &Value) {
    let name = core::any::type_name::<T>();
    let (fields, defaults) = (full.as_object().unwrap(), defaults.as_object().unwrap());
    let read = |fields: &Map<String, Value>| serde_json::from_str::<T>(&json!(fields).to_string());
    let written = |document: &T| serde_json::to_value(document).unwrap();
    let refused = |fields: &Map<String, Value>, why: &str| {
        assert!(read(fields).is_err(), "{name}: {why} was read");
    };
    assert_eq!(written(&read(fields).unwrap()), *full, "{name}");

    for (field, value) in fields {
        let mut other = fields.clone();
        other.remove(field);
        match defaults.get(field) {
            None => refused(&other, &format!("without `{field}`")),
            Some(default) => {
                let written = written(&read(&other).unwrap());
                assert_eq!(written.get(field).unwrap_or(&Value::Null), default, "{name}: {field}");
            }
        }
        // Neither a string, a number, a flag, a list, nor a map of strings.
        for wrong in [json!({ "x": [] }), json!(-1), json!(1.5)] {
            other.insert(field.clone(), wrong.clone());
            refused(&other, &format!("`{field}` as {wrong}"));
        }
        if defaults.get(field) != Some(&Value::Null) {
            other.insert(field.clone(), Value::Null);
            refused(&other, &format!("`{field}` as null"));
        }
        other.remove(field);
        other.insert(field.to_uppercase(), value.clone());
        refused(&other, &format!("`{field}` in capitals"));
    }
    let mut more = fields.clone();
    more.insert("surplus".to_owned(), Value::Null);
    refused(&more, "an unknown field");

    let text = full.to_string();
    if let Some((field, value)) = fields.iter().next() {
        let doubled = text.replacen('{', &format!("{{{}:{value},", json!(field)), 1);
        assert!(serde_json::from_str::<T>(&doubled).is_err(), "{name}: `{field}` twice was read");
    }
    for other in [String::new(), format!("{text} {text}"), format!("[{text}]"), "null".to_owned()] {
        assert!(serde_json::from_str::<T>(&other).is_err(), "{name}: {other} was read");
    }
}

#[test]
fn documents_about_keyrings_and_keys() {
    check::<keys::CreateKeyring>(&json!({"name": "n"}), &json!({}));
    let keyring = json!({"name": "n", "id": "i", "root_epoch": 1, "created_at": 2});
    check::<keys::Keyring>(&keyring, &json!({}));
    let list = json!({"keyrings": [keyring], "next": "n"});
    check::<keys::KeyringList>(&list, &json!({"next": null}));
    check::<keys::CreateKey>(
        &json!({
            "keyring": "k", "alias": "a", "spec": "s", "distribution": "d",
            "max_offline_grace_s": 9, "tags": {"t": "v"},
        }),
        &json!({
            "keyring": "default", "alias": null, "distribution": "none",
            "max_offline_grace_s": 0, "tags": {},
        }),
    );
    let version = json!({"version": 1, "created_at": 2});
    check::<keys::KeyVersion>(&version, &json!({}));
    let key = json!({
        "id": "i", "keyring": "k", "aliases": ["a"], "spec": "s", "usage": "u", "origin": "o",
        "protection": "p", "distribution": "d", "state": "pending-destruction",
        "destruction_at": 3, "primary_version": 1, "versions": [version],
        "max_offline_grace_s": 4, "tags": {}, "created_at": 5,
    });
    check::<keys::Key>(&key, &json!({"destruction_at": null}));
    check::<keys::KeyList>(&json!({"keys": [key], "next": "n"}), &json!({"next": null}));
    check::<keys::TagKey>(&json!({"tags": {"a": "b"}}), &json!({}));
    check::<keys::ScheduleDestruction>(
        &json!({"waiting_days": 7, "now": true}),
        &json!({"waiting_days": 30, "now": false}),
    );
    check::<keys::Empty>(&json!({}), &json!({}));
}

#[test]
fn documents_about_encryption() {
    let context = json!({"context": {}});
    check::<crypto::Encrypt>(&json!({"plaintext": "AQI=", "context": {"a": "b"}}), &context);
    let encrypted = json!({"ciphertext": "AQI=", "key": "k", "version": 1});
    check::<crypto::Encrypted>(&encrypted, &json!({}));
    check::<crypto::Decrypt>(&json!({"ciphertext": "", "context": {"a": "b"}}), &context);
    let decrypted = json!({"plaintext": "AQI=", "key": "k", "version": 1});
    check::<crypto::Decrypted>(&decrypted, &json!({}));
    check::<crypto::ReEncrypt>(
        &json!({
            "ciphertext": "AQI=", "context": {"a": "b"}, "to_key": "k", "to_context": {"c": "d"},
        }),
        &json!({"context": {}, "to_key": null, "to_context": null}),
    );
    check::<crypto::GenerateDataKey>(&json!({"context": {"a": "b"}}), &context);
    check::<crypto::GeneratedDataKey>(
        &json!({"plaintext": "AQI=", "ciphertext": "AwQ=", "key": "k", "version": 1}),
        &json!({}),
    );
}

#[test]
fn documents_about_devices_and_deliveries() {
    check::<delivery::MintTicket>(
        &json!({
            "subject": "s", "operations": ["DeliverDataKey"], "context": {"a": "b"},
            "context_exact": true, "device": "d", "uses": 2, "expires_in_s": 3,
        }),
        &json!({
            "context": {}, "context_exact": false, "device": null, "uses": 1, "expires_in_s": 300,
        }),
    );
    check::<delivery::Ticket>(&json!({"ticket": "t", "id": "i", "expires_at": 1}), &json!({}));
    check::<delivery::MintEnrolmentToken>(
        &json!({"subject": "s", "origin": "o", "expires_in_s": 3}),
        &json!({"origin": null, "expires_in_s": 300}),
    );
    let token = json!({"token": "t", "id": "i", "expires_at": 1});
    check::<delivery::EnrolmentToken>(&token, &json!({}));
    check::<delivery::EnrolDevice>(
        &json!({"keys": "AQI=", "origin": "o", "name": "n"}),
        &json!({"origin": null, "name": null}),
    );
    check::<delivery::EnrolledDevice>(
        &json!({
            "device": "d", "enrolment_epoch": 1, "deployment": "d", "issuer": "AQI=",
            "server_time": 2,
        }),
        &json!({}),
    );
    let device =
        json!({"device": "d", "owner": "o", "name": "n", "enrolled_at": 1, "revoked_at": 2});
    check::<delivery::Device>(&device, &json!({"name": null, "revoked_at": null}));
    let list = json!({"devices": [device], "next": "n"});
    check::<delivery::DeviceList>(&list, &json!({"next": null}));
    check::<delivery::DeliverDataKey>(
        &json!({
            "nonce": "AQI=", "context": {"a": "b"}, "usage": ["export"], "lease_s": 1,
            "offline_grace_s": 2,
        }),
        &json!({
            "context": {}, "usage": ["encrypt", "decrypt"], "lease_s": 300, "offline_grace_s": 0,
        }),
    );
    check::<delivery::UnsealDataKey>(
        &json!({
            "encrypted_data_key": "AQI=", "nonce": "AQI=", "context": {"a": "b"},
            "usage": ["export"], "lease_s": 1, "offline_grace_s": 2,
        }),
        // To open is to read: nobody who says nothing gets more.
        &json!({"context": {}, "usage": ["decrypt"], "lease_s": 300, "offline_grace_s": 0}),
    );
    check::<delivery::SealedDataKey>(
        &json!({
            "delivery": "AQI=", "encrypted_data_key": "AQI=", "key": "k", "version": 1,
            "keyring": "r",
        }),
        &json!({}),
    );
}

#[test]
fn documents_about_access_policies_and_the_log() {
    check::<access::CreatePrincipal>(
        &json!({"name": "n", "groups": ["g"]}),
        &json!({"groups": []}),
    );
    let principal = json!({"name": "n", "groups": ["g"], "enabled": true, "created_at": 1});
    check::<access::Principal>(&principal, &json!({}));
    let list = json!({"principals": [principal], "next": "n"});
    check::<access::PrincipalList>(&list, &json!({"next": null}));
    check::<access::IssueToken>(&json!({"expires_in_days": 1}), &json!({"expires_in_days": 90}));
    let token = json!({"token": "t", "id": "i", "expires_at": 1});
    check::<access::IssuedToken>(&token, &json!({}));
    check::<access::RevokedToken>(&json!({"id": "i", "revoked_at": 1}), &json!({}));
    check::<policies::PutPolicy>(&json!({"text": "t"}), &json!({}));
    let policy = json!({"name": "n", "text": "t", "updated_at": 1});
    check::<policies::Policy>(&policy, &json!({}));
    let list = json!({"policies": [policy], "schema": "s"});
    check::<policies::PolicyList>(&list, &json!({}));
    let page = json!({"entries": [{"index": 1}], "next": 2});
    check::<audit::AuditPage>(&page, &json!({"next": null}));
    check::<problem::Problem>(
        &json!({
            "type": "t", "title": "t", "status": 404, "code": "c", "detail": "d",
            "request_id": "r",
        }),
        &json!({}),
    );
}

#[test]
fn numbers_beyond_their_type_are_refused() {
    let version = |number: &str| {
        let text = format!(r#"{{"version":{number},"created_at":0}}"#);
        serde_json::from_str::<keys::KeyVersion>(&text).map(|read| read.version).ok()
    };
    assert_eq!(version("4294967295"), Some(u32::MAX));
    for bad in ["4294967296", "18446744073709551616", "1.0", "1e0", "\"1\"", "true", "01"] {
        assert_eq!(version(bad), None, "{bad}");
    }
    let problem = json!({
        "type": "", "title": "", "status": 65536, "code": "", "detail": "", "request_id": "",
    });
    assert!(serde_json::from_value::<problem::Problem>(problem).is_err());
}

#[test]
fn what_was_sent_as_plaintext_is_in_no_error() {
    // Misspelt in every way, beside mistakes in other fields: what goes to a log must not tell it.
    for bad in [
        r#"{"plaintext":"hunter2"}"#,
        r#"{"plaintext":"aHVudGVyMg="}"#,
        r#"{"plaintext":"hunter2=","context":{}}"#,
        r#"{"plaintext":["hunter2"]}"#,
        r#"{"plaintext":{"hunter2":1}}"#,
        r#"{"plaintext":"aHVudGVyMg==","context":7}"#,
        r#"{"plaintext":"aHVudGVyMg==","surplus":"hunter2"}"#,
        r#"{"plaintext":"aHVudGVyMg==","plaintext":"hunter2"}"#,
        r#"{"plaintext":"aHVudGVyMg=="#,
    ] {
        let error = serde_json::from_str::<crypto::Encrypt>(bad).err().unwrap();
        let told = format!("{error} {error:?}");
        assert!(!told.contains("hunter2") && !told.contains("aHVu"), "{bad}: {told}");
    }
}

/// What the OpenAPI description promises is what the parser does.
#[cfg(feature = "schema")]
#[test]
fn schemas_refuse_unknown_fields_and_name_the_required_ones() {
    fn schema<T: schemars::JsonSchema>() -> Value {
        schemars::schema_for!(T).to_value()
    }
    for (schema, required) in [
        (schema::<keys::CreateKey>(), json!(["spec"])),
        (schema::<crypto::Encrypt>(), json!(["plaintext"])),
        (schema::<crypto::ReEncrypt>(), json!(["ciphertext"])),
        (schema::<delivery::MintTicket>(), json!(["subject", "operations"])),
        (schema::<delivery::DeliverDataKey>(), json!(["nonce"])),
        (schema::<delivery::UnsealDataKey>(), json!(["encrypted_data_key", "nonce"])),
        (schema::<access::IssueToken>(), Value::Null),
        (schema::<keys::Empty>(), Value::Null),
    ] {
        assert_eq!(schema["additionalProperties"], json!(false), "{schema}");
        assert_eq!(schema["required"], required, "{schema}");
    }
}
