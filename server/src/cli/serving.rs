//! Commands that start a server or ask about it: `dev`, `serve`, `env`, `status`, and what describes the
//! program itself.

use std::{net::SocketAddr, path::PathBuf};

use clap::Subcommand;
use keyhaven_shared::operation::Operation;
use serde_json::json;

use super::{
    client::Client,
    completions,
    error::CliError,
    output::{Output, table},
};
use crate::{
    dev::{self, DevOptions},
    serve,
};

// `Dev`, `Serve` and `FirstToken` open the data folder themselves, so they take its lock; the
// others may run beside a server.
#[derive(Subcommand)]
pub(super) enum ServingCommand {
    /// Start a server for this machine: SoftHSM, SQLite and a CA of its own, with nothing to configure.
    Dev {
        /// Where everything is kept; made when it is not there.
        #[arg(long, default_value = "keyhaven-dev")]
        data_dir: PathBuf,
        /// A loopback address; port 0 takes any free one.
        #[arg(long, default_value = "127.0.0.1:8443")]
        listen: SocketAddr,
        /// The origin of a web page that may call the API, such as http://localhost:5173; may be repeated.
        #[arg(long = "allow-origin", value_name = "ORIGIN")]
        allowed_origins: Vec<String>,
    },
    /// Start a server by a configuration file (see examples/keyhaven.toml).
    Serve {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Mint the first admin token anew, if it was lost before it, or any other credential, was used.
    FirstToken {
        /// The configuration file of the server, which must not be running.
        #[arg(long)]
        config: PathBuf,
    },
    /// Print shell exports for a dev server: eval "$(keyhaven env)"
    Env {
        /// The dev server's data folder.
        #[arg(long, default_value = "keyhaven-dev")]
        data_dir: PathBuf,
    },
    /// Ask the server whether it is ready: its HSM and its store.
    Status,
    /// List every operation that policies and the audit log name.
    Operations,
    /// Print the API's OpenAPI document.
    Openapi,
    /// Print a completion script: keyhaven completions bash > /etc/bash_completion.d/keyhaven
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Runs one of them. `dev` and `serve` return only when the process was told to end.
pub(super) fn run(command: ServingCommand, output: &Output) -> Result<(), CliError> {
    match command {
        ServingCommand::Dev { data_dir, listen, allowed_origins } => {
            dev::run(&DevOptions { data_dir, listen, allowed_origins }).map_err(CliError::new)
        }
        ServingCommand::Serve { config } => serve::run(&config).map_err(CliError::new),
        ServingCommand::FirstToken { config } => first_token(&config, output),
        ServingCommand::Env { data_dir } => env(&data_dir, output),
        ServingCommand::Status => status(output),
        ServingCommand::Operations => {
            let rows: Vec<_> = Operation::ALL
                .iter()
                .map(|operation| [operation.to_string(), operation.summary().to_owned()])
                .collect();
            let named = |[name, summary]: &[String; 2]| json!({ "name": name, "summary": summary });
            let document: Vec<_> = rows.iter().map(named).collect();
            output.show(&document, |_| table(["OPERATION", "WHAT IT DOES"], &rows))
        }
        // Always JSON: the document is for programs, with `--json` or without.
        ServingCommand::Openapi => {
            let document = keyhaven_wire::openapi();
            let text = serde_json::to_string_pretty(&document).map_err(CliError::new)?;
            output.bytes(format!("{text}\n").as_bytes())
        }
        ServingCommand::Completions { shell } => completions(shell, output),
    }
}

/// Prints the token alone, so that a script can take it without cutting it out of a sentence.
fn first_token(config: &std::path::Path, output: &Output) -> Result<(), CliError> {
    let token = serve::first_token(config).map_err(CliError::new)?;
    output.show(&json!({ "token": token.as_str() }), |_| format!("{}\n", token.as_str()))
}

/// Prints a dev server's address, authority, token and issuer key, for a shell to evaluate.
///
/// Any user who can read the data folder can do this: in dev mode the token lies there in a file.
fn env(data_dir: &std::path::Path, output: &Output) -> Result<(), CliError> {
    let exports = dev::exports(data_dir).map_err(CliError::new)?;
    let authority = exports.ca_certificate.to_string_lossy().into_owned();
    let pairs = [
        ("KEYHAVEN_ADDR", exports.address.as_str()),
        ("KEYHAVEN_CACERT", authority.as_str()),
        ("KEYHAVEN_TOKEN", exports.token.as_str()),
        ("KEYHAVEN_ISSUER", exports.issuer.as_str()),
    ];
    let document: serde_json::Map<_, _> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    // The output goes through `eval`, and the folder's path is the user's to choose: quoted,
    // nothing in it is run.
    output.show(&document, |_| {
        pairs.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect()
    })
}

/// A word that every POSIX shell takes as it is.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Says whether the server is ready. A server that is not makes the command fail, so that a script
/// can wait on it.
fn status(output: &Output) -> Result<(), CliError> {
    let (status, text) = Client::from_environment()?.page("/readyz")?;
    let document = json!({ "ready": status == 200, "status": status, "text": text });
    output.show(&document, |_| text.clone())?;
    if status == 200 { Ok(()) } else { Err(CliError::new("the server is not ready")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_leaves_nothing_for_the_shell_to_do() {
        assert_eq!(quoted("a b$(c)`d`"), "'a b$(c)`d`'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_real_shell_reads_back_what_was_quoted() {
        for value in ["", "a b", "it's", "'''", "$(id)`id`\\", "\"x\"", "a\nb", "é*?[!~#;&|<>"] {
            let script = format!("printf %s {}", quoted(value));
            let shell = std::process::Command::new("/bin/sh").args(["-c", &script]).output();
            assert_eq!(String::from_utf8(shell.unwrap().stdout).unwrap(), value, "{script}");
        }
    }
}
