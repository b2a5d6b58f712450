//! Server-sent events (WHATWG HTML §9.2), as far as the native API sends them.

use bytes::Bytes;
use futures_util::StreamExt;

use super::{error::TransportError, transport::Body};

/// One event.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct ServerSentEvent {
    /// Its kind: `hello`, `ping`, `lease`.
    pub(crate) event: String,
    /// Its content.
    pub(crate) data: String,
    /// Its number in the stream, if one was told.
    pub(crate) id: Option<String>,
}

/// The events of a stream, as they come.
pub(crate) struct Events {
    body: Body,
    /// What came and is not taken up yet.
    piece: Bytes,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    event: ServerSentEvent,
}

/// No event of this API is longer.
const MAX_EVENT: usize = 64 * 1024;

impl Events {
    /// Reads them from an answer's body.
    pub(crate) fn new(body: Body) -> Self {
        let event = ServerSentEvent::default();
        Self { body, piece: Bytes::new(), line: Vec::new(), event }
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// [`TransportError`] when the connection breaks, or an event is too long.
    pub(crate) async fn next(&mut self) -> Result<Option<ServerSentEvent>, TransportError> {
        loop {
            while let Some(end) = self.piece.iter().position(|byte| *byte == b'\n') {
                let rest = self.piece.split_off(end + 1);
                let line = std::mem::replace(&mut self.piece, rest);
                self.keep(&line)?;
                if let Some(event) = self.end_line() {
                    return Ok(Some(event));
                }
            }
            let piece = std::mem::take(&mut self.piece);
            self.keep(&piece)?;
            match self.body.next().await {
                Some(piece) => self.piece = piece?,
                None => return Ok(None),
            }
        }
    }

    /// Adds to the line, as far as an event may grow.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        if self.line.len() + self.event.data.len() + bytes.len() > MAX_EVENT {
            return Err(TransportError::new("an event of the server is too long"));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes up a line. An empty one ends its event.
    fn end_line(&mut self) -> Option<ServerSentEvent> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (event != ServerSentEvent::default()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.event),
            "data" => self.event.data.push_str(value),
            "id" => self.event.id = Some(value.to_owned()),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    async fn events(text: &str, size: usize) -> Result<Vec<ServerSentEvent>, TransportError> {
        let pieces: Vec<_> =
            text.as_bytes().chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut events = Events::new(Box::pin(stream::iter(pieces)));
        let mut heard = Vec::new();
        while let Some(event) = events.next().await? {
            heard.push(event);
        }
        Ok(heard)
    }

    fn event(event: &str, data: &str, id: Option<&str>) -> ServerSentEvent {
        ServerSentEvent { event: event.into(), data: data.into(), id: id.map(Into::into) }
    }

    #[tokio::test]
    async fn events_are_heard_however_the_stream_is_cut() {
        let text = "event: hello\ndata: {\"server_time\":1}\n\n: a comment\n\n\
                    event: lease\r\nid: 7\r\ndata: QUJD\r\n\r\nevent: ping\ndata: {}\n\nevent: cut";
        let expected = [
            event("hello", "{\"server_time\":1}", None),
            event("lease", "QUJD", Some("7")),
            event("ping", "{}", None),
        ];
        for size in [1, 2, 3, 7, 50, 1000] {
            assert_eq!(events(text, size).await.unwrap(), expected, "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn an_event_without_end_is_given_up() {
        for text in [format!("data: {}", "x".repeat(MAX_EVENT)), "data: x\n".repeat(MAX_EVENT)] {
            assert!(events(&text, 1000).await.is_err());
        }
    }
}
