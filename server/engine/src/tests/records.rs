//! The audit log: every operation's entry says who, what, which and how it ended; none tells a secret.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use keyhaven_shared::{
    context::EncryptionContext,
    hex::hex,
    operation::{Operation, Target},
};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    stage::{Stage, rows},
    world::{Device, NOW, World, alias_of, context, request},
};
use crate::{
    authenticate::{Presented, authenticate},
    caller::{Caller, RequestInfo},
    error::Error,
    name::KeyName,
    op::{
        crypt::{Encrypt, ReEncryptTo},
        data_key::GenerateDataKey,
        device::EnrolDevice,
        key::DescribeKey,
        keyring::{CreateKeyring, DescribeKeyring},
        token::IssueToken,
    },
    port::store::Store,
};

/// Whether an entry of the operation has the version, the context's hash and the result's hash.
fn has(operation: Operation) -> (bool, bool, bool) {
    use Operation as O;
    let uses = [O::Encrypt, O::Decrypt, O::ReEncryptFrom, O::ReEncryptTo, O::GenerateDataKey];
    let uses = uses.contains(&operation);
    (uses || [O::CreateKey, O::RotateKey].contains(&operation), uses, uses)
}

/// Whom or what the entry names besides the key; nothing for those that concern only their resource.
fn subject(stage: &Stage, operation: Operation) -> Option<String> {
    use Operation as O;
    let named = [
        (O::CreateKeyring, "fresh"),
        (O::SetAlias, "pictures"),
        (O::RemoveAlias, "pictures"),
        (O::CreatePrincipal, "fresh"),
        (O::DisablePrincipal, "writer"),
        (O::EnablePrincipal, "writer"),
        (O::IssueToken, "writer"),
        (O::BindIdentity, "writer"),
        (O::UnbindIdentity, "writer"),
        (O::MintTicket, "writer"),
        (O::MintEnrolmentToken, "writer"),
        (O::PutPolicy, "spare"),
        (O::RemovePolicy, "spare"),
    ];
    if operation == O::RevokeToken {
        return Some(stage.token.to_string());
    }
    named.iter().find(|(known, _)| *known == operation).map(|(_, name)| (*name).to_owned())
}

/// What stands in every entry of a request.
fn check_request(entry: &Value, operation: Operation) {
    let expected = [
        ("operation", operation.name()),
        ("request_id", "request"),
        ("source", "127.0.0.1"),
        ("protocol", "test"),
        ("action", "test"),
        ("via", "token"),
    ];
    for (field, value) in expected {
        assert_eq!(entry[field], value, "{operation}: {field}");
    }
    assert_eq!(entry["time_ms"], NOW * 1000);
    assert_eq!(entry["request_hash"].as_str().unwrap().len(), 64);
    assert!(entry["credential"].as_str().unwrap().len() == 36, "the token's id");
    let resource = entry["resource"].as_str().unwrap();
    let begins = match operation.target() {
        Target::Deployment => "deployment",
        Target::Keyring => "keyring/default",
        Target::Key => "key/default:",
    };
    assert!(resource.starts_with(begins), "{operation}: {resource}");
}

#[tokio::test]
async fn every_allowed_operation_is_recorded_with_who_what_and_why() {
    let stage = Stage::new().await;
    for act in stage.by_token() {
        let operation = act.operation();
        act.run(&stage.world, &stage.admin).await.unwrap();
        let entry = stage.world.last_audit().await;
        check_request(&entry, operation);
        assert_eq!((&entry["decision"], &entry["outcome"]), (&"allowed".into(), &"ok".into()));
        assert_eq!(entry["principal"], "admin");
        assert_eq!(entry["policies"], serde_json::json!(["administrators"]), "{operation}");
        assert!(entry["policy_epoch"].is_u64(), "{operation}");
        let on_key = operation.target() == Target::Key;
        assert_eq!(entry["key_epoch"].is_u64(), on_key, "{operation}");
        assert_eq!(entry["key"].is_string(), on_key || operation == Operation::CreateKey);
        let (version, context, result) = has(operation);
        assert_eq!(entry["version"].is_u64(), version, "{operation}: version");
        assert_eq!(entry["context_hash"].is_string(), context, "{operation}: context");
        assert_eq!(entry["result_hash"].is_string(), result, "{operation}: result");
        let concerned = entry["subject"].as_str().and_then(|text| text.split(' ').next());
        assert_eq!(concerned, subject(&stage, operation).as_deref(), "{operation}");
        let device = stage.device.keys.thumbprint().to_string();
        let device = (operation == Operation::RevokeDevice).then_some(device);
        assert_eq!(entry["device"].as_str(), device.as_deref(), "{operation}");
    }
}

