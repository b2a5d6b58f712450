//! The server's own log, on standard error. What it may say is bounded: libraries below us write at most
//! what `info` lets through, because at finer levels some of them write out headers, and so tokens.
//!
//! It is not the audit log: it proves nothing, may be lost, and names no plaintext, token or key
//! material.

use std::{io::IsTerminal, panic};

use serde::Deserialize;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{ParseError, filter_fn},
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line, for collectors.
    #[default]
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("the log filter does not parse ({0}): write it like `info,keyhaven_server=debug`")]
    Filter(#[from] ParseError),
    /// The process has a log already.
    #[error("the log is set up already: {0}")]
    Twice(#[from] TryInitError),
}

/// What is written unless somebody asks for more. The HTTP library tells of each
/// worker, and the TLS library of whatever strangers send: neither is news.
pub(crate) const USUAL_FILTER: &str = "info,actix_server=warn,rustls=error";

/// Sets the log up. The environment variable `RUST_LOG` wins over `filter`.
/// The bound on libraries stands for both: no setting lifts it.
///
/// # Errors
/// [`TelemetryError`].
pub(crate) fn start(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| filter.to_owned());
    let filter = EnvFilter::builder().parse(wanted)?;
    // Standard output is for what the user asked for, such as a first token.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Human => {
            let lines = lines.compact().with_target(false);
            // Colours for a terminal alone: in a file their codes would be noise.
            lines.with_ansi(std::io::stderr().is_terminal()).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let bounded = lines.with_filter(filter_fn(is_bounded));
    tracing_subscriber::registry().with(filter).with(bounded).try_init()?;
    log_panics();
    Ok(())
}

/// Whether a line may be written, whatever the filter says.
fn is_bounded(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("keyhaven") || *metadata.level() <= Level::INFO
}

/// A panic's message may repeat data; its place does not.
/// The usual hook is replaced, since it would write the message to standard error.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a fault in the server: please report it");
    }));
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{Registry, fmt};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_below_us_never_write_finer_than_info() {
        let page = Page::default();
        let writer = page.clone();
        let lines = fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = Registry::default().with(lines.with_filter(filter_fn(is_bounded)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "actix_http", "one");
            tracing::debug!(target: "actix_http", "SECRET");
            tracing::trace!(target: "rustls::client", "SECRET");
            tracing::debug!(target: "not_keyhaven", "SECRET");
            tracing::debug!(target: "keyhaven_engine", "two");
            tracing::trace!(target: "keyhaven_server::http", "three");
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("one") && text.contains("two") && text.contains("three"), "{text}");
        assert!(!text.contains("SECRET"), "{text}");
    }

    #[test]
    fn a_filter_that_does_not_parse_is_told_with_an_example() {
        EnvFilter::builder().parse(USUAL_FILTER).unwrap();
        let error = EnvFilter::builder().parse("info,keyhaven=loud").unwrap_err();
        let text = TelemetryError::from(error).to_string();
        assert!(text.contains("write it like `info,keyhaven_server=debug`"), "{text}");
    }
}
