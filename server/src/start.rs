//! The composition root: what is plugged into what. Both modes start here.
//!
//! A start goes from the inside outward: lock and store, token, engine, audit log, and only then
//! the network. Whatever is wrong with the inside ends the start before anybody can reach the
//! server. Stopping goes the other way round.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_web::{App, HttpServer, dev::ServerHandle, rt, web};
use keyhaven_engine::{
    engine::Engine,
    error::Error,
    federation::Federation,
    port::{
        Ports,
        hsm::{Hsm, HsmKey, HsmRole},
        store::{Extract, Store},
    },
    record::deployment_place,
    start as engine_start,
};
use keyhaven_wire::{Settings, Wire};
use rustls::ServerConfig;
use tokio::{sync::watch, task::JoinHandle};
use zeroize::Zeroizing;

use crate::{
    audit::{AuditError, Sequencer},
    config::ConfigError,
    environment::SystemEnvironment,
    federation::Providers,
    health::Health,
    history::History,
    host::HostError,
    hsm::{OpenError, Pkcs11Config, Pkcs11Hsm, softhsm::SoftHsmError},
    http::{self, Front},
    metrics::Metrics,
    store::{self, SqliteStore},
    tls::TlsError,
};

/// How long a client may take to send a request's head, and to shake hands.
/// A client that sends its head a byte at a time (the Slowloris attack) is cut off by it.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How long an idle connection is kept.
/// Longer than the usual minute of a proxy in front, so that the proxy and not the server closes
/// first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long requests may take to finish when the server stops, in seconds.
/// After that their connections are closed.
const SHUTDOWN_S: u64 = 20;
/// How often keys are looked for whose day of destruction has come.
/// So a key goes up to a minute after its day, if nothing is in the way.
const DESTRUCTION_ROUND: Duration = Duration::from_secs(60);

/// Opens the token of a data folder, once it is known whether there is an installation in it.
/// Given an installation it must not make a token: the root keys would not be in it.
type OpenToken = Box<dyn FnOnce(Installed) -> Result<Pkcs11Config, RunError>>;

/// Keeps an admin token where it is found again.
/// What it keeps is durable when it returns: the installation comes into being right after it.
type KeepToken = Box<dyn Fn(&str) -> Result<(), RunError> + Sync>;

/// What an installation is opened with. What needs the folder's lock first is made by closures.
pub(crate) struct Base {
    /// Whether keys may be destroyed without waiting, and metrics stand beside the API.
    pub(crate) dev: bool,
    /// The folder of store and audit log.
    pub(crate) data_dir: PathBuf,
    /// Opens the token, which must be there if the data folder has an installation.
    pub(crate) token: OpenToken,
    /// Keeps a new installation's admin token, before that exists.
    pub(crate) keep_token: KeepToken,
}

/// Everything a server is started with.
/// The two modes differ in this alone.
pub(crate) struct Plan {
    /// What it works on.
    pub(crate) base: Base,
    /// Port 0 takes any free one; [`Running::address`] tells which.
    pub(crate) listen: SocketAddr,
    /// Origins (RFC 6454 §6.2) whose pages may call the API.
    pub(crate) allowed_origins: Vec<String>,
    /// Identity providers whose tokens are believed, and what fetches their keys.
    pub(crate) federation: (Federation, Arc<Providers>),
    /// A loopback address for Prometheus; no such listener without.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Makes the TLS configuration; `None` is plain HTTP, which only a loopback address may have.
    pub(crate) tls: Box<dyn FnOnce() -> Result<Option<ServerConfig>, RunError>>,
}

/// Whether the data folder has an installation.
/// The store's word, and not that of a file's being there: an interrupted first start leaves files
/// and no installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Installed {
    Yes,
    No,
}