#[tokio::test]
async fn every_refused_operation_is_recorded_and_names_no_policy_and_no_result() {
    let stage = Stage::new().await;
    let outsider = stage.world.user("outsider").await;
    for act in stage.by_token() {
        let (operation, length) = (act.operation(), stage.world.audit().await.len());
        act.run(&stage.world, &outsider).await.unwrap_err();
        let mut added = stage.world.audit().await.split_off(length);
        assert_eq!(added.len(), 1, "{operation}: one entry a request");
        let entry = added.pop().unwrap();
        check_request(&entry, operation);
        assert_eq!(entry["decision"], "refused", "{operation}");
        assert_eq!(entry["outcome"], "access_denied", "{operation}");
        assert_eq!(entry["principal"], "outsider");
        for absent in ["policies", "result_hash", "version", "subject"] {
            assert!(entry.get(absent).is_none(), "{operation}: {absent}");
        }
    }
}

#[tokio::test]
async fn a_devices_entries_name_device_ticket_version_and_context() {
    let stage = Stage::new().await;
    let (world, device) = (&stage.world, &stage.device);
    let ticket = world.ticket("writer", |_| {}).await;
    let minted = world.last_audit().await["subject"].as_str().unwrap().to_owned();
    let sealed = world.deliver(device, &ticket, |_| {}).await.unwrap();
    let entry = world.last_audit().await;
    assert_eq!(entry["via"], "ticket");
    assert_eq!(entry["principal"], "writer");
    assert_eq!(entry["device"], device.keys.thumbprint().to_string());
    let id = entry["credential"].as_str().unwrap();
    assert_eq!(minted, format!("writer {id}"), "the entry of its minting has the same id");
    assert_eq!(entry["key"], sealed.key);
    assert_eq!(entry["version"], 1);
    assert_eq!(entry["policies"], serde_json::json!(["users"]));
    assert_eq!(entry["context_hash"], hex(&context("file", "1").hash()));
    use sha2::{Digest, Sha256};
    assert_eq!(entry["result_hash"], hex(&Sha256::digest(&sealed.delivery)));

    let token = world.enrolment("writer", None).await;
    let fresh = Device::new(2);
    world.enrol(&fresh, &token).await.unwrap();
    let entry = world.last_audit().await;
    assert_eq!(entry["via"], "enrolment");
    assert_eq!(entry["device"], fresh.keys.thumbprint().to_string());
    assert_eq!(entry["principal"], "writer");
}

/// The entries as they stand in the store.
async fn raw(world: &World) -> Vec<String> {
    let entries = world.store.entries(0, usize::MAX).await.unwrap();
    entries.into_iter().map(|(_, entry)| String::from_utf8(entry).unwrap()).collect()
}

fn check_canonical(entries: &[String]) {
    for (index, entry) in entries.iter().enumerate() {
        let value: Value = serde_json::from_str(entry).unwrap();
        assert_eq!(value["index"], index);
        // serde_json's map is sorted, so writing it again is the canonical order.
        assert_eq!(&serde_json::to_string(&value).unwrap(), entry);
        assert!(!entry.contains(|c: char| c < ' '), "one line: {entry:?}");
    }
}

