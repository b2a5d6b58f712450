//! The command line. Server commands start one; all others are clients of its HTTP API, and find it by
//! `KEYHAVEN_ADDR`, `KEYHAVEN_CACERT` and `KEYHAVEN_TOKEN`.
//!
//! A command that talks to a server is one request, or one for each page of a list. It adds no
//! rights: the server authenticates, authorizes and records it like any other client's. The exit
//! status is 0 when the command did what it says, 1 when it failed, and 2 when the line was not
//! understood.
//!
//! The doc comments of commands and options are what `--help` prints: they are written for users.
//! What a reader of this code should know stands in plain comments.

mod access;
mod attempts;
mod audit;
mod client;
mod crypto;
mod error;
mod export;
mod fsck;
mod identity;
mod keys;
mod login;
mod moment;
mod output;
mod policy;
mod serving;
mod snippet;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::{client::Client, error::CliError, output::Output};

/// Keyhaven: a key management system with root keys in your HSM.
// Doc comments in here are the text of `--help`.
#[derive(Parser)]
#[command(name = "keyhaven", version, about, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    /// Print JSON, as the API's documents have it.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// What `--help` ends with: the shortest way from nothing to a decrypted message.
const EXAMPLES: &str = "First steps:
  keyhaven dev &                                  a server for this machine, on a new data folder
  eval \"$(keyhaven env)\"                          lets every command below find it
  keyhaven key create photos --distribution data-keys
  echo hello | keyhaven encrypt photos | keyhaven decrypt photos
  keyhaven audit show

KEY is an alias in the keyring `default` (photos), keyring:alias (app:photos), or an id (UUID).";

// Flattened groups stand in the help as if they were written here. No variant carries a secret:
// tokens come from the environment, plaintext from standard input, since every user of a machine
// can read the arguments of its processes.
#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Serving(serving::ServingCommand),
    /// Make and look at keyrings: each has a root key of its own in the HSM.
    #[command(subcommand)]
    Keyring(keys::KeyringCommand),
    /// Make keys and lead them through their life.
    #[command(subcommand)]
    Key(keys::KeyCommand),
    #[command(flatten)]
    Crypto(crypto::CryptoCommand),
    /// Make users and services, and give them API tokens.
    #[command(subcommand)]
    Principal(access::PrincipalCommand),
    /// Log in at an identity provider, in a browser: the token is kept for the commands that follow.
    Login(login::LoginArgs),
    /// Delete the token that `keyhaven login` kept.
    Logout,
    /// Say which principals an identity provider's users are.
    #[command(subcommand)]
    Identity(identity::IdentityCommand),
    /// End API tokens.
    #[command(subcommand)]
    Token(access::TokenCommand),
    /// Look at enrolled devices, and revoke them.
    #[command(subcommand)]
    Device(access::DeviceCommand),
    /// Mint tickets with which a user's device uses a key.
    #[command(subcommand)]
    Ticket(access::TicketCommand),
    /// Mint one-time tokens with which a user's device enrols.
    #[command(subcommand)]
    EnrolmentToken(access::EnrolmentCommand),
    /// Say who may do what, in Cedar.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Read the audit log, and prove it complete and untouched.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Check every row of a data folder: was any edited, swapped, deleted, inserted or put back?
    Fsck(fsck::FsckArgs),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // A line that is not understood ends the process here, with usage on standard error.
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    match run(cli.command, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Hands the command to its module. A client is made only for commands that need a server: policies
/// can be checked, and a log verified, on a machine that has neither address nor token.
fn run(command: Command, output: &Output) -> Result<(), CliError> {
    match command {
        Command::Serving(command) => serving::run(command, output),
        Command::Keyring(command) => {
            keys::run_keyring(command, &Client::from_environment()?, output)
        }
        Command::Key(command) => keys::run_key(command, &Client::from_environment()?, output),
        Command::Crypto(command) => crypto::run(command, &Client::from_environment()?, output),
        Command::Principal(command) => {
            access::run_principal(command, &Client::from_environment()?, output)
        }
        Command::Login(args) => login::login(args, output),
        Command::Logout => login::logout(output),
        Command::Identity(command) => identity::run(command, &Client::from_environment()?, output),
        Command::Token(command) => access::run_token(command, &Client::from_environment()?, output),
        Command::Device(command) => {
            access::run_device(command, &Client::from_environment()?, output)
        }
        Command::Ticket(command) => {
            access::run_ticket(command, &Client::from_environment()?, output)
        }
        Command::EnrolmentToken(command) => {
            access::run_enrolment(command, &Client::from_environment()?, output)
        }
        Command::Policy(command) => policy::run(command, output),
        Command::Audit(command) => audit::run(command, output),
        Command::Fsck(args) => fsck::run(args, output),
    }
}

/// Prints a completion script for a shell.
fn completions(shell: clap_complete::Shell, output: &Output) -> Result<(), CliError> {
    use clap::CommandFactory;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "keyhaven", &mut script);
    output.bytes(&script)
}

#[cfg(test)]
mod tests;
