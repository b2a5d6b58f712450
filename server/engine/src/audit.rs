//! What the audit log says of an operation: one JSON object an entry, in canonical form (RFC 8785: keys
//! in order, no white space). No secret, no plaintext, no raw token.
//!
//! An entry is written in two halves around its index, which the store knows only inside the
//! transaction that makes the entry durable. All names are ASCII, so their order by bytes is the
//! order that RFC 8785 §3.2.3 asks for.
//!
//! The log is append-only and signed elsewhere; here is only what an entry says. `docs/formats.md`
//! describes each member.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use keyhaven_shared::{hex::hex, operation::Operation, secret::AuditKey};
use serde::Serialize;
use sha2::Sha256;

use crate::{caller::Caller, error::Error, port::store::PendingEntry};

/// How it ended. There is no third: what failed for a reason of ours counts as refused, since
/// nothing was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, and done.
    Allowed,
    /// Refused, or failed: nothing was released.
    Refused,
}

impl Decision {
    /// The word in the log.
    const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        }
    }
}

/// What is known of an operation when it is recorded.
///
/// It grows on the way: the target's name first, then what was found of it, then what the act adds.
/// A refusal on the way has as much of it as was known.
#[derive(Debug, Default)]
pub struct Event {
    /// The operation's name.
    pub operation: &'static str,
    /// What it acted on, as the request named it. Not cleaned: JSON escapes what would break a
    /// line. Of a request whose credential did not hold, the path.
    pub resource: String,
    /// The key's id. An alias may point elsewhere tomorrow; the id says for ever which key it was.
    pub key: Option<String>,
    /// The key version used or made.
    pub version: Option<u32>,
    /// The key's epoch. With the next, it tells on which state of key and policies this was
    /// decided.
    pub key_epoch: Option<u64>,
    /// The policies' epoch.
    pub policy_epoch: Option<u64>,
    /// The policies that decided.
    pub policies: Arc<[String]>,
    /// SHA-256 of the encryption context's encoding. A context that can be guessed can be found by
    /// it: it is a fingerprint, not a secret.
    pub context_hash: Option<[u8; 32]>,
    /// SHA-256 of what the answer carries, where it carries ciphertext. Of a decryption, of what it
    /// opened. Never of a plaintext, whose hash could be searched for.
    pub result_hash: Option<[u8; 32]>,
    /// The device concerned, when it is not the caller's.
    pub device: Option<String>,
    /// The principal, token, policy or lease concerned.
    pub subject: Option<String>,
    /// The id of the request whose answer this tells again: nothing was done a second time.
    pub repeats: Option<String>,
}

impl Event {
    /// An event of an operation on a target as the request named it.
    #[must_use]
    pub fn named(operation: Operation, resource: String) -> Self {
        Self { operation: operation.name(), resource, ..Self::default() }
    }

    /// What the operation itself adds; where it says nothing, what was known stays. The name, the
    /// target and the epochs cannot be changed by an act: they are what was decided on.
    #[must_use]
    pub fn with(self, detail: Self) -> Self {
        Self {
            key: detail.key.or(self.key),
            version: detail.version.or(self.version),
            result_hash: detail.result_hash.or(self.result_hash),
            device: detail.device.or(self.device),
            subject: detail.subject.or(self.subject),
            repeats: detail.repeats.or(self.repeats),
            ..self
        }
    }
}

// INVARIANT: in both structs the fields stand in the order of their names: serde writes them as
// they stand. A test compares with a sorted map.
/// The fields whose names come before `index`, in order.
#[derive(Serialize)]
struct Before<'a> {
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
    decision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
}

/// The fields whose names come after `index`, in order.
#[derive(Serialize)]
struct After<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_epoch: Option<u64>,
    operation: &'a str,
    outcome: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_epoch: Option<u64>,
    principal: &'a str,
    protocol: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<&'a str>,
    request_hash: String,
    request_id: &'a str,
    resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_hash: Option<String>,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    time_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    via: &'a str,
}

/// The entry for an operation, but for its index.
///
/// # Errors
/// [`Error::Internal`] when it does not serialize, which no event does. The operation is then not
/// done: no entry, no answer.
pub fn entry(
    (key, caller): (&AuditKey, &Caller),
    event: &Event,
    outcome: Result<(), &Error>,
    now_ms: u64,
) -> Result<PendingEntry, Error> {
    let decision = if outcome.is_ok() { Decision::Allowed } else { Decision::Refused };
    let device = caller.device.as_ref().map(|device| device.id.to_string());
    let before = Before {
        action: &caller.request.action,
        context_hash: event.context_hash.map(|hash| hex(&hash)),
        credential: caller.credential.id(),
        decision: decision.word(),
        // A device that is revoked stands before the device of whoever revokes it.
        device: event.device.as_deref().or(device.as_deref()),
    };
    let after = After {
        key: event.key.as_deref(),
        key_epoch: event.key_epoch,
        operation: event.operation,
        outcome: outcome.err().map_or("ok", Error::code),
        policies: &event.policies,
        policy_epoch: event.policy_epoch,
        principal: caller.name(),
        protocol: caller.request.protocol,
        repeats: event.repeats.as_deref(),
        request_hash: request_hash(key, caller)?,
        request_id: &caller.request.id,
        resource: &event.resource,
        result_hash: event.result_hash.map(|hash| hex(&hash)),
        source: &caller.request.source,
        subject: event.subject.as_deref(),
        time_ms: now_ms,
        version: event.version,
        via: caller.credential.word(),
    };
    join(&before, &after)
}

/// HMAC-SHA-256 of the body's hash: a reader of the log cannot test guesses of what was in a
/// request. The server can: whoever shows the same body can have it compared. Written in
/// hexadecimal.
fn request_hash(key: &AuditKey, caller: &Caller) -> Result<String, Error> {
    // EXPOSE: the key of the hash.
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.expose_secret());
    let mac = mac.map_err(|_| Error::Internal)?.chain_update(caller.request.body_hash);
    Ok(hex(&mac.finalize().into_bytes()))
}

/// Opens the two objects at the place of the index.
fn join(before: &Before<'_>, after: &After<'_>) -> Result<PendingEntry, Error> {
    let mut before = serde_json::to_vec(before).map_err(|_| Error::Internal)?;
    let mut after = serde_json::to_vec(after).map_err(|_| Error::Internal)?;
    // Off with the closing brace of one and the opening brace of the other. `before` is never
    // empty, so no comma is missing; `after` begins with the comma behind the index.
    before.pop();
    before.extend_from_slice(b",\"index\":");
    if let Some(brace) = after.first_mut() {
        *brace = b',';
    }
    Ok(PendingEntry::new(before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_canonical_json_with_its_index() {
        let caller = Caller::system("test \"quoted\"\n\u{1b}[31m");
        let event = Event {
            operation: "Encrypt",
            resource: "photos".into(),
            key: Some("k".into()),
            version: Some(2),
            context_hash: Some([0xab; 32]),
            repeats: Some("another".into()),
            ..Event::default()
        };
        let key = AuditKey::fill_with(|bytes| bytes.fill(1));
        let entry = entry((&key, &caller), &event, Err(&Error::Denied), 7).unwrap().at(42);
        let text = String::from_utf8(entry).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["index"], 42);
        assert_eq!(value["outcome"], "access_denied");
        assert_eq!(value["decision"], "refused");
        // serde_json's map is sorted, so writing it again is the canonical order.
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        assert!(!text.contains('\n') && !text.contains('\u{1b}'), "control characters are escaped");
    }
}
