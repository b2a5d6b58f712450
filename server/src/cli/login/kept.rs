//! The token of a login, in a file that its owner alone can read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use keyhaven_engine::port::environment::Environment;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{cli::error::CliError, environment::SystemEnvironment};

/// A login.
pub(in crate::cli) struct Kept {
    /// The server that it is for, as `KEYHAVEN_ADDR` had it. No other is sent the token.
    pub(super) server: String,
    /// The token.
    pub(super) token: Zeroizing<String>,
    /// When the token ends, in Unix time.
    pub(super) expires_at: u64,
}

/// The file's content. The token in it is wiped where it is taken out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    server: String,
    token: String,
    expires_at: u64,
}

/// Where the file is: `keyhaven/login.json` in the folder for configuration (XDG Base Directory).
///
/// # Errors
/// There is neither `XDG_CONFIG_HOME` nor `HOME`.
pub(super) fn path() -> Result<PathBuf, CliError> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    folder.map(|folder| folder.join("keyhaven/login.json")).ok_or_else(|| {
        CliError::new("there is no folder to keep a login in: HOME is not set")
            .with_next("set KEYHAVEN_TOKEN to a token instead")
    })
}

/// The token of a login at this server, if there is one.
///
/// # Errors
/// Others can read the file, it is no login, or the token has expired.
pub(in crate::cli) fn token_for(server: &str) -> Result<Option<Zeroizing<String>>, CliError> {
    let Ok(path) = path() else { return Ok(None) };
    let Some(kept) = Kept::read(&path)? else { return Ok(None) };
    if kept.server != server {
        return Ok(None);
    }
    if kept.expires_at <= SystemEnvironment.now_ms() / 1000 {
        return Err(CliError::new("your login has expired").with_next("run keyhaven login again"));
    }
    Ok(Some(kept.token))
}

/// Deletes the file; tells whether there was one.
///
/// # Errors
/// It cannot be deleted.
pub(super) fn forget() -> Result<bool, CliError> {
    let path = path()?;
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unusable(&path, &error)),
    }
}

impl Kept {
    fn read(path: &Path) -> Result<Option<Self>, CliError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(path, &error)),
        };
        let mode = file.metadata().map_err(|error| unusable(path, &error))?.permissions().mode();
        // Whoever could read it may have used the token already.
        if mode & 0o077 != 0 {
            return Err(unusable(path, &"others may read or write it"));
        }
        let content = io::read_to_string(file).map_err(|error| unusable(path, &error))?;
        let content = Zeroizing::new(content);
        let document = serde_json::from_str(&content);
        // Of what is wrong in it, nothing is repeated: the token could be a part of that.
        let Document { server, token, expires_at } =
            document.map_err(|_| unusable(path, &"it is no login"))?;
        Ok(Some(Self { server, token: Zeroizing::new(token), expires_at }))
    }

    /// Keeps it, in place of the last one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self) -> Result<(), CliError> {
        let path = path()?;
        let document = Document {
            server: self.server.clone(),
            // EXPOSE: the login is kept in the file, which is what logging in is for.
            token: self.token.to_string(),
            expires_at: self.expires_at,
        };
        let content = Zeroizing::new(serde_json::to_vec(&document).map_err(CliError::new)?);
        drop(Zeroizing::new(document.token));
        replace(&path, &content).map_err(|error| unusable(&path, &error))
    }
}

/// Puts the file there whole, and its owner's alone from the first byte on.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let written = path.with_extension("new");
    // One that an interrupted login left would keep its mode, and a link its target.
    match fs::remove_file(&written) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&written)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&written, path)
}

/// The file cannot be used.
fn unusable(path: &Path, error: &dyn std::fmt::Display) -> CliError {
    CliError::new(format_args!("the login kept in `{}` cannot be used: {error}", path.display()))
        .with_next("run keyhaven logout, then keyhaven login; or set KEYHAVEN_TOKEN")
}
