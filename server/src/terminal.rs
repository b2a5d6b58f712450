//! What a server says to whoever started it, on standard output. The log is for others.

use std::io::{self, Write};

/// Prints the text. A closed terminal is no reason to stop serving.
/// It is flushed at once: whoever starts a server in a script waits for these lines.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "standard output cannot be written");
    }
}
