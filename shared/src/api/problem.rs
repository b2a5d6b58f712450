//! Refusals (RFC 9457).

use super::documents;

// `type`, `title`, `status` and `detail` are RFC 9457's; `code` and `request_id` are members of
// ours (§3.2).
documents! {
    /// Why a request was refused, and what to do.
    Problem {
        /// A link to the code's description.
        r#type: String,
        /// The code in words.
        title: String,
        /// The HTTP status.
        status: u16,
        /// A stable code to branch on, such as `key_disabled`.
        code: String,
        /// What happened and what to do about it.
        detail: String,
        /// Names this request in the server's log and audit log.
        request_id: String,
    }
}
