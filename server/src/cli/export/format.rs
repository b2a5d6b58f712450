//! The forms in which entries are given to other systems.

use clap::ValueEnum;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{cloudtrail, ocsf, otlp, syslog};
use crate::cli::output::escape_json;

// The doc comments are what `--help` prints of each.
/// A form of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// The entries as they are, one JSON object a line.
    Jsonl,
    /// One RFC 5424 message an entry, with the entry itself as its text.
    Syslog,
    /// One OCSF `API Activity` event (class 6003) a line.
    Ocsf,
    /// `{"Records":[…]}` a line, shaped as AWS `CloudTrail` has them.
    Cloudtrail,
    /// One OTLP `ExportLogsServiceRequest` in JSON a line, as the OTLP file exporter writes them.
    Otlp,
}

impl Format {
    /// Some entries, as the texts that stand for them: one each, or one for all of them. No text
    /// has a line feed or another control character in it.
    pub(super) fn texts(self, entries: &[Value]) -> Vec<String> {
        let each =
            |one: fn(&Value) -> Value| entries.iter().map(|entry| json(&one(entry))).collect();
        match self {
            Self::Jsonl => each(Value::clone),
            Self::Syslog => entries.iter().map(syslog::message).collect(),
            Self::Ocsf => each(|entry| known(ocsf::event(entry))),
            Self::Cloudtrail => vec![json(&known(cloudtrail::records(entries)))],
            Self::Otlp => vec![json(&otlp::request(entries))],
        }
    }
}

/// JSON in one line, without control characters.
pub(super) fn json(value: &Value) -> String {
    escape_json(&value.to_string())
}

/// Without the members that are null: what is not known is left out.
pub(super) fn known(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(members.map(|(name, value)| (name, known(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(known).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

/// A text member of an entry; `None` where it is missing or no text.
pub(super) fn text<'a>(entry: &'a Value, field: &str) -> Option<&'a str> {
    entry.get(field).and_then(Value::as_str)
}

/// A number of an entry, or 0: what an export shows must not fail for one odd entry.
pub(super) fn number(entry: &Value, field: &str) -> u64 {
    entry.get(field).and_then(Value::as_u64).unwrap_or_default()
}

/// Whether the operation was allowed.
/// Anything but the word itself counts as refused.
pub(super) fn allowed(entry: &Value) -> bool {
    text(entry, "decision") == Some("allowed")
}

/// The entry's time as RFC 3339 in UTC with milliseconds; that of the epoch when it has none.
pub(super) fn time(entry: &Value) -> String {
    let nanoseconds = i128::from(number(entry, "time_ms")).saturating_mul(1_000_000);
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}
