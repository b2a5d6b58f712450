//! Bodies: JSON in and out. What they held is wiped where we have it alone, for it may have been secret.
//!
//! In: exactly one JSON object of known fields, each once; everything else is refused, with its
//! place and without its value. Out: written into memory that leaves no copy behind when it grows,
//! and is wiped after sending. What the transport, TLS and the kernel keep is not in our hands.

use std::io;

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use keyhaven_engine::error::Error;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::{Zeroize, Zeroizing};

use super::{error::Refusal, routes::Route};

/// What an endpoint reads from its request's body. Every document is one, by the implementation
/// below.
pub(crate) trait Body: Sized + Send {
    /// Reads it.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], saying where.
    fn read(bytes: &[u8]) -> Result<Self, Refusal>;

    /// Describes it, if there is one. For the description of the API; the same type reads and
    /// describes, so they cannot disagree.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;
}

/// The endpoint has no body. That there is none was checked by [`accept`].
pub(crate) struct NoBody;

impl Body for NoBody {
    fn read(_: &[u8]) -> Result<Self, Refusal> {
        Ok(Self)
    }

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
}

impl<T: DeserializeOwned + JsonSchema + Send> Body for T {
    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        // The reader would take an array for an object, its items in the order of the fields.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Refusal::Malformed("line 1: the body is a JSON object".to_owned()));
        }
        // Straight into the document's own type: no tree of values in between that would keep
        // copies. The reader refuses nesting beyond 128 levels.
        serde_json::from_slice(bytes).map_err(|error| explain::<T>(bytes, &error))
    }

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }
}

/// Reads a body that is wrong once more, keeping track of where: so that those that are right need
/// not. It costs a second reading, of a body of at most 1 MiB.
fn explain<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> Refusal {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(error) => malformed(&error.path().to_string(), error.inner()),
        // What is wrong comes after the document.
        Ok(_) => malformed(".", error),
    }
}

/// Where the body is wrong and what was expected. serde's own text would repeat the value. `path`
/// is in the notation of serde_path_to_error, such as `context.a`.
fn malformed(path: &str, error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        serde_json::error::Category::Data => data_fault(&text),
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        // For all three alike: what was found instead of what may be the beginning of a secret.
        | serde_json::error::Category::Io => "not well-formed JSON".to_owned(),
    };
    let place: String = path.chars().take(LONGEST_PATH).collect();
    Refusal::Malformed(format!("line {line}, column {column}, at `{place}`: {what}"))
}

/// A path may hold names that the client made up: it is told back, but not at any length. In
/// characters.
const LONGEST_PATH: usize = 100;

/// serde's text without whatever it repeats of the body.
///
/// It lets through what names a known field or is a text of our own, and of the rest only what
/// follows the *last* `, expected`, which serde or we have written. A text that is not known in
/// this way is replaced by a general one, so another version of a library makes the text poorer
/// rather than tell more.
fn data_fault(text: &str) -> String {
    let said = ["missing field `", "duplicate field `", "a key appears twice", "not valid padded"];
    let what = text.rsplit_once(" at line ").map_or(text, |(what, _)| what);
    if said.iter().any(|beginning| what.starts_with(beginning)) {
        return what.to_owned();
    }
    // The rest is written by us: it comes after whatever the client wrote.
    let expected = what.rsplit_once(", expected ").map(|(_, expected)| expected);
    match (what.starts_with("unknown field"), expected) {
        (true, Some(expected)) => format!("unknown field: expected {expected}"),
        (true, None) => "unknown field".to_owned(),
        (false, Some(expected)) => format!("expected {expected}"),
        (false, None) => "not a value that this field takes".to_owned(),
    }
}

/// Checks that there is a body of the right kind, or none. Nothing of it is read yet.
///
/// # Errors
/// [`Refusal::MediaType`] for a body that is not declared to be JSON; [`Refusal::Malformed`] for
/// one where none belongs.
pub(crate) fn accept(route: &Route, headers: &HeaderMap, bytes: Bytes) -> Result<Secret, Refusal> {
    // First of all: a body that is refused is wiped, too.
    let bytes = Secret(bytes);
    if route.has_body {
        return if is_json(headers) { Ok(bytes) } else { Err(Refusal::MediaType) };
    }
    if bytes.0.is_empty() {
        return Ok(bytes);
    }
    Err(Refusal::Malformed(format!("{} has no body here", route.method)))
}

