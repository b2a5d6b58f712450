//! `keyhaven policy`.

use std::{io::Read, path::PathBuf};

use clap::Subcommand;
use keyhaven_engine::{port::store::Epoch, rules::Rules};
use keyhaven_shared::api::policies::{Policy, PolicyList, PutPolicy};

use super::{
    client::Client,
    error::CliError,
    output::{Output, table, time},
};

#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// Add or replace a policy: keyhaven policy put photo-users policy.cedar
    Put {
        /// The policy's name.
        name: String,
        /// A file of Cedar statements; - reads standard input.
        file: PathBuf,
    },
    /// List the policies.
    List,
    /// Print one policy.
    Show {
        /// Its name.
        name: String,
    },
    /// Remove a policy.
    Remove {
        /// Its name.
        name: String,
    },
    /// Print the Cedar schema that policies are checked against.
    Schema,
    /// Check a file without a server: keyhaven policy check policy.cedar
    Check {
        /// A file of Cedar statements; - reads standard input.
        file: PathBuf,
    },
}

pub(super) fn run(command: PolicyCommand, output: &Output) -> Result<(), CliError> {
    match command {
        PolicyCommand::Schema => output.bytes(Rules::schema_text().as_bytes()),
        PolicyCommand::Check { file } => {
            let text = read(&file)?;
            let named = [("file".to_owned(), text.clone())];
            Rules::compile(Epoch::ABSENT, &named)
                .map_err(|error| CliError::new(error).with_snippet(&text))?;
            output.remark("The policy is valid.");
            Ok(())
        }
        PolicyCommand::Put { name, file } => {
            let put = PutPolicy { text: read(&file)? };
            let policy: Result<Policy, CliError> =
                Client::from_environment()?.put(&format!("/policies/{name}"), &put);
            let policy = policy.map_err(|error| error.with_snippet(&put.text))?;
            output.show(&policy, |policy| policy_table(std::slice::from_ref(policy)))
        }
        PolicyCommand::Remove { name } => {
            let () = Client::from_environment()?.delete(&format!("/policies/{name}"))?;
            output.remark(&format!("Removed `{name}`."));
            Ok(())
        }
        PolicyCommand::List => {
            let list: PolicyList = Client::from_environment()?.get("/policies")?;
            output.show(&list, |list| policy_table(&list.policies))
        }
        PolicyCommand::Show { name } => {
            let list: PolicyList = Client::from_environment()?.get("/policies")?;
            let policy = list.policies.into_iter().find(|policy| policy.name == name);
            let policy = policy.ok_or_else(|| {
                CliError::new("no such policy").with_next("list them with: keyhaven policy list")
            })?;
            output.show(&policy, |policy| policy.text.clone())
        }
    }
}

fn read(file: &PathBuf) -> Result<String, CliError> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().lock().take(1024 * 1024).read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
        .map_err(|error| CliError::new(format_args!("cannot read `{}`: {error}", file.display())))
}

fn policy_table(policies: &[Policy]) -> String {
    let row = |policy: &Policy| {
        let first = policy.text.lines().find(|line| !line.trim_start().starts_with("//"));
        let first: String = first.unwrap_or_default().chars().take(60).collect();
        [policy.name.clone(), time(policy.updated_at), first]
    };
    table(["POLICY", "UPDATED (UTC)", "BEGINS"], &policies.iter().map(row).collect::<Vec<_>>())
}
