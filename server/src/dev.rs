//! The dev mode's folder: everything a server needs is made in it, and `keyhaven env` reads it.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    environment,
    hsm::softhsm::{self, SoftHsmToken},
    serve::{Plan, StartError},
    tls,
};

const ADDRESS: &str = "address";
const ADMIN_TOKEN: &str = "admin-token";
const TLS: &str = "tls";
const TOKEN: &str = "token";

/// A dev server's folder.
#[derive(Debug, Clone)]
pub(crate) struct DevFolder(PathBuf);

/// What clients of a dev server need; printed as it is with `--json`.
#[derive(Serialize)]
pub(crate) struct ClientEnvironment {
    #[serde(rename = "KEYHAVEN_ADDR")]
    pub(crate) address: String,
    #[serde(rename = "KEYHAVEN_CACERT")]
    pub(crate) ca: String,
    #[serde(rename = "KEYHAVEN_TOKEN", serialize_with = "as_text")]
    pub(crate) token: Zeroizing<String>,
}

/// There is no dev server's data, or not all of it.
#[derive(Debug, thiserror::Error)]
#[error(
    "no dev server has been started on {}: start one with `keyhaven dev --data-dir {}`, and if one is \
     starting now, wait until it prints its address", .0.display(), .0.display()
)]
pub(crate) struct NoDevServer(PathBuf);

impl DevFolder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The server's certificate authority.
    pub(crate) fn ca(&self) -> PathBuf {
        self.0.join(TLS).join(tls::CA_CERTIFICATE)
    }

    /// The SoftHSM2 token's folder is to be in the environment before any thread starts; see
    /// [`softhsm::ensure_environment`].
    pub(crate) fn ensure_environment(&self) -> Result<softhsm::Environment, StartError> {
        Ok(softhsm::ensure_environment(&self.0.join(TOKEN))?)
    }

    /// A server on this folder.
    pub(crate) fn plan(
        &self,
        listen: SocketAddr,
        allowed_origins: Vec<String>,
    ) -> Result<Plan, StartError> {
        if !listen.ip().is_loopback() {
            return Err(StartError::Refused(
                "refusing to listen beyond this machine: dev mode keeps its keys in files and its admin \
                 token beside them. Listen on 127.0.0.1, or run `keyhaven serve` with a configuration",
            ));
        }
        let (token, tls) = (self.0.join(TOKEN), self.0.join(TLS));
        Ok(Plan {
            dev: true,
            listen,
            data_dir: self.0.clone(),
            allowed_origins,
            metrics_listen: None,
            token: Box::new(move || Ok(SoftHsmToken::create_or_open(&token)?)),
            tls: Box::new(move || Ok(Some(tls::from_dev_authority(&tls, environment::now())?))),
        })
    }

    /// Keeps a new installation's admin token for `keyhaven env`. Only dev mode does such a thing.
    pub(crate) fn keep_admin_token(&self, token: &str) -> Result<(), StartError> {
        self.write(ADMIN_TOKEN, token)
    }

    /// Tells where the server listens.
    pub(crate) fn tell_address(&self, address: SocketAddr) -> Result<(), StartError> {
        self.write(ADDRESS, &format!("https://{address}\n"))
    }

    /// Nobody is to be sent to a server that has ended.
    pub(crate) fn forget_address(&self) {
        let path = self.0.join(ADDRESS);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "cannot be removed");
            }
            _ => {}
        }
    }

    /// What clients need.
    pub(crate) fn client_environment(&self) -> Result<ClientEnvironment, NoDevServer> {
        let missing = |_| NoDevServer(self.0.clone());
        let folder = self.0.canonicalize().map_err(missing)?;
        let read = |name: &str| {
            let text = fs::read_to_string(folder.join(name)).map_err(missing)?;
            Ok::<_, NoDevServer>(Zeroizing::new(text.trim_end().to_owned()))
        };
        let (address, token) = (read(ADDRESS)?.to_string(), read(ADMIN_TOKEN)?);
        let ca = Self(folder.clone()).ca().display().to_string();
        Ok(ClientEnvironment { address, ca, token })
    }

    fn write(&self, name: &str, content: &str) -> Result<(), StartError> {
        let (path, new) = (self.0.join(name), self.0.join(format!("{name}.new")));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options.open(&new).and_then(|mut file| {
            io::Write::write_all(&mut file, content.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)
        });
        written.map_err(|reason| StartError::File { path, reason })
    }
}

impl ClientEnvironment {
    /// Lines for `eval` in a POSIX shell.
    pub(crate) fn exports(&self) -> Zeroizing<String> {
        let line = |name: &str, value: &str| format!("export {name}={}\n", quoted(value));
        Zeroizing::new(
            [
                line("KEYHAVEN_ADDR", &self.address),
                line("KEYHAVEN_CACERT", &self.ca),
                line("KEYHAVEN_TOKEN", &self.token),
            ]
            .concat(),
        )
    }
}

/// The token is what `keyhaven env` is asked for.
fn as_text<S: serde::Serializer>(token: &Zeroizing<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(token)
}

/// In single quotes nothing is special to a shell but the single quote itself.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_whatever_is_quoted() {
        for value in ["plain", "it's", "$HOME `id` \"x\" \\ ;&|", "two\nlines", "''", ""] {
            let script = format!("printf %s {}", quoted(value));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }

    #[test]
    fn an_empty_folder_is_answered_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("gone")] {
            let error = DevFolder::new(&path).client_environment().err().unwrap().to_string();
            assert!(error.contains("keyhaven dev --data-dir"), "{error}");
        }
    }

    #[test]
    fn dev_mode_stays_on_this_machine() {
        let folder = DevFolder::new(Path::new("/nonexistent"));
        for address in ["0.0.0.0:8443", "192.0.2.1:1", "[::]:8443"] {
            let error = folder.plan(address.parse().unwrap(), vec![]).err().unwrap();
            assert!(error.to_string().contains("beyond this machine"), "{error}");
        }
    }
}
