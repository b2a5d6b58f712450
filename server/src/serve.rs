//! `keyhaven serve`: a server by a configuration file.

use std::path::{Path, PathBuf};

use actix_web::rt;
use keyhaven_engine::start as engine_start;
use zeroize::Zeroizing;

use crate::{
    config::{Config, HsmConfig, TlsConfig},
    federation,
    host::{self, Reach},
    start::{self, Base, Installed, Opened, Plan, RunError},
    store, telemetry,
    terminal::say,
    tls,
};

/// What a look-up of a host's name reads.
const NAMES_OF_HOSTS: [&str; 6] = [
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
];

/// Serves until the process is told to end. The first start on an empty data folder prints the admin's
/// token to standard output, once.
///
/// # Errors
/// [`RunError`].
pub fn run(config: &Path) -> Result<(), RunError> {
    let config = Config::read(config)?;
    prepare(&config)?;
    rt::System::new().block_on(serve(config))
}

/// What comes before the first thread.
fn prepare(config: &Config) -> Result<(), RunError> {
    let filter = config.log.filter.as_deref().unwrap_or(telemetry::USUAL_FILTER);
    telemetry::start(config.log.format, filter)?;
    store::make_folder(&config.data_dir)?;
    host::confine(reach(config)?.as_ref(), config.host.restrict_calls)?;
    Ok(())
}

/// What the configuration names, and what it says besides. A file of the first sort that is missing is
/// told by whoever reads it, who can say more.
fn reach(config: &Config) -> Result<Option<Reach>, RunError> {
    let Some(mut reach) = config.host.files.clone() else { return Ok(None) };
    let mut named = vec![config.hsm.module.clone()];
    named.extend(config.hsm.pin_path()?);
    if let TlsConfig::Files(files) = &config.tls {
        named.extend([files.certificate.clone(), files.key.clone()]);
    }
    if !config.oidc.is_empty() {
        named.extend(NAMES_OF_HOSTS.map(PathBuf::from));
    }
    for provider in &config.oidc {
        named.extend(provider.ca.clone());
        reach.connect_ports.extend(provider.ports());
    }
    reach.readable.extend(named.into_iter().filter(|path| path.exists()));
    reach.writable.push(config.data_dir.clone());
    Ok(Some(reach))
}

/// Starts and serves. The token of a new installation is shown and kept nowhere.
async fn serve(config: Config) -> Result<(), RunError> {
    let mut running = start::start(plan(config)?).await?;
    if let Some(token) = running.admin_token.take() {
        say("A new installation. The admin's API token, shown this once:\n");
        // On standard output and not in the log, which is kept and sent on.
        say(&token);
        say(
            "\nMake principals and policies with it, then revoke it. If it is lost before its first use:\n",
        );
        say("keyhaven first-token --config FILE\n");
    }
    tracing::info!(address = %running.address, "serving");
    running.until_told_to_end().await
}

/// The parts of a production server.
///
/// # Errors
/// [`RunError::Tls`] for a file of authorities that cannot be used.
fn plan(config: Config) -> Result<Plan, RunError> {
    let Config { listen, data_dir, allowed_origins, metrics_listen, hsm, tls, oidc, .. } = config;
    Ok(Plan {
        federation: federation::open(&oidc)?,
        base: base(data_dir, hsm),
        listen,
        allowed_origins,
        metrics_listen,
        tls: Box::new(move || match tls {
            TlsConfig::Off => Ok(None),
            TlsConfig::Files(files) => Ok(Some(tls::from_files(&files.certificate, &files.key)?)),
        }),
    })
}

/// What `serve` and `first-token` have in common.
fn base(data_dir: PathBuf, hsm: HsmConfig) -> Base {
    Base {
        dev: false,
        data_dir,
        token: Box::new(move |_| Ok(hsm.open()?)),
        // It is told once it exists; until it is used, `first-token` mints another.
        keep_token: Box::new(|_| Ok(())),
    }
}

/// Mints the first admin's token anew, for an operator to whom the one of the first start was not shown.
/// Only while no credential has been used: from then on somebody may make tokens.
///
/// # Errors
/// [`RunError`]; [`RunError::Refused`] when a credential was used.
pub fn first_token(config: &Path) -> Result<Zeroizing<String>, RunError> {
    let config = Config::read(config)?;
    prepare(&config)?;
    let Config { data_dir, hsm, .. } = config;
    rt::System::new().block_on(async move {
        // It takes the folder's lock, so it does not run beside a server.
        let opened = start::open(base(data_dir, hsm), Installed::Yes).await?;
        let token = mint_first_token(&opened).await;
        // Whatever came of it is to be in the log's files.
        let stopped = opened.sequencer.stop().await;
        let token = token?;
        stopped?;
        Ok(token)
    })
}

/// The rule is strict on purpose: access to the machine must not become a way to admin rights on an
/// installation that is in use.
async fn mint_first_token(opened: &Opened) -> Result<Zeroizing<String>, RunError> {
    if opened.history.shows_a_credential().await.map_err(|_| RunError::History)? {
        return Err(RunError::Refused(
            "a credential of this installation was used already: whoever has it can make tokens",
        ));
    }
    engine_start::renew_first_token(&opened.engine).await.map_err(RunError::Engine)
}