/// Why the server did not start, or did not end in order. The text says what to put right.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The token cannot be opened.
    #[error(transparent)]
    Hsm(#[from] OpenError),
    /// The dev mode's token cannot be opened.
    #[error(transparent)]
    SoftHsm(#[from] SoftHsmError),
    /// Store and HSM do not fit together, or one of them failed.
    #[error(
        "the store and the HSM do not fit together, or one of them failed; the log above says which: {0}"
    )]
    Engine(Error),
    /// The audit log cannot be gone on with.
    #[error("the audit log: {0}")]
    Audit(#[from] AuditError),
    /// The audit log cannot be read.
    #[error("the audit log's entries cannot be read; the log above says why")]
    History,
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the operating system said.
        reason: io::Error,
    },
    /// A file of the data folder cannot be written.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// Two counters have one name.
    #[error("the metrics could not be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The log could not be set up.
    #[error(transparent)]
    Telemetry(#[from] crate::telemetry::TelemetryError),
    /// The process could not be confined.
    #[error(transparent)]
    Host(#[from] HostError),
    /// What was asked for is not safe.
    #[error("{0}")]
    Refused(&'static str),
    /// The dev mode's installation is there and its token is not. Nothing was changed.
    #[error(
        "{} is gone, and the installation's root keys with it: put it back, or move the whole data \
         folder away to start anew (what was encrypted is then lost)", .0.display()
    )]
    TokenGone(PathBuf),
    /// There is no dev server's data, or not all of it.
    #[error(
        "no dev server has been started on {}: start one with `keyhaven dev --data-dir {}`, and if one is \
         starting now, wait until it prints its address", .0.display(), .0.display()
    )]
    NoDevServer(PathBuf),
}

/// A server at work.
pub(crate) struct Running {
    /// Where it really listens.
    pub(crate) address: SocketAddr,
    /// The admin's token, when the installation is new.
    pub(crate) admin_token: Option<Zeroizing<String>>,
    /// The HSM's issuer key, which devices pin.
    pub(crate) issuer: [u8; 32],
    /// The API, and the metrics if they have a listener.
    servers: Vec<(ServerHandle, JoinHandle<io::Result<()>>)>,
    /// The round that destroys what is due.
    destroyer: JoinHandle<()>,
    /// Tells open streams that the server stops.
    stop_streams: watch::Sender<bool>,
    /// Holds the engine, and so the store and the HSM.
    front: Arc<Front>,
    /// The last to be stopped.
    sequencer: Arc<Sequencer>,
}

/// An installation, open and checked, that nobody can reach yet.
pub(crate) struct Opened {
    /// Its rules and roots have been checked.
    pub(crate) engine: Arc<Engine>,
    /// The admin's token, when the installation is new.
    pub(crate) admin_token: Option<Zeroizing<String>>,
    /// At work already: what opening recorded is signed.
    pub(crate) sequencer: Sequencer,
    /// Reads what the sequencer writes, and what it has yet to.
    pub(crate) history: History,
}

/// Opens what is in a data folder, or makes a new installation there if `new` allows that.
///
/// # Errors
/// [`RunError`]; [`RunError::Refused`] if there is no installation and `new` does not allow one.
pub(crate) async fn open(base: Base, new: Installed) -> Result<Opened, RunError> {
    let Base { dev, data_dir, token, keep_token } = base;
    // The lock on the folder comes first: nothing else of it is touched by a second server.
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&data_dir)?);
    let installed = installed(store.as_ref()).await?;
    if (installed, new) == (Installed::No, Installed::Yes) {
        return Err(RunError::Refused("there is no installation in the data folder yet: start it"));
    }
    // Which token is to be opened depends on the store: a new one may be made for a new
    // installation only.
    let hsm: Arc<dyn Hsm> = Arc::new(Pkcs11Hsm::open(token(installed)?)?);
    let environment = Arc::new(SystemEnvironment);
    let ports = Ports { store: Arc::clone(&store), hsm, environment };
    // In dev mode a file is where the token is found again: it is there before the installation is.
    let keep = |token: &str| {
        keep_token(token).map_err(|error| {
            tracing::error!(%error, "the admin's token cannot be kept");
            Error::Unavailable
        })
    };
    let started = engine_start::start_keeping(ports, dev, &keep).await;
    let engine_start::Started { engine, admin_token } = started.map_err(RunError::Engine)?;
    // It checks the whole log. One that was edited or rolled back ends the start here.
    let sequencer = start_sequencer(&engine, &data_dir).await?;
    let history = History::new(audit_folder(&data_dir), store);
    Ok(Opened { engine: Arc::new(engine), admin_token, sequencer, history })
}

