//! What an operator sets, from `keyhaven.toml`. Each name carries its unit; unknown names are refused, so
//! that a misspelt setting is an error. No secret stands in it, only where secrets are.
//!
//! A file is checked whole before anything is opened. What it may not say is what would be unsafe
//! in silence: tokens over plain HTTP to the network, metrics for everybody, a PIN for all to read.

use std::{
    env, fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, value::MapAccessDeserializer},
};

use crate::{
    federation::IssuerConfig,
    host::Reach,
    hsm::{Pin, PinError, Pkcs11Config, TokenSelector},
    telemetry::LogFormat,
};

/// The folder in which the service manager puts credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A server's configuration.
/// It is read once, at the start; a change needs a restart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen, such as `0.0.0.0:8443`.
    pub listen: SocketAddr,
    /// The folder of store and audit log; no other server may use it.
    pub data_dir: PathBuf,
    /// Origins of web pages that may call the API.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    /// Where Prometheus fetches metrics, over plain HTTP: a loopback address. Nowhere when left out.
    #[serde(default)]
    pub metrics_listen: Option<SocketAddr>,
    /// The HSM.
    pub hsm: HsmConfig,
    /// The certificate.
    pub tls: TlsConfig,
    /// Identity providers whose tokens are believed.
    #[serde(default)]
    pub oidc: Vec<IssuerConfig>,
    /// The server's own log.
    #[serde(default)]
    pub log: LogConfig,
    /// What the process gives up.
    #[serde(default)]
    pub host: HostConfig,
}

/// Which token to use, and where its PIN is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HsmConfig {
    /// The vendor's PKCS#11 module, a shared library.
    pub module: PathBuf,
    /// The token's label.
    pub token_label: String,
    /// A file that holds the PIN.
    #[serde(default)]
    pub pin_file: Option<PathBuf>,
    /// An environment variable that holds the PIN.
    #[serde(default)]
    pub pin_env: Option<String>,
    /// A credential of the service manager that holds the PIN: the name of a file in the folder that
    /// `CREDENTIALS_DIRECTORY` names, as `LoadCredential=` of systemd sets it.
    #[serde(default)]
    pub pin_credential: Option<String>,
    /// Refused: only there to say why.
    // A type of its own, since the parser's own message would repeat the value in some cases.
    #[serde(default)]
    pin: Option<Literal>,
    /// How long a call may take, in seconds.
    /// 0 counts as 1.
    #[serde(default = "default_deadline_s")]
    pub deadline_s: u32,
    /// How many sessions work on the token.
    /// 0 counts as 1.
    #[serde(default = "default_sessions")]
    pub sessions: usize,
}

/// A value that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Literal;

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// How the server proves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsConfig {
    /// `tls = "off"`: plain HTTP, behind something on this machine that does TLS.
    Off,
    /// `[tls]` with two files in PEM.
    Files(TlsFiles),
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The server's own log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `json` or `human`.
    pub format: LogFormat,
    /// What is written, such as `info,keyhaven_engine=debug`; `info` when left out.
    pub filter: Option<String>,
}

/// What the process gives up before it serves; see [`crate::host`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostConfig {
    /// Whether system calls that a server never makes are refused.
    pub restrict_calls: bool,
    /// `[host.files]`: which files stay reachable besides those that this configuration names, and which
    /// ports may be connected to. All when left out: what a PKCS#11 module needs is its vendor's to say.
    pub files: Option<Reach>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { restrict_calls: true, files: None }
    }
}

