//! The header `Idempotency-Key`: a request that bears one has one effect, however often it is sent.
//!
//! As in the IETF's draft of that name, it is a string that the client makes up, best a random one for
//! each thing that it wants done. The draft writes it in quotes; most clients do not, so both are read.

use http::HeaderMap;
use keyhaven_engine::{caller::Caller, once::Once};

use super::{error::Refusal, routes::Route};

/// The header's name.
pub(crate) const HEADER: &str = "idempotency-key";
/// The most characters of a key. A UUID has 36.
const LONGEST: usize = 64;

/// What the request says of it. Only for a caller that is known: another principal's equal key is
/// another one.
///
/// # Errors
/// [`Refusal::Malformed`] for one that is no key, stands twice, or is sent where it would mean nothing: a
/// client that relies on it must not be left in its belief.
pub(crate) fn once(
    route: &Route,
    headers: &HeaderMap,
    (target, caller): (&str, &Caller),
) -> Result<Option<Once>, Refusal> {
    let mut values = headers.get_all(HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        let stands = headers.contains_key(HEADER);
        return if stands { Err(malformed("stands more than once")) } else { Ok(None) };
    };
    if !route.once {
        return Err(malformed("means nothing here: send it only to what makes something"));
    }
    let key = value.to_str().unwrap_or_default();
    let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if key.is_empty() || key.len() > LONGEST || !key.bytes().all(known) {
        return Err(malformed("is 1 to 64 letters, digits, `-`, `_`, `.` or `:`; a UUID is best"));
    }
    Ok(Some(Once::by_key(key, target, caller)))
}

fn malformed(what: &str) -> Refusal {
    Refusal::Malformed(format!("the header `Idempotency-Key` {what}"))
}
