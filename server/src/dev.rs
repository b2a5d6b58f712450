//! `keyhaven dev`: everything a server needs is made in one folder, and `keyhaven env` reads it there.
//!
//! | in the folder | what |
//! | --- | --- |
//! | `store.db` | the store |
//! | `audit/` | the audit log |
//! | `token/` | the SoftHSM2 token |
//! | `tls/ca.pem`, `tls/ca.key` | the certificate authority |
//! | `address`, `issuer`, `admin-token` | what clients need; only dev mode keeps a token in a file |
//!
//! It differs from `keyhaven serve` in where the token and the certificate come from; and keys may
//! be destroyed without waiting, and metrics stand beside the API. Requests are authenticated,
//! authorized and recorded as in production.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use actix_web::rt;
use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::{
    config::is_origin,
    environment,
    host::{self, Reach},
    hsm::{
        Pkcs11Config,
        softhsm::{self, Environment, SoftHsmToken},
    },
    start::{self, Base, Installed, Plan, RunError, Running},
    store,
    telemetry::{self, LogFormat},
    terminal::say,
    tls,
};

/// The running server's URL; gone when it has ended.
const ADDRESS: &str = "address";
/// The HSM's issuer key in base64, for devices to pin.
const ISSUER: &str = "issuer";
/// The admin's API token, as long as nobody replaces or revokes it.
const ADMIN_TOKEN: &str = "admin-token";
/// The folder of the certificate authority.
const TLS: &str = "tls";
/// The folder of the SoftHSM2 token.
const TOKEN: &str = "token";

/// How a dev server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevOptions {
    /// Where everything is kept; made when it is not there.
    pub data_dir: PathBuf,
    /// A loopback address; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Origins of web pages that may call the API.
    pub allowed_origins: Vec<String>,
}

/// What clients of a dev server need.
pub struct Exports {
    /// The server's URL.
    pub address: String,
    /// The certificate authority to trust, in PEM.
    pub ca_certificate: PathBuf,
    /// The admin's API token.
    pub token: Zeroizing<String>,
    /// The HSM's issuer key, in base64, which devices pin.
    pub issuer: String,
}

/// Serves until the process is told to end.
///
/// The process may start itself again on the way: it must be called before any thread is started.
///
/// # Errors
/// [`RunError`].
pub fn run(options: &DevOptions) -> Result<(), RunError> {
    check(options)?;
    prepare_token(&options.data_dir)?;
    telemetry::start(LogFormat::Human, telemetry::USUAL_FILTER)?;
    // Everything is in one folder. The module may be another than the system's.
    let reach = Reach {
        readable: vec![softhsm::module_path()?],
        writable: vec![options.data_dir.clone()],
        connect_ports: vec![],
    };
    host::confine(Some(&reach), true)?;
    rt::System::new().block_on(serve(options))
}

/// Sees to it that SoftHSM2 finds the folder's token, if there is one; perhaps by starting this process anew.
fn prepare_token(data_dir: &Path) -> Result<(), RunError> {
    let token = data_dir.join(TOKEN);
    // The token's folder is older than the store: without it, no new one may be made beside the store.
    if data_dir.join(store::DATABASE).exists() && !token.is_dir() {
        return Err(RunError::TokenGone(token));
    }
    // SoftHSM2 finds its token by an environment variable, which must stand before any thread starts.
    if let Environment::ReexecNeeded(again) = softhsm::ensure_environment(&token)? {
        return Err(RunError::File { path: token, reason: again.exec() });
    }
    Ok(())
}

/// The token of a dev server that was started on a folder before. No thread may have been started yet.
///
/// # Errors
/// [`RunError`].
pub(crate) fn token(data_dir: &Path) -> Result<Pkcs11Config, RunError> {
    if !data_dir.join(store::DATABASE).exists() {
        return Err(RunError::NoDevServer(data_dir.to_owned()));
    }
    prepare_token(data_dir)?;
    Ok(SoftHsmToken::open(&data_dir.join(TOKEN))?)
}