/// Why the configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The file does not say what it should.
    #[error("{}, line {line}: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// What it says is not safe, or contradicts itself.
    #[error("{0}")]
    Refused(&'static str),
    /// The PIN is not where it should be.
    #[error(transparent)]
    Pin(#[from] PinError),
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|reason| ConfigError::File { path: path.to_owned(), reason })?;
        let config = Self::parse(&text).map_err(|(line, message)| ConfigError::Syntax {
            path: path.to_owned(),
            line,
            message,
        })?;
        config.check()?;
        Ok(config)
    }

    /// The line and message of a fault; the line's text is not repeated, for it may hold a secret that
    /// should not be there.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or(text);
            (before.matches('\n').count() + 1, error.message().to_owned())
        })
    }

    /// Refuses what would leave something open to the network.
    fn check(&self) -> Result<(), ConfigError> {
        // The rule is about the address and not about a firewall or proxy that may be in front:
        // that can change without this file.
        if self.tls == TlsConfig::Off && !self.listen.ip().is_loopback() {
            return Err(ConfigError::Refused(
                "refusing to serve unauthenticated: without TLS a client cannot tell this server from another, \
                 and tokens cross the network readable. Give [tls] certificate and key, or listen on 127.0.0.1",
            ));
        }
        // Operation names and rates tell a stranger what is done here, and when.
        if self.metrics_listen.is_some_and(|address| !address.ip().is_loopback()) {
            return Err(ConfigError::Refused(
                "refusing to serve metrics unauthenticated: `metrics_listen` is plain HTTP and must be a \
                 loopback address; let a collector on this machine fetch them",
            ));
        }
        // `*` and `null` would let any page, or any sandboxed frame, call the API in a user's name.
        if self.allowed_origins.iter().any(|origin| !is_origin(origin)) {
            return Err(ConfigError::Refused(
                "each of `allowed_origins` is a scheme and a host, and a port where it is not the usual \
                 one, such as `https://app.example`: no path, no `*`, no `null`",
            ));
        }
        self.check_providers()?;
        self.hsm.check()
    }

    /// Each identity provider by itself, and no two of one name: which of them were believed?
    fn check_providers(&self) -> Result<(), ConfigError> {
        for (at, provider) in self.oidc.iter().enumerate() {
            provider.check().map_err(ConfigError::Refused)?;
            if self.oidc.iter().take(at).any(|other| other.issuer == provider.issuer) {
                return Err(ConfigError::Refused("[[oidc]] each `issuer` stands once"));
            }
            if provider.http_on_loopback && !self.listen.ip().is_loopback() {
                return Err(ConfigError::Refused(
                    "[[oidc]] `http_on_loopback` is for tests: a server with it listens on loopback only",
                ));
            }
        }
        Ok(())
    }
}

impl HsmConfig {
    /// The PIN is in exactly one place, and that place is not this file.
    fn check(&self) -> Result<(), ConfigError> {
        if self.pin.is_some() {
            return Err(ConfigError::Refused(
                "refusing a PIN written in the configuration, which others may read: put it into a file \
                 of its own (`pin_file`, mode 0600) or an environment variable (`pin_env`)",
            ));
        }
        let places = [&self.pin_env, &self.pin_credential].into_iter().flatten().count();
        if places + usize::from(self.pin_file.is_some()) != 1 {
            return Err(ConfigError::Refused(
                "[hsm] needs exactly one of `pin_file`, `pin_env` and `pin_credential`",
            ));
        }
        if self.pin_credential.as_deref().is_some_and(|name| name.contains('/')) {
            return Err(ConfigError::Refused(
                "`pin_credential` is the name of a credential, as `LoadCredential=` has it: no path",
            ));
        }
        Ok(())
    }

    /// The file that holds the PIN, if it is in one.
    ///
    /// # Errors
    /// [`ConfigError::Pin`] if it is a credential, and the service manager gave none.
    pub(crate) fn pin_path(&self) -> Result<Option<PathBuf>, ConfigError> {
        let Some(name) = &self.pin_credential else { return Ok(self.pin_file.clone()) };
        let folder = env::var_os(CREDENTIALS);
        let folder = folder.ok_or_else(|| PinError::NotSet(CREDENTIALS.to_owned()))?;
        Ok(Some(Path::new(&folder).join(name)))
    }

