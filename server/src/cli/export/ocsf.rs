//! OCSF: `API Activity` events (schema.ocsf.io, class 6003).

use serde_json::{Value, json};

use super::format::{allowed, number, text};

/// The version of the schema that is spoken.
const SCHEMA: &str = "1.5.0";
/// Category `Application Activity`.
const CATEGORY: u64 = 6;
/// Class `API Activity`.
const CLASS: u64 = 6003;

/// An entry as an event. What the schema has no place for is under `unmapped`, so nothing is lost.
pub(super) fn event(entry: &Value) -> Value {
    let operation = text(entry, "operation").unwrap_or("unknown");
    let (activity_id, activity_name) = activity(operation);
    let (status_id, status) = if allowed(entry) { (1, "Success") } else { (2, "Failure") };
    // Low for what was refused, else informational.
    let (severity_id, severity) = if allowed(entry) { (1, "Informational") } else { (2, "Low") };
    let principal = text(entry, "principal").unwrap_or("unknown");
    json!({
        "activity_id": activity_id,
        "activity_name": activity_name,
        "actor": {
            "user": { "name": principal, "credential_uid": text(entry, "credential") },
            "session": { "uid": text(entry, "credential"), "issuer": text(entry, "via") },
        },
        "api": {
            "operation": operation,
            "service": { "name": "keyhaven", "uid": "keyhaven", "version": env!("CARGO_PKG_VERSION") },
            "request": { "uid": text(entry, "request_id").unwrap_or_default() },
            "response": { "code": 0, "error": text(entry, "outcome").filter(|word| *word != "ok") },
        },
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "metadata": {
            "product": { "name": "Keyhaven", "vendor_name": "Keyhaven", "version": env!("CARGO_PKG_VERSION") },
            "version": SCHEMA,
            "uid": number(entry, "index").to_string(),
            "sequence": number(entry, "index"),
            "log_name": "audit",
        },
        "resources": [{
            "name": text(entry, "resource"),
            "uid": text(entry, "key"),
            "version": entry.get("version").map(ToString::to_string),
        }],
        "severity_id": severity_id,
        "severity": severity,
        "src_endpoint": { "name": text(entry, "source").unwrap_or_default() },
        "status": status,
        "status_id": status_id,
        "status_detail": text(entry, "outcome"),
        "time": number(entry, "time_ms"),
        "type_uid": CLASS * 100 + activity_id,
        "type_name": format!("API Activity: {activity_name}"),
        "unmapped": entry,
    })
}

/// `activity_id` of an operation, by the verb that its name begins with. Cryptography is none of
/// the four.
fn activity(operation: &str) -> (u64, &'static str) {
    let is = |verbs: &[&str]| verbs.iter().any(|verb| operation.starts_with(verb));
    if is(&["Create", "Enrol", "Initialise", "Issue", "Mint"]) {
        (1, "Create")
    } else if is(&["Describe", "List", "Read", "Watch"]) {
        (2, "Read")
    } else if is(&["Cancel", "Disable", "Enable", "Put", "Rotate", "Schedule", "Set", "Tag"]) {
        (3, "Update")
    } else if is(&["Destroy", "Remove", "Revoke"]) {
        (4, "Delete")
    } else {
        (99, "Other")
    }
}