/// Reads what clients of the dev server on a folder need.
///
/// It reads files and asks no server: whether one still listens there is not known.
///
/// # Errors
/// [`RunError::NoDevServer`].
pub fn exports(data_dir: &Path) -> Result<Exports, RunError> {
    let missing = |_| RunError::NoDevServer(data_dir.to_owned());
    // Absolute, so that the exports hold in whatever folder the shell goes to.
    let folder = data_dir.canonicalize().map_err(missing)?;
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).map_err(missing)?;
        Ok::<_, RunError>(Zeroizing::new(text.trim_end().to_owned()))
    };
    Ok(Exports {
        address: read(ADDRESS)?.to_string(),
        ca_certificate: ca_certificate(&folder),
        token: read(ADMIN_TOKEN)?,
        issuer: read(ISSUER)?.to_string(),
    })
}

/// What is refused before anything is made in the folder.
fn check(options: &DevOptions) -> Result<(), RunError> {
    if !options.listen.ip().is_loopback() {
        return Err(RunError::Refused(
            "refusing to listen beyond this machine: dev mode keeps its keys in files and its admin token \
             beside them. Listen on 127.0.0.1, or run `keyhaven serve` with a configuration",
        ));
    }
    if !options.allowed_origins.iter().all(|origin| is_origin(origin)) {
        return Err(RunError::Refused("an origin is written like `http://localhost:5173`"));
    }
    Ok(())
}

/// Starts, tells clients where it is, serves, and takes the address back.
async fn serve(options: &DevOptions) -> Result<(), RunError> {
    let folder = &options.data_dir;
    let mut running = start::start(plan(options)).await?;
    let token = running.admin_token.take();
    write(folder, ISSUER, &Base64::encode_string(&running.issuer))?;
    // The address comes last: `keyhaven env` works only once everything else is in place.
    write(folder, ADDRESS, &format!("https://{}\n", running.address))?;
    say(&banner(folder, &running, token.as_ref().map(|token| token.as_str())));
    drop(token);
    let ended = running.until_told_to_end().await;
    forget_address(folder);
    ended
}

/// The parts of a dev server.
fn plan(options: &DevOptions) -> Plan {
    let (token, tls) = (options.data_dir.join(TOKEN), options.data_dir.join(TLS));
    let folder = options.data_dir.clone();
    let base = Base {
        dev: true,
        data_dir: options.data_dir.clone(),
        token: Box::new(move |installed| match installed {
            Installed::Yes => Ok(SoftHsmToken::open(&token)?),
            Installed::No => Ok(SoftHsmToken::create_or_open(&token)?),
        }),
        // Durable before the installation is: a crash between the two leaves a token for nothing,
        // and not an installation without one.
        keep_token: Box::new(move |token| write(&folder, ADMIN_TOKEN, token)),
    };
    Plan {
        base,
        listen: options.listen,
        allowed_origins: options.allowed_origins.clone(),
        federation: Default::default(),
        metrics_listen: None,
        tls: Box::new(move || Ok(Some(tls::from_dev_authority(&tls, environment::now())?))),
    }
}

/// What the terminal shows. It may hold the admin's token, so it is wiped.
fn banner(folder: &Path, running: &Running, token: Option<&str>) -> Zeroizing<String> {
    let (address, ca) = (running.address, ca_certificate(folder));
    let shown = folder.display();
    let admin = token.map_or("as before; `keyhaven env` knows the token", |token| token);
    let once = if token.is_some() {
        "           (shown this once; dev mode also keeps it for `keyhaven env`)\n"
    } else {
        ""
    };
    Zeroizing::new(format!(
        "Keyhaven DEV MODE. The keys lie in files of this folder: not for data that matters.\n\n  \
         address  https://{address}\n  CA file  {}\n  admin    {admin}\n{once}\nNext, in another \
         terminal:\n  eval \"$(keyhaven env --data-dir {shown})\"\n  keyhaven status\n  \
         keyhaven key create photos --distribution data-keys\n\nCtrl-C stops it.\n",
        ca.display()
    ))
}

