//! OTLP: entries as log records (opentelemetry-proto, `ExportLogsServiceRequest`, in its JSON encoding).

use serde_json::{Map, Value, json};

use super::format::{allowed, number, text};

/// `SEVERITY_NUMBER_INFO`.
const INFO: u8 = 9;
/// `SEVERITY_NUMBER_WARN`.
const WARN: u8 = 13;

/// Some entries as one request.
pub(super) fn request(entries: &[Value]) -> Value {
    json!({ "resourceLogs": [{
        "resource": { "attributes": [attribute("service.name", &json!("keyhaven"))] },
        "scopeLogs": [{
            "scope": { "name": "keyhaven.audit", "version": env!("CARGO_PKG_VERSION") },
            "logRecords": entries.iter().map(record).collect::<Vec<_>>(),
        }],
    }] })
}

/// One record: the operation as its event, every member of the entry as an attribute.
fn record(entry: &Value) -> Value {
    // 64-bit numbers are texts in the JSON encoding of protobuf.
    let nanoseconds = u128::from(number(entry, "time_ms")).saturating_mul(1_000_000).to_string();
    let none = Map::new();
    let members = entry.as_object().unwrap_or(&none);
    let (severity, word) = if allowed(entry) { (INFO, "INFO") } else { (WARN, "WARN") };
    json!({
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": severity,
        "severityText": word,
        "eventName": text(entry, "operation").unwrap_or_default(),
        "body": { "stringValue": entry.to_string() },
        "attributes": members
            .iter()
            .map(|(name, value)| attribute(&format!("keyhaven.{name}"), value))
            .collect::<Vec<_>>(),
    })
}

/// A name and its value.
fn attribute(name: &str, value: &Value) -> Value {
    json!({ "key": name, "value": any_value(value) })
}

/// A value as OTLP's `AnyValue`.
fn any_value(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(flag) => json!({ "boolValue": flag }),
        Value::Number(number) => match number.as_i64() {
            Some(number) => json!({ "intValue": number.to_string() }),
            None => json!({ "stringValue": number.to_string() }),
        },
        Value::Array(values) => {
            json!({ "arrayValue": { "values": values.iter().map(any_value).collect::<Vec<_>>() } })
        }
        other @ (Value::Null | Value::Object(_)) => json!({ "stringValue": other.to_string() }),
    }
}