/// Starts a server.
///
/// # Errors
/// [`RunError`]. What was opened is closed again; a new installation stays, and `first-token` mints
/// the admin's token that was not shown.
pub(crate) async fn start(plan: Plan) -> Result<Running, RunError> {
    let dev = plan.base.dev;
    let Opened { engine, admin_token, sequencer, history } = open(plan.base, Installed::No).await?;
    let (services, sequencer) = (engine.services(), Arc::new(sequencer));
    let (store, hsm) = (Arc::clone(&services.ports.store), Arc::clone(&services.ports.hsm));
    let issuer = HsmKey { deployment: services.deployment, role: HsmRole::Issuer };
    let issuer = hsm.public_key(issuer).await.map_err(|error| RunError::Engine(error.into()))?;
    let (stop_streams, stopping) = watch::channel(false);
    let (federation, providers) = plan.federation;
    let settings =
        Settings { allowed_origins: plan.allowed_origins, federation: Arc::new(federation) };
    let front = Arc::new(Front {
        wire: Arc::new(Wire::new(Arc::clone(&engine), Arc::new(history), settings)),
        health: Health::new(store, hsm, Arc::clone(&sequencer), Arc::clone(&services.alarms)),
        metrics: Metrics::new(Arc::clone(&services.alarms))?,
        metrics_here: dev,
        stopping,
    });
    // Made once the folder is ours: in dev mode it writes files there.
    let tls = (plan.tls)()?;
    let (address, server) = listen(plan.listen, &front, tls)?;
    let mut servers = vec![server];
    if let Some(metrics) = plan.metrics_listen {
        servers.push(listen_for_metrics(metrics, &front)?);
    }
    let destroyer = rt::spawn(destroy_due(engine));
    rt::spawn(async move { providers.look_ahead().await });
    Ok(Running { address, admin_token, issuer, servers, destroyer, stop_streams, front, sequencer })
}

/// Asks the store whether there is an installation.
async fn installed(store: &dyn Store) -> Result<Installed, RunError> {
    let found = store.read(deployment_place()).await;
    let found = found.map_err(|error| RunError::Engine(error.into()))?;
    // Where the row was deleted, the register still tells that there was one.
    Ok(if found == Extract::default() { Installed::No } else { Installed::Yes })
}

/// Where the audit log of a data folder lies.
pub(crate) fn audit_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("audit")
}

/// Starts the log, under the name of its key in the HSM: it holds for one installation and stays.
async fn start_sequencer(engine: &Engine, data_dir: &Path) -> Result<Sequencer, RunError> {
    let services = engine.services();
    let key = HsmKey { deployment: services.deployment, role: HsmRole::Log };
    let (store, hsm) = (Arc::clone(&services.ports.store), Arc::clone(&services.ports.hsm));
    let origin = key.to_string();
    Ok(Sequencer::start(store, hsm, key, audit_folder(data_dir), origin).await?)
}

/// A listener at work: how to stop it, and the task that it runs in.
type Server = (ServerHandle, JoinHandle<io::Result<()>>);

