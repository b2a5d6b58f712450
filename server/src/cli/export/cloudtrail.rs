//! Entries shaped as AWS `CloudTrail` records, for what reads those. They are not signed by AWS, of course:
//! the proof is the log itself.

use serde_json::{Value, json};

use super::format::{allowed, number, text, time};

/// A file's worth of records.
pub(super) fn records(entries: &[Value]) -> Value {
    json!({ "Records": entries.iter().map(record).collect::<Vec<_>>() })
}

/// One record. The whole entry is in `additionalEventData`.
fn record(entry: &Value) -> Value {
    let operation = text(entry, "operation").unwrap_or("Unknown");
    let principal = text(entry, "principal");
    let reads = ["Describe", "List", "Read", "Watch"];
    let mut record = json!({
        "eventVersion": "1.11",
        "eventID": number(entry, "index").to_string(),
        "eventTime": time(entry),
        "eventSource": "keyhaven",
        "eventName": operation,
        "eventType": "AwsApiCall",
        "eventCategory": "Management",
        "managementEvent": true,
        "readOnly": reads.iter().any(|verb| operation.starts_with(verb)),
        "awsRegion": "keyhaven",
        "recipientAccountId": "keyhaven",
        "userIdentity": {
            "type": if text(entry, "via") == Some("system") { "AWSService" } else { "IAMUser" },
            "principalId": principal,
            "userName": principal,
            "accessKeyId": text(entry, "credential"),
        },
        "sourceIPAddress": text(entry, "source"),
        "userAgent": text(entry, "protocol"),
        "requestID": text(entry, "request_id"),
        "requestParameters": { "keyId": text(entry, "key").or_else(|| text(entry, "resource")) },
        "responseElements": null,
        "resources": [{ "ARN": text(entry, "key").or_else(|| text(entry, "resource")), "type": "Keyhaven" }],
        "additionalEventData": entry,
    });
    // Records of what succeeded have neither.
    if !allowed(entry)
        && let Some(record) = record.as_object_mut()
    {
        record.insert("errorCode".to_owned(), json!(text(entry, "outcome")));
        record.insert("errorMessage".to_owned(), json!(text(entry, "outcome")));
    }
    record
}