#[tokio::test]
async fn every_entry_is_one_line_of_canonical_json_with_its_index() {
    let stage = Stage::new().await;
    let outsider = stage.world.user("outsider").await;
    for caller in [&outsider, &stage.admin] {
        for act in stage.by_token().iter().chain(&stage.for_devices()) {
            let _ = act.run(&stage.world, caller).await;
        }
    }
    check_canonical(&raw(&stage.world).await);
}

/// A secret in each spelling that something could have written it in.
fn spellings(secret: &[u8]) -> Vec<String> {
    let mut spellings = vec![
        hex(secret),
        hex(secret).to_uppercase(),
        Base64::encode_string(secret).trim_end_matches('=').to_owned(),
        Base64UrlUnpadded::encode_string(secret),
        format!("{secret:?}").trim_matches(['[', ']']).replace(' ', ""),
    ];
    spellings.extend(String::from_utf8(secret.to_vec()));
    spellings
}

#[tokio::test]
async fn no_secret_stands_in_the_log_or_the_rows() {
    let stage = Stage::new().await;
    let (world, admin) = (&stage.world, &stage.admin);
    let canary = b"canary: a plaintext that must not be seen anywhere".to_vec();
    let (key, about) = (|| alias_of("photos"), || context("file", "1"));
    let plaintext = || Zeroizing::new(canary.clone());
    let encrypt = || Encrypt { key: key(), plaintext: plaintext(), context: about() };
    world.engine.execute(admin, &encrypt()).await.unwrap();
    world.engine.execute(admin, &ReEncryptTo(encrypt())).await.unwrap();
    let generate = GenerateDataKey { key: key(), context: about() };
    let generated = world.engine.execute(admin, &generate).await.unwrap();
    let ticket = world.ticket("writer", |_| {}).await;
    world.unseal(&stage.device, (&ticket, &generated.ciphertext)).await.unwrap();
    let enrolment = world.enrolment("writer", None).await;
    world.enrol(&Device::new(5), &enrolment).await.unwrap();
    let issue = IssueToken { principal: "writer".into(), expires_in_days: 1 };
    let token = world.engine.execute(admin, &issue).await.unwrap().token;
    let token_secret = token.rsplit('.').next().unwrap();
    let outsider = world.user("outsider").await;
    world.engine.execute(&outsider, &encrypt()).await.unwrap_err();

    let mut kept = raw(world).await;
    kept.extend(
        rows(world)
            .await
            .iter()
            .filter_map(|row| row.body.clone())
            .map(|body| String::from_utf8(body).unwrap()),
    );
    let kept = kept.join("\n");
    // EXPOSE: the test looks for the data key in what was kept.
    let data_key = generated.plaintext.expose_secret().to_vec();
    let signature = |jws: &str| jws.rsplit('.').next().unwrap().as_bytes().to_vec();
    let secrets = [
        ("plaintext", canary.clone()),
        ("data key", data_key),
        ("token", token_secret.as_bytes().to_vec()),
        ("token's bytes", Base64UrlUnpadded::decode_vec(token_secret).unwrap()),
        ("ticket", signature(&ticket)),
        ("enrolment token", signature(&enrolment)),
        ("context", b"\"file\"".to_vec()),
    ];
    for (what, secret) in secrets {
        for spelling in spellings(&secret) {
            assert!(!kept.contains(&spelling), "{what} as {spelling}");
        }
    }
    assert!(kept.contains(&hex(&about().hash())), "the search sees what is there");
}

/// Texts that would forge a line, a field, a colour or an end where something wrote them unescaped.
const HOSTILE: [&str; 7] = [
    "x\n{\"index\":0,\"decision\":\"allowed\"}",
    "x\",\"decision\":\"allowed\",\"x\":\"",
    "\u{1b}[2K\u{1b}[31mroot",
    "\r\nSet-Cookie: a=b",
    "\0\u{7}\u{8}\u{7f}\u{85}\u{2028}",
    "\\\" \\u0022 %22 &quot; '; --",
    "\u{202e}nimda\u{feff}\u{fffd}",
];