/// Serves the API, and answers the address that it really got.
///
/// # Errors
/// [`RunError::Listen`]: most often the port is taken, or the address is not this machine's.
fn listen(
    address: SocketAddr,
    front: &Arc<Front>,
    tls: Option<ServerConfig>,
) -> Result<(SocketAddr, Server), RunError> {
    let failed = |reason| RunError::Listen { address, reason };
    let listener = bind(address).map_err(failed)?;
    let real = listener.local_addr().map_err(failed)?;
    let front = Arc::clone(front);
    let server = HttpServer::new(move || {
        let front = Arc::clone(&front);
        App::new().default_service(web::to(move |request, payload| {
            http::answer(Arc::clone(&front), request, payload)
        }))
    })
    .client_request_timeout(HEAD_DEADLINE)
    .client_disconnect_timeout(HEAD_DEADLINE)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(SHUTDOWN_S)
    // Signals are ours: the audit log is to be flushed after the last request.
    .disable_signals();
    let server = match tls {
        // By ALPN (RFC 7301) it offers HTTP/1.1 alone: HTTP/2 is not built in.
        Some(tls) => server.tls_handshake_timeout(HEAD_DEADLINE).listen_rustls_0_23(listener, tls),
        None => server.listen(listener),
    };
    let server = server.map_err(failed)?.run();
    Ok((real, (server.handle(), rt::spawn(server))))
}

/// Serves `/metrics` and nothing else, over plain HTTP.
///
/// # Errors
/// [`RunError::Listen`].
fn listen_for_metrics(address: SocketAddr, front: &Arc<Front>) -> Result<Server, RunError> {
    let failed = |reason| RunError::Listen { address, reason };
    let front = Arc::clone(front);
    let server = HttpServer::new(move || {
        let front = Arc::clone(&front);
        let counters = web::get().to(move || std::future::ready(http::metrics(&front)));
        App::new().route("/metrics", counters)
    })
    // One collector asks every few seconds.
    .workers(1)
    .disable_signals()
    .listen(bind(address).map_err(failed)?)
    .map_err(failed)?
    .run();
    Ok((server.handle(), rt::spawn(server)))
}

/// A listening socket. It is bound here, so that the real port is known before anything is served.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Destroys keys whose day has come, as long as the server runs, beginning at once: a day may have
/// come while it was down.
async fn destroy_due(engine: Arc<Engine>) {
    let mut rounds = rt::time::interval(DESTRUCTION_ROUND);
    loop {
        rounds.tick().await;
        match engine_start::destroy_due(&engine).await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "destroyed keys whose day had come"),
            Err(error) => {
                // The next round tries again. The key is out of use meanwhile.
                tracing::error!(%error, "a key whose day has come could not be destroyed")
            }
        }
    }
}

impl Running {
    /// Serves until the process is told to end, then stops in order.
    ///
    /// # Errors
    /// As [`Self::stop`].
    pub(crate) async fn until_told_to_end(self) -> Result<(), RunError> {
        wait_for_signal().await;
        tracing::info!("stopping: no new connections, requests are finished");
        self.stop().await
    }

    /// Stops accepting, finishes requests, and brings the audit log up to date.
    ///
    /// # Errors
    /// [`RunError::Audit`] if the newest entries could not be signed. They are durable in the
    /// store, and the next start signs them.
    pub(crate) async fn stop(self) -> Result<(), RunError> {
        // First, since stopping in order waits for open answers.
        self.stop_streams.send_replace(true);
        for (handle, task) in self.servers {
            handle.stop(true).await;
            // What the task ends with is known already: it was told to.
            drop(task.await);
        }
        // What it leaves half done is found and finished at the next start.
        self.destroyer.abort();
        // With it goes the last other owner of the sequencer, if no stream still holds one.
        drop(self.front);
        let flushed = match Arc::try_unwrap(self.sequencer) {
            Ok(sequencer) => sequencer.stop().await,
            Err(shared) => shared.flush().await,
        };
        flushed.map_err(RunError::Audit)
    }
}

/// Waits for SIGTERM, as service managers send it, or SIGINT, as a terminal does.
async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be heard: stop this server with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
