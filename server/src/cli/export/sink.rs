//! Where exported entries go: standard output, a file, a TCP or TLS connection, or an OTLP collector.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    net::{TcpStream, ToSocketAddrs},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use ureq::Agent;
use zeroize::Zeroizing;

use super::format::Format;
use crate::cli::{client, error::CliError};

/// How long a connection, a write or an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The other side has it.
    Taken,
    /// Whoever read standard output has gone, as `| head` does.
    Closed,
}

/// Somewhere that takes entries.
pub(super) struct Sink {
    place: Place,
    format: Format,
}

enum Place {
    Output,
    File(File),
    /// A connection is made for each page. So a page counts as taken only after the other side was
    /// reached anew, and a connection that died unseen loses at most one page's end.
    Stream {
        host: String,
        port: u16,
        tls: Option<Arc<ClientConfig>>,
    },
    Collector {
        agent: Agent,
        url: String,
        authorization: Option<Zeroizing<String>>,
    },
}

impl Sink {
    /// Opens what `--to` names. Connections are made when there is something to say.
    ///
    /// # Errors
    /// The text names nothing that is known here, the file cannot be opened, or the authority's
    /// certificate cannot be read.
    pub(super) fn open(to: &str, ca: Option<&Path>, format: Format) -> Result<Self, CliError> {
        let place = match to.split_once("://") {
            None if to == "-" => Place::Output,
            None => {
                let file = OpenOptions::new().append(true).create(true).open(to);
                Place::File(file.map_err(|error| CliError::new(format_args!("`{to}`: {error}")))?)
            }
            Some(("tcp", address)) => {
                let (host, port) = host_and_port(address)?;
                Place::Stream { host, port, tls: None }
            }
            Some(("tls", address)) => {
                let (host, port) = host_and_port(address)?;
                Place::Stream { host, port, tls: Some(tls(ca)?) }
            }
            Some(("http" | "https", _)) if format == Format::Otlp => collector(to, ca)?,
            Some(("http" | "https", _)) => {
                return Err(
                    CliError::new("only OTLP is sent by HTTP").with_next("add --format otlp")
                );
            }
            Some((scheme, _)) => {
                return Err(CliError::new(format_args!("`{scheme}` is no sink"))
                    .with_next("see keyhaven audit export --help"));
            }
        };
        Ok(Self { place, format })
    }

    /// Gives a page to the other side, and answers when it was taken.
    ///
    /// # Errors
    /// It was not, or that is not known.
    pub(super) fn deliver(&mut self, entries: &[Value]) -> Result<Delivery, CliError> {
        let texts = self.format.texts(entries);
        match &mut self.place {
            Place::Output => {
                let mut output = io::stdout().lock();
                match output.write_all(&lines(&texts)).and_then(|()| output.flush()) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                        return Ok(Delivery::Closed);
                    }
                    result => result?,
                }
            }
            Place::File(file) => {
                file.write_all(&lines(&texts))?;
                file.sync_data()?;
            }
            Place::Stream { host, port, tls } => {
                let framed =
                    if self.format == Format::Syslog { counted(&texts) } else { lines(&texts) };
                let (host, port) = (host.as_str(), *port);
                send((host, port), tls.as_ref(), &framed).map_err(|error| {
                    CliError::new(format_args!("{host}:{port} does not take entries: {error}"))
                        .with_next("is it listening there?")
                })?;
            }
            Place::Collector { agent, url, authorization } => {
                for text in texts {
                    post(
                        (&*agent, url.as_str()),
                        authorization.as_ref().map(|text| text.as_str()),
                        &text,
                    )?;
                }
            }
        }
        Ok(Delivery::Taken)
    }
}

/// A text a line.
fn lines(texts: &[String]) -> Vec<u8> {
    texts.iter().flat_map(|text| [text.as_bytes(), b"\n"].concat()).collect()
}

