//! `keyhaven serve`: a server by a configuration file.

use std::path::Path;

use actix_web::rt;

use crate::{
    config::{Config, TlsConfig},
    start::{self, Plan, RunError},
    telemetry,
    terminal::say,
    tls,
};

/// Serves until the process is told to end. The first start on an empty data folder prints the admin's
/// token to standard output, once.
///
/// # Errors
/// [`RunError`].
pub fn run(config: &Path) -> Result<(), RunError> {
    let config = Config::read(config)?;
    telemetry::start(
        config.log.format,
        config.log.filter.as_deref().unwrap_or(telemetry::USUAL_FILTER),
    )?;
    rt::System::new().block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), RunError> {
    let mut running = start::start(plan(config)).await?;
    if let Some(token) = running.admin_token.take() {
        say("A new installation. The admin's API token, shown this once:\n");
        say(&token);
        say("\nMake principals and policies with it, then revoke it.\n");
    }
    tracing::info!(address = %running.address, "serving");
    running.until_told_to_end().await
}

fn plan(config: Config) -> Plan {
    let Config { listen, data_dir, allowed_origins, metrics_listen, hsm, tls, log: _ } = config;
    Plan {
        dev: false,
        listen,
        data_dir,
        allowed_origins,
        metrics_listen,
        token: Box::new(move || Ok(hsm.open()?)),
        tls: Box::new(move || match tls {
            TlsConfig::Off => Ok(None),
            TlsConfig::Files(files) => Ok(Some(tls::from_files(&files.certificate, &files.key)?)),
        }),
    }
}
