//! A good request for every route, over prepared keys, principals and policies.

use keyhaven_shared::{lease_event::StreamNonce, operation::Operation};
use serde_json::{Value, json};

use super::world::{Sample, World, base64};
use crate::native::{BASE, routes::Route};

/// What the samples refer to.
pub(crate) struct Samples {
    ciphertext: String,
    token: String,
    device: String,
    identity: String,
}

impl Samples {
    pub(crate) async fn prepare(world: &World) -> Self {
        for alias in ["photos", "to-enable", "to-disable", "to-schedule", "to-cancel"] {
            let wanted =
                json!({ "alias": alias, "spec": "aes-256-gcm", "distribution": "data-keys" });
            world.ask("POST", "/keys", wanted).await;
        }
        world.ask("POST", "/keys/to-enable/disable", json!({})).await;
        world.ask("POST", "/keys/to-cancel/schedule-destruction", json!({})).await;
        world.ask("PUT", "/keys/photos/aliases/to-remove", json!({})).await;
        let text = r#"forbid(principal, action, resource) when { context.via == "nothing" };"#;
        world.ask("PUT", "/policies/to-remove", json!({ "text": text })).await;
        let someone = world.user("someone").await;
        let token = someone.token.split('.').nth(1).unwrap().to_owned();
        let device = someone.device.keys.thumbprint().to_string();
        let wanted =
            json!({ "principal": "someone", "issuer": "https://idp.example", "subject": "s" });
        let identity = world.ask("POST", "/identities", wanted).await;
        let identity = identity["id"].as_str().unwrap().to_owned();
        let data_key = world.ask("POST", "/keys/photos/generate-data-key", json!({})).await;
        let ciphertext = data_key["ciphertext"].as_str().unwrap().to_owned();
        Self { ciphertext, token, device, identity }
    }

    pub(crate) fn of(&self, route: &Route) -> Sample {
        let path = route.pattern.replace("{key}", key(route.operation));
        let path = path.replace("{keyring}", "default").replace("{principal}", "someone");
        let path = path.replace("{token}", &self.token).replace("{device}", &self.device);
        let path = path.replace("{identity}", &self.identity);
        let gone = matches!(route.operation, Operation::RemoveAlias | Operation::RemovePolicy);
        let name = if gone { "to-remove" } else { "new-name" };
        let path = path.replace("{alias}", name).replace("{name}", name);
        let body = self.body(route.operation);
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        let stream = if route.operation == Operation::WatchLeases {
            format!("?stream={}", StreamNonce::from_random([3; 32]))
        } else {
            String::new()
        };
        Sample { target: format!("{BASE}{path}{stream}"), body, headers: vec![] }.json()
    }

    fn body(&self, operation: Operation) -> Value {
        let nonce = base64(&[7; 32]);
        match operation {
            Operation::CreateKeyring => json!({ "name": "ring" }),
            Operation::CreateKey => {
                json!({ "keyring": "default", "alias": "made", "spec": "aes-256-gcm",
                "distribution": "none", "max_offline_grace_s": 0, "tags": { "team": "a" } })
            }
            Operation::TagKey => json!({ "tags": { "team": "b" } }),
            Operation::ScheduleKeyDestruction => json!({ "waiting_days": 7, "now": false }),
            Operation::Encrypt => json!({ "plaintext": "AAEC", "context": { "file": "1" } }),
            Operation::Decrypt => json!({ "ciphertext": self.ciphertext, "context": {} }),
            Operation::ReEncryptFrom => json!({ "ciphertext": self.ciphertext, "context": {},
                "to_key": "default:photos", "to_context": { "file": "2" } }),
            Operation::GenerateDataKey => json!({ "context": { "file": "1" } }),
            Operation::DeliverDataKey => json!({ "nonce": nonce, "context": { "file": "1" },
                "usage": ["encrypt"], "lease_s": 60, "offline_grace_s": 0 }),
            Operation::UnsealDataKey => {
                json!({ "encrypted_data_key": self.ciphertext, "nonce": nonce,
                "context": {}, "usage": ["decrypt"], "lease_s": 60, "offline_grace_s": 0 })
            }
            Operation::MintTicket => {
                json!({ "subject": "someone", "operations": ["DeliverDataKey"],
                "context": { "file": "1" }, "context_exact": true, "device": self.device, "uses": 2,
                "expires_in_s": 60 })
            }
            Operation::MintEnrolmentToken => {
                json!({ "subject": "someone", "origin": "https://app.example", "expires_in_s": 60 })
            }
            Operation::EnrolDevice => {
                json!({ "keys": "DEVICE KEYS", "origin": null, "name": "Test" })
            }
            Operation::CreatePrincipal => json!({ "name": "new-one", "groups": ["users"] }),
            Operation::BindIdentity => {
                json!({ "principal": "someone", "issuer": "https://idp.example", "subject": "new" })
            }
            Operation::IssueToken => json!({ "expires_in_days": 1 }),
            Operation::PutPolicy => {
                json!({ "text": "permit(principal, action, resource) when { context.export };" })
            }
            Operation::SetAlias
            | Operation::RotateKey
            | Operation::EnableKey
            | Operation::DisableKey
            | Operation::CancelKeyDestruction
            | Operation::RevokeDevice
            | Operation::DisablePrincipal
            | Operation::EnablePrincipal
            | Operation::UnbindIdentity
            | Operation::RevokeToken => json!({}),
            Operation::Initialise
            | Operation::ListKeyrings
            | Operation::DescribeKeyring
            | Operation::ListKeys
            | Operation::DescribeKey
            | Operation::RemoveAlias
            | Operation::DestroyKey
            | Operation::ReEncryptTo
            | Operation::ListDevices
            | Operation::ListPrincipals
            | Operation::ListIdentities
            | Operation::RemovePolicy
            | Operation::ListPolicies
            | Operation::ReadAudit
            | Operation::WatchLeases => Value::Null,
        }
    }
}

/// Each operation that moves a key's state has a key of its own.
fn key(operation: Operation) -> &'static str {
    let own = [
        (Operation::EnableKey, "to-enable"),
        (Operation::DisableKey, "to-disable"),
        (Operation::ScheduleKeyDestruction, "to-schedule"),
        (Operation::CancelKeyDestruction, "to-cancel"),
    ];
    own.iter().find(|(moved, _)| *moved == operation).map_or("photos", |(_, key)| key)
}
