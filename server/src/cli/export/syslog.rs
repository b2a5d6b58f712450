//! RFC 5424: one message an entry.

use serde_json::Value;

use super::format::{allowed, json, number, text, time};
use crate::cli::output::escape;

/// Facility 13, "log audit" (RFC 5424 §6.2.1).
const FACILITY: u8 = 13;
/// Severity of what was allowed: notice.
const NOTICE: u8 = 5;
/// Severity of what was refused: warning.
const WARNING: u8 = 4;

/// What most filters look for, in structured data.
const PARAMETERS: [&str; 7] =
    ["decision", "device", "key", "outcome", "principal", "request_id", "resource"];

/// The message. Its text is the entry itself, so nothing is lost; MSGID is the operation.
///
/// The id of the structured data is under 32473, the enterprise number for examples (RFC 5612): Keyhaven has
/// none of its own. HOSTNAME is nil, since entries come from whichever server wrote them.
pub(super) fn message(entry: &Value) -> String {
    let severity = if allowed(entry) { NOTICE } else { WARNING };
    let priority = FACILITY * 8 + severity;
    // A name is at most 32 printable ASCII characters without spaces (§6.2.7); operations are.
    let operation = text(entry, "operation").unwrap_or_default();
    let printable = operation.bytes().all(|byte| byte.is_ascii_graphic());
    let operation = if (1..=32).contains(&operation.len()) && printable { operation } else { "-" };
    let mut data = format!("index=\"{}\"", number(entry, "index"));
    for name in PARAMETERS {
        if let Some(value) = text(entry, name) {
            data.push_str(&format!(" {name}=\"{}\"", parameter(value)));
        }
    }
    // The text is UTF-8, and says so by a byte order mark (§6.4).
    format!(
        "<{priority}>1 {} - keyhaven - {operation} [keyhaven@32473 {data}] \u{feff}{}",
        time(entry),
        json(entry)
    )
}

/// A value of structured data (§6.3.3): `"`, `\` and `]` behind a backslash. Control characters are
/// written as escapes before that, so that no value ends a line.
fn parameter(value: &str) -> String {
    let mut written = String::with_capacity(value.len());
    for character in escape(value).replace('\n', "\\n").chars() {
        if matches!(character, '"' | '\\' | ']') {
            written.push('\\');
        }
        written.push(character);
    }
    written
}