/// Each message with its length in front (RFC 6587 §3.4.1, RFC 5425 §4.3).
fn counted(texts: &[String]) -> Vec<u8> {
    texts.iter().flat_map(|text| format!("{} {text}", text.len()).into_bytes()).collect()
}

/// Connects, sends all of it, and ends the connection in order.
fn send(
    (host, port): (&str, u16),
    tls: Option<&Arc<ClientConfig>>,
    bytes: &[u8],
) -> io::Result<()> {
    let nowhere = || io::Error::new(io::ErrorKind::NotFound, "no address of that name");
    let address = (host, port).to_socket_addrs()?.next().ok_or_else(nowhere)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let Some(config) = tls else {
        stream.write_all(bytes)?;
        return stream.shutdown(std::net::Shutdown::Write);
    };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, stream);
    stream.write_all(bytes)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Posts a request to a collector (OTLP/HTTP with JSON).
fn post(
    (agent, url): (&Agent, &str),
    authorization: Option<&str>,
    body: &str,
) -> Result<(), CliError> {
    let mut request = agent.post(url).header("Content-Type", "application/json");
    if let Some(value) = authorization {
        request = request.header("Authorization", value);
    }
    let refused = |why: &dyn std::fmt::Display| {
        CliError::new(format_args!("{url} does not take entries: {why}"))
            .with_next("is it an OTLP/HTTP receiver, and is its path /v1/logs?")
    };
    let mut response = request.send(body).map_err(|error| refused(&error))?;
    if !response.status().is_success() {
        return Err(refused(&response.status()));
    }
    // A collector may take a part, and says so in the body of a success.
    let answer = response.body_mut().read_to_string().map_err(|error| refused(&error))?;
    let rejected = serde_json::from_str::<Value>(&answer)
        .ok()
        .and_then(|answer| answer.pointer("/partialSuccess/rejectedLogRecords").cloned());
    match rejected {
        Some(count) if count != 0 && count != "0" => {
            Err(refused(&format_args!("it rejected {count} records")))
        }
        _ => Ok(()),
    }
}

/// A collector's URL. Without TLS only on this machine: entries name people and keys.
fn collector(url: &str, ca: Option<&Path>) -> Result<Place, CliError> {
    let uri: http::Uri = url
        .parse()
        .map_err(|error| CliError::new(format_args!("`{url}` is no address: {error}")))?;
    let local = matches!(uri.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let roots = match ca {
        Some(path) => Some(client::authorities(&path.to_string_lossy())?),
        None => None,
    };
    if uri.scheme_str() == Some("http") && !local {
        return Err(CliError::new("entries are not sent to another machine without TLS")
            .with_next("use https, or a collector on this machine"));
    }
    if uri.scheme_str() == Some("https") && roots.is_none() {
        return Err(no_authority());
    }
    let authorization = std::env::var("KEYHAVEN_EXPORT_AUTHORIZATION").ok().map(Zeroizing::new);
    let agent = client::agent(roots, PATIENCE);
    Ok(Place::Collector { agent, url: url.to_owned(), authorization })
}

/// TLS that trusts one authority.
fn tls(ca: Option<&Path>) -> Result<Arc<ClientConfig>, CliError> {
    let path = ca.ok_or_else(no_authority)?;
    let unusable = |error: &dyn std::fmt::Display| {
        CliError::new(format_args!("cannot use the CA certificate `{}`: {error}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Whom to trust is said, not guessed.
fn no_authority() -> CliError {
    CliError::new("which authority signed the sink's certificate?")
        .with_next("name its PEM file with --ca")
}

/// `HOST:PORT`, of which the host may be an IPv6 address in brackets.
fn host_and_port(address: &str) -> Result<(String, u16), CliError> {
    let wrong = || {
        CliError::new(format_args!("`{address}` is no HOST:PORT"))
            .with_next("as in tcp://127.0.0.1:6514")
    };
    let (host, port) = address.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().map_err(|_| wrong())?;
    if host.is_empty() { Err(wrong()) } else { Ok((host.to_owned(), port)) }
}