/// One header, `application/json`, at most with `charset=utf-8`.
///
/// What a form can send without asking, such as `text/plain`, is refused so: a page of another
/// origin has to ask before it sends this type.
fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    let Ok(kind) = kind.to_str() else { return false };
    let mut parts = kind.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| {
        parameter.eq_ignore_ascii_case("charset=utf-8")
            || parameter.eq_ignore_ascii_case("charset=\"utf-8\"")
    })
}

/// A request's body, wiped when it is dropped if nobody else holds it. No `Debug` and no `Clone`:
/// it may hold a plaintext.
pub(crate) struct Secret(Bytes);

impl Secret {
    /// The bytes, for checking a device's digest.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the document, whose own secret fields are wiped by their types.
    ///
    /// # Errors
    /// As [`Body::read`].
    pub(crate) fn read<B: Body>(&self) -> Result<B, Refusal> {
        B::read(&self.0)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // It fails while another handle to the same buffer is alive, such as the transport's: then
        // the last of them frees it, unwiped.
        if let Ok(mut alone) = std::mem::take(&mut self.0).try_into_mut() {
            alone.as_mut().zeroize();
        }
    }
}

/// Writes a document into memory that is wiped after sending, when the last handle to it is
/// dropped.
///
/// # Errors
/// [`Error::Internal`] when it does not serialize, which no document does.
pub(crate) fn encode(document: &impl Serialize) -> Result<Bytes, Refusal> {
    let mut wiping = Wiping(Zeroizing::new(Vec::with_capacity(USUAL_DOCUMENT)));
    serde_json::to_writer(&mut wiping, document).map_err(|_| Error::Internal)?;
    Ok(Bytes::from_owner(wiping.0))
}

/// Most answers fit into this many bytes. A guess for speed: larger ones grow.
const USUAL_DOCUMENT: usize = 1024;

/// Memory that grows by moving to a larger place, of which the one left behind is wiped. A plain
/// `Vec` would leave what it grew out of unwiped on the heap.
struct Wiping(Zeroizing<Vec<u8>>);

impl io::Write for Wiping {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // INVARIANT: the vector never grows by itself: there is always room before anything is
        // added.
        let length = self.0.len().saturating_add(bytes.len());
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            // The old one is dropped here, and wiped by its type.
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use keyhaven_shared::api::{crypto::Encrypt, delivery::MintTicket};

    use super::*;

    fn told<B: Body>(text: &str) -> String {
        match B::read(text.as_bytes()) {
            Err(Refusal::Malformed(text)) => text,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("accepted: {text}"),
        }
    }

    #[test]
    fn faults_say_where_and_never_repeat_a_value() {
        let secret = "SECRET";
        for (body, expected) in [
            (r#"{"plaintext":"SECRET!"}"#, "padded base64"),
            (r#"{"plaintext":["SECRET"]}"#, "`plaintext`"),
            (r#"{"plaintext":"","context":{"a":["SECRET"]}}"#, "`context.a`"),
            (r#"{"plaintext":"","context":"SECRET, expected b"}"#, "an object of strings"),
            (r#"{"plaintext":"","context":{"a":"SECRET","a":"b"}}"#, "twice"),
            (r#"{"plaintext":"SECRET"#, "well-formed"),
            (r#"{"plaintext":"","plaintext":"SECRET"}"#, "duplicate field"),
            (r#"{"plaintext":""} "SECRET""#, "well-formed"),
            (r#"{SECRET"#, "well-formed"),
            (r#"{"contexts":{}}"#, "unknown field"),
            ("{}", "missing field `plaintext`"),
        ] {
            let text = told::<Encrypt>(body);
            assert!(text.contains(expected), "{body}: {text}");
            assert!(text.starts_with("line 1, column "), "{text}");
            assert!(!text.contains(secret), "{text}");
        }
        let numbers = r#"{"subject":"a","operations":[],"uses":"12 SECRET"}"#;
        assert!(told::<MintTicket>(numbers).ends_with("at `uses`: expected u32"));
    }

    #[test]
    fn deep_and_odd_json_is_refused() {
        let deep = format!("{{\"context\":{}", "[".repeat(100_000));
        told::<Encrypt>(&deep);
        told::<Encrypt>(r#"{"plaintext":"","context":{"a":"\ud800"}}"#);
        for other in ["", "[]", r#"["",{}]"#, "null", r#""SECRET""#, "1"] {
            assert!(told::<Encrypt>(other).ends_with("a JSON object"), "{other}");
        }
    }
}