/// Where the authority's certificate lies.
fn ca_certificate(folder: &Path) -> PathBuf {
    folder.join(TLS).join(tls::CA_CERTIFICATE)
}

/// Nobody is to be sent to a server that has ended.
fn forget_address(folder: &Path) {
    let path = folder.join(ADDRESS);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "cannot be removed");
        }
        _ => {}
    }
}

/// Writes a private file, durably, whole or not at all.
/// With mode 0600 from the first byte on; some of them are secrets.
fn write(folder: &Path, name: &str, content: &str) -> Result<(), RunError> {
    let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&new).and_then(|mut file| {
        io::Write::write_all(&mut file, content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        fs::File::open(folder)?.sync_all()
    });
    written.map_err(|reason| RunError::File { path, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_folder_is_answered_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("gone")] {
            let error = exports(&path).err().unwrap().to_string();
            assert!(error.contains("keyhaven dev --data-dir"), "{error}");
        }
    }

    #[test]
    fn dev_mode_stays_on_this_machine() {
        for address in ["0.0.0.0:8443", "192.0.2.1:1", "[::]:8443"] {
            let options = DevOptions {
                data_dir: "/nonexistent".into(),
                listen: address.parse().unwrap(),
                allowed_origins: vec![],
            };
            let error = run(&options).err().unwrap().to_string();
            assert!(error.contains("beyond this machine"), "{error}");
        }
    }

    #[test]
    fn what_clients_need_is_read_back_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in
            [(ADDRESS, "https://127.0.0.1:1\n"), (ADMIN_TOKEN, "kh1.a.b"), (ISSUER, "AA==")]
        {
            write(folder.path(), name, content).unwrap();
            let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let exports = exports(folder.path()).ok().unwrap();
        assert_eq!(exports.address, "https://127.0.0.1:1");
        assert_eq!(exports.token.as_str(), "kh1.a.b");
        assert!(exports.ca_certificate.is_absolute());
    }

    #[test]
    fn while_anything_is_missing_there_is_no_dev_server() {
        let folder = tempfile::tempdir().unwrap();
        let all = [ADDRESS, ADMIN_TOKEN, ISSUER];
        all.iter().for_each(|name| write(folder.path(), name, "x\n").unwrap());
        assert!(exports(folder.path()).is_ok());
        for name in all {
            fs::remove_file(folder.path().join(name)).unwrap();
            let error = exports(folder.path()).err().unwrap();
            assert!(matches!(error, RunError::NoDevServer(_)), "{name}: {error}");
            write(folder.path(), name, "x\n").unwrap();
        }
        // A server that ended has no address, but the token and the issuer stay.
        forget_address(folder.path());
        forget_address(folder.path());
        assert!(exports(folder.path()).is_err());
        assert!(folder.path().join(ADMIN_TOKEN).exists() && folder.path().join(ISSUER).exists());
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused_before_anything_is_made() {
        let parent = tempfile::tempdir().unwrap();
        let data_dir = parent.path().join("data");
        for origin in [
            "*",
            "null",
            "localhost:5173",
            "http://localhost:5173/",
            "https://a:443",
            "http://a:80",
            "",
        ] {
            let options = DevOptions {
                data_dir: data_dir.clone(),
                listen: "127.0.0.1:0".parse().unwrap(),
                allowed_origins: vec!["http://localhost:5173".to_owned(), origin.to_owned()],
            };
            let error = run(&options).err().unwrap().to_string();
            assert_eq!(error, "an origin is written like `http://localhost:5173`", "{origin}");
        }
        assert!(!data_dir.exists());
    }
}