    /// The token, with its PIN read.
    ///
    /// It is called after the data folder is locked, so a PIN is not read for a start that fails.
    ///
    /// # Errors
    /// [`ConfigError::Pin`]. The token itself is not asked yet.
    pub(crate) fn open(&self) -> Result<Pkcs11Config, ConfigError> {
        let pin = match self.pin_path()? {
            Some(path) => Pin::from_file(&path)?,
            None => Pin::from_env(self.pin_env.as_deref().unwrap_or_default())?,
        };
        let token = TokenSelector { label: self.token_label.clone() };
        let usual = Pkcs11Config::new(self.module.clone(), token, pin);
        let deadline = Duration::from_secs(self.deadline_s.max(1).into());
        Ok(Pkcs11Config { deadline, workers: self.sessions, ..usual })
    }
}

/// Whether it is an origin as browsers write it (RFC 6454 §6.2): scheme, host in lower case, port.
/// The host is not looked up, nor its form checked further: an origin that is none matches no
/// request.
pub(crate) fn is_origin(text: &str) -> bool {
    let tls = text.strip_prefix("https://").map(|host| (host, ":443"));
    let origin = tls.or_else(|| text.strip_prefix("http://").map(|host| (host, ":80")));
    origin.is_some_and(|(host, default_port)| {
        // Browsers leave the default port out, so that an origin with it would never match.
        if host.ends_with(default_port) {
            return false;
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:[]".contains(c);
        !host.is_empty() && host.chars().all(allowed)
    })
}

impl<'de> Deserialize<'de> for TlsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TlsVisitor)
    }
}

/// Takes a table or the word "off". An untagged enum would do, but hide which setting of the table
/// is wrong.
struct TlsVisitor;

impl<'de> de::Visitor<'de> for TlsVisitor {
    type Value = TlsConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table with `certificate` and `key`, or \"off\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TlsConfig, E> {
        if text == "off" {
            Ok(TlsConfig::Off)
        } else {
            Err(E::custom("`tls` is a table, or \"off\""))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TlsConfig, A::Error> {
        TlsFiles::deserialize(MapAccessDeserializer::new(map)).map(TlsConfig::Files)
    }
}

/// A token answers in milliseconds; after ten seconds something is wrong with it.
const fn default_deadline_s() -> u32 {
    10
}

/// Enough for a node: most requests do not need the token, and the audit log's checkpoints need it
/// some times a second.
const fn default_sessions() -> usize {
    2
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../examples/keyhaven.toml");

    fn refused(change: impl Fn(String) -> String) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyhaven.toml");
        fs::write(&path, change(EXAMPLE.to_owned())).unwrap();
        Config::read(&path).unwrap_err().to_string()
    }

    #[test]
    fn the_example_is_accepted() {
        let config = Config::parse(EXAMPLE).unwrap();
        config.check().unwrap();
        assert!(matches!(config.tls, TlsConfig::Files(_)));
        assert_eq!(config.log.format, LogFormat::Json);
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        let (before_tls, _) = EXAMPLE.split_once("\n[tls]").unwrap();
        let (settings, hsm) = before_tls.split_once("\n[hsm]").unwrap();
        let off = |listen: &str| {
            let settings = settings.replace("0.0.0.0:8443", listen);
            format!("{settings}\ntls = \"off\"\n[hsm]{hsm}")
        };
        assert!(refused(|_| off("0.0.0.0:8443")).contains("unauthenticated"));
        assert!(refused(|_| off("192.0.2.1:8443")).contains("unauthenticated"));
        assert!(Config::parse(&off("127.0.0.1:8443")).unwrap().check().is_ok());
        assert!(Config::parse(&off("[::1]:8443")).unwrap().check().is_ok());
    }

    #[test]
    fn metrics_are_for_loopback_only() {
        let text = refused(|text| text.replace("127.0.0.1:9464", "0.0.0.0:9464"));
        assert!(text.contains("metrics unauthenticated"), "{text}");
    }

