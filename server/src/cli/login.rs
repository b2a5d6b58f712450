//! `keyhaven login` and `logout`: a token of an identity provider, fetched for whoever sits at a terminal and
//! kept for the commands that follow.

mod device_code;
mod kept;

use std::{path::PathBuf, thread};

use clap::Args;
use keyhaven_engine::port::environment::Environment;
use keyhaven_shared::jwt::UnverifiedToken;
use serde::Serialize;
use zeroize::Zeroizing;

use self::device_code::{Asked, Provider};
pub(super) use self::kept::{Kept, token_for};
use super::{
    client,
    error::CliError,
    output::{Output, time},
};
use crate::environment::SystemEnvironment;

// No password is asked for, and no secret of a client is an argument: a command line is a public client.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LoginArgs {
    /// The identity provider: the `issuer` under [[oidc]] in the server's configuration.
    #[arg(long)]
    issuer: String,
    /// The id under which this command line is registered there, as a public client with the device flow.
    #[arg(long)]
    client_id: String,
    /// What to ask for; some providers choose the token's audience by it.
    #[arg(long, default_value = "openid")]
    scope: String,
    /// The server's name at the provider (RFC 8707), where that is how the token gets its audience.
    #[arg(long)]
    resource: Option<String>,
    /// The same for providers that call it `audience`.
    #[arg(long)]
    audience: Option<String>,
    /// PEM of the authorities that may vouch for the provider.
    #[arg(long, default_value = "/etc/ssl/certs/ca-certificates.crt")]
    ca: PathBuf,
}

const EXAMPLES: &str = "You are shown an address and a code; open it in any browser, on any machine, and log in there. The token is
kept in a file that only you can read, and used for the server at KEYHAVEN_ADDR until it expires or you run
`keyhaven logout`. KEYHAVEN_TOKEN, where it is set, wins over it.

Example:
  export KEYHAVEN_ADDR=https://keyhaven.example:8443 KEYHAVEN_CACERT=ca.pem
  keyhaven login --issuer https://login.example/realms/staff --client-id keyhaven-cli --resource keyhaven

Which principal you are is for an administrator to say, once: keyhaven identity bind NAME --issuer … --subject …";

/// What is told of a login; not the token.
#[derive(Serialize)]
struct LoggedIn {
    server: String,
    issuer: String,
    subject: String,
    expires_at: u64,
}

/// Runs `login`.
pub(super) fn login(args: LoginArgs, output: &Output) -> Result<(), CliError> {
    let server = client::address()?;
    // Found out before somebody has logged in for nothing.
    kept::path()?;
    let provider = Provider::discover(&args.issuer, &args.ca)?;
    let LoginArgs { issuer, client_id, scope, resource, audience, .. } = args;
    let asked = provider.ask(Asked { client_id, scope, resource, audience })?;
    // On standard error also with `--json`: without it nobody can log in.
    output.prompt(&format!(
        "To log in, open\n\n  {}\n\nand enter the code\n\n  {}\n",
        asked.address, asked.user_code
    ));
    let token = provider.wait(&asked, thread::sleep)?;
    let told = read(&token, &issuer)?;
    let kept = Kept { server, token, expires_at: told.expires_at };
    kept.write()?;
    let told = LoggedIn { server: kept.server.clone(), ..told };
    output.show(&told, |told| {
        format!(
            "Logged in to {} as subject {} of {}, until {} (UTC).",
            told.server,
            told.subject,
            told.issuer,
            time(told.expires_at)
        )
    })
}

/// Reads what a token says of itself, so that people see who they are. The server is who checks it.
fn read(token: &Zeroizing<String>, issuer: &str) -> Result<LoggedIn, CliError> {
    let read = UnverifiedToken::parse(token).map_err(|_| {
        CliError::new("the provider gave no signed JWT as its access token, and the server takes no other").with_next(
            "name the server's audience with --resource, --audience or --scope, as the provider wants it",
        )
    })?;
    let claims = read.claims;
    if claims.issuer != issuer {
        return Err(CliError::new(format_args!(
            "the token is of another issuer: {}",
            claims.issuer
        )));
    }
    if claims.expires_at <= SystemEnvironment.now_ms() / 1000 {
        return Err(CliError::new("the token has expired already")
            .with_next("is the clock of this machine right?"));
    }
    let (subject, expires_at) = (claims.subject, claims.expires_at);
    Ok(LoggedIn { server: String::new(), issuer: claims.issuer, subject, expires_at })
}

/// Runs `logout`: forgets the token. Nobody is asked, so it works without a network.
pub(super) fn logout(output: &Output) -> Result<(), CliError> {
    if kept::forget()? {
        output.remark(
            "Logged out: the token is deleted. A copy of it would be good until it expires.",
        );
    } else {
        output.remark("Nobody was logged in.");
    }
    Ok(())
}