async fn hostile_caller(world: &World, text: &str) -> Caller {
    let request =
        RequestInfo { id: text.into(), source: text.into(), action: text.into(), ..request() };
    let presented = Presented::Token(&world.admin_token);
    authenticate(world.engine.services(), presented, request).await.unwrap()
}

#[tokio::test]
async fn no_text_of_a_request_forges_an_entry_or_a_field() {
    let stage = Stage::new().await;
    let world = &stage.world;
    for text in HOSTILE {
        let caller = hostile_caller(world, text).await;
        let length = world.audit().await.len();
        let about = EncryptionContext::from_pairs([(text.to_owned(), text.to_owned())]).unwrap();
        let plaintext = Zeroizing::new(b"secret".to_vec());
        let encrypt = Encrypt { key: alias_of("photos"), plaintext, context: about };
        world.engine.execute(&caller, &encrypt).await.unwrap();
        let describe = DescribeKeyring { keyring: text.to_owned() };
        world.engine.execute(&caller, &describe).await.unwrap_err();
        let alias = KeyName::Alias { keyring: text.to_owned(), alias: text.to_owned() };
        world.engine.execute(&caller, &DescribeKey { key: alias }).await.unwrap_err();
        let create = CreateKeyring { name: text.to_owned() };
        let told = world.engine.execute(&caller, &create).await;
        assert!(matches!(told, Err(Error::InvalidRequest(_))), "{text:?}");
        let added = world.audit().await.split_off(length);
        let decisions: Vec<_> = added.iter().map(|entry| entry["decision"].as_str()).collect();
        let (yes, no) = (Some("allowed"), Some("refused"));
        assert_eq!(decisions, [yes, no, no, no], "{text:?}");
        for entry in &added {
            assert_eq!(entry["request_id"], text, "kept as it was");
            assert_eq!((&entry["source"], &entry["action"]), (&text.into(), &text.into()));
        }
        assert_eq!(added[1]["resource"], format!("keyring/{text}"));
        assert_eq!(added[2]["resource"], format!("key/{text}:{text}"));
    }
    for entry in raw(world).await {
        assert!(!entry.contains(|c: char| c < ' '), "{entry:?}");
    }
}

#[tokio::test]
async fn a_devices_name_and_origin_forge_nothing() {
    let stage = Stage::new().await;
    let world = &stage.world;
    for (byte, text) in (20..).zip(HOSTILE) {
        let (device, token) = (Device::new(byte), world.enrolment("writer", Some(text)).await);
        let headers = device.sign(b"", NOW);
        let presented = Presented::Enrolment(&token, headers.proof(b""), &device.keys);
        let caller = world.caller(presented).await.unwrap();
        let text = Some(text.to_owned());
        let enrol = EnrolDevice { keys: device.keys.clone(), origin: text.clone(), name: text };
        world.engine.execute(&caller, &enrol).await.unwrap();
        assert_eq!(world.last_audit().await["device"], device.keys.thumbprint().to_string());
    }
    check_canonical(&raw(world).await);
}

/// The hash of a request is keyed: the same body hashes alike, and nobody else can compute it.
#[tokio::test]
async fn a_requests_hash_tells_equal_from_different_and_nothing_else() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let mut hashes = Vec::new();
    for body in [b"one".as_slice(), b"one", b"two"] {
        let request = request().with_body(body);
        let unhashed = hex(&request.body_hash);
        let presented = Presented::Token(&world.admin_token);
        let caller = authenticate(world.engine.services(), presented, request).await.unwrap();
        let describe = DescribeKey { key: alias_of("photos") };
        world.engine.execute(&caller, &describe).await.unwrap();
        let hash = world.last_audit().await["request_hash"].as_str().unwrap().to_owned();
        assert_ne!(hash, unhashed);
        hashes.push(hash);
    }
    assert!(hashes[0] == hashes[1] && hashes[1] != hashes[2]);
}