    #[test]
    fn a_pin_in_the_file_is_refused_and_not_repeated() {
        for pin in ["\"sesame-1234\"", "1234"] {
            let text = refused(|text| text.replace("[hsm]", &format!("[hsm]\npin = {pin}")));
            assert!(text.contains("pin_file") && !text.contains("1234"), "{text}");
        }
        let text = refused(|text| text.replace("pin_file", "pin_fil"));
        assert!(text.contains("line ") && text.contains("pin_fil"), "{text}");
        let text = refused(|text| text.replace("pin_file", "pin_env = \"PIN\"\npin_file"));
        assert!(text.contains("exactly one"), "{text}");
    }

    #[test]
    fn origins_are_whole() {
        for good in
            ["https://app.example", "http://localhost:5173", "http://[::1]:8080", "https://a:80"]
        {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "null",
            "app.example",
            "https://app.example/",
            "https://",
            "https://A.b",
            "https://a:443",
            "http://[::1]:80",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn every_setting_of_the_example_is_read() {
        let config = Config::parse(EXAMPLE).unwrap();
        assert_eq!(config.listen.to_string(), "0.0.0.0:8443");
        assert_eq!(config.data_dir, Path::new("/var/lib/keyhaven"));
        assert_eq!(config.allowed_origins, ["https://app.example"]);
        assert_eq!(config.metrics_listen.unwrap().to_string(), "127.0.0.1:9464");
        assert_eq!(config.hsm.module, Path::new("/usr/lib/softhsm/libsofthsm2.so"));
        assert_eq!(config.hsm.token_label, "keyhaven");
        assert_eq!(config.hsm.pin_file.as_deref(), Some(Path::new("/etc/keyhaven/pin")));
        assert_eq!((config.hsm.pin_env, config.hsm.deadline_s, config.hsm.sessions), (None, 10, 2));
        let (certificate, key) =
            ("/etc/keyhaven/server.pem".into(), "/etc/keyhaven/server.key".into());
        assert_eq!(config.tls, TlsConfig::Files(TlsFiles { certificate, key }));
        let writable = vec!["/var/lib/softhsm/tokens".into()];
        let readable = vec!["/etc/softhsm".into()];
        let files = Some(Reach { readable, writable, connect_ports: vec![] });
        assert_eq!(config.host, HostConfig { restrict_calls: true, files });
        let filter = Some(crate::telemetry::USUAL_FILTER.to_owned());
        assert_eq!(config.log, LogConfig { format: LogFormat::Json, filter });
    }

    #[test]
    fn what_may_be_left_out_has_a_safe_value() {
        let least = "listen = \"[::1]:1\"\ndata_dir = \"d\"\ntls = \"off\"\n\
            [hsm]\nmodule = \"m\"\ntoken_label = \"t\"\npin_env = \"PIN\"\n";
        let config = Config::parse(least).unwrap();
        config.check().unwrap();
        assert!(config.allowed_origins.is_empty());
        assert_eq!(config.metrics_listen, None);
        assert_eq!((config.hsm.deadline_s, config.hsm.sessions), (10, 2));
        assert_eq!(config.log, LogConfig { format: LogFormat::Json, filter: None });
        assert_eq!(config.host, HostConfig { restrict_calls: true, files: None });
    }

    #[test]
    fn each_fault_is_told_with_its_line() {
        for (from, to, line, says) in [
            ("listen = \"0.0.0.0:8443\"", "", "1", "missing field `listen`"),
            ("listen = \"0.0.0.0:8443\"", "listen = \"here\"", "5", "socket address"),
            ("listen = \"0.0.0.0:8443\"", "listen = 8443", "5", "integer"),
            ("data_dir", "data_folder", "7", "unknown field `data_folder`"),
            ("[\"https://app.example\"]", "\"https://app.example\"", "9", "sequence"),
            ("\n[tls]", "\n[ssl]", "23", "unknown field `ssl`"),
            ("token_label = \"keyhaven\"", "", "13", "missing field `token_label`"),
            ("deadline_s = 10", "deadline_s = -1", "20", "-1"),
            ("deadline_s = 10", "deadline_s = \"10s\"", "20", "string"),
            ("sessions = 2", "sessions = 2\nsessions = 3", "22", "duplicate"),
            ("key = \"/etc/keyhaven/server.key\"", "", "23", "missing field `key`"),
            ("format = \"json\"", "format = \"xml\"", "30", "unknown variant"),
            ("filter = ", "filters = ", "31", "unknown field `filters`"),
            ("[log]", "[log", "28", ""),
        ] {
            assert!(EXAMPLE.contains(from), "{from}");
            let text = refused(|text| text.replacen(from, to, 1));
            let place = text.split_once("keyhaven.toml, line ").unwrap().1;
            assert!(place.contains(says), "{to}: {text}");
            let found: usize = place.split_once(':').unwrap().0.parse().unwrap();
            assert!(found.abs_diff(line.parse().unwrap()) <= 2, "{to}: line {line}: {text}");
        }
    }

    #[test]
    fn tls_is_two_files_or_plainly_off() {
        let (before, after) = EXAMPLE.split_once("\n[tls]").unwrap();
        let rest = after.split_once("[log]").unwrap().1;
        let (settings, hsm) = before.split_once("\n[hsm]").unwrap();
        for other in ["\"on\"", "\"\"", "\"OFF\"", "false", "0", "[]"] {
            let text = refused(|_| format!("{settings}\ntls = {other}\n[hsm]{hsm}\n[log]{rest}"));
            assert!(text.contains("tls") || text.contains("`certificate`"), "{other}: {text}");
        }
    }

    #[test]
    fn an_identity_provider_stands_once_and_over_plain_http_for_tests_alone() {
        let (_, table) = EXAMPLE.split_once("\n[[oidc]]").unwrap();
        let text = refused(|text| format!("{text}\n[[oidc]]{table}"));
        assert_eq!(text, "[[oidc]] each `issuer` stands once");
        let issuer = "https://login.example/realms/staff";
        let plain = "http://127.0.0.1:9\"\nhttp_on_loopback = true\naudience = \"keyhaven\"\n#";
        let text = refused(|text| {
            text.replace("audience = \"keyhaven\"\n", "").replace(&format!("{issuer}\""), plain)
        });
        assert!(text.contains("listens on loopback only"), "{text}");
        let text = refused(|text| text.replace(issuer, "http://login.example"));
        assert!(text.contains("spoken to over https"), "{text}");
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Config::read(&folder.path().join("gone.toml")).unwrap_err();
        assert!(matches!(error, ConfigError::File { .. }));
        assert!(error.to_string().contains("gone.toml"), "{error}");
    }

    #[test]
    fn a_pin_is_in_exactly_one_place() {
        let text = refused(|text| text.replace("pin_file = \"/etc/keyhaven/pin\"", ""));
        assert_eq!(text, "[hsm] needs exactly one of `pin_file`, `pin_env` and `pin_credential`");
        let text = refused(|text| text.replace("[hsm]", "[hsm]\npin_credential = \"pin\""));
        assert!(text.contains("exactly one"), "{text}");
        let pin = "pin_file = \"/etc/keyhaven/pin\"";
        let text = refused(|text| text.replace(pin, "pin_credential = \"../pin\""));
        assert!(text.contains("no path"), "{text}");
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused() {
        for bad in ["*", "null", "app.example", "https://app.example/", "https://a.example/x"] {
            let text = refused(|text| text.replace("https://app.example", bad));
            assert!(text.starts_with("each of `allowed_origins` is a scheme and a host"), "{text}");
        }
        for bad in ["ftp://a", "https:/a", "https//a", "https://a b", "https://a?b", "https://é"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
