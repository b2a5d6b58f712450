//! `keyhaven policy`.
//!
//! A policy is checked by the same code here and on the server, so `check` says beforehand what
//! `put` would say.

use std::{io::Read, path::PathBuf};

use clap::Subcommand;
use keyhaven_engine::{port::store::Epoch, rules::Rules};
use keyhaven_shared::api::policies::{Policy, PolicyList, PutPolicy};

use super::{
    client::{Client, segment},
    error::CliError,
    output::{Output, table, time},
};

// `Schema` and `Check` need neither a server nor a token.
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

/// Runs a `policy` command.
pub(super) fn run(command: PolicyCommand, output: &Output) -> Result<(), CliError> {
    match command {
        PolicyCommand::Schema => output.bytes(Rules::schema_text().as_bytes()),
        PolicyCommand::Check { file } => {
            let text = read(&file)?;
            let named = [("file".to_owned(), text.clone())];
            // The epoch plays no part in whether a policy is valid.
            Rules::compile(Epoch::ABSENT, &named)
                .map_err(|error| CliError::new(error).with_snippet(&text))?;
            output.remark("The policy is valid.");
            Ok(())
        }
        PolicyCommand::Put { name, file } => {
            let put = PutPolicy { text: read(&file)? };
            let policy: Result<Policy, CliError> = Client::from_environment()?
                .make_named(&format!("/policies/{}", segment(&name)), &put);
            // The server names line and column; the text it is about is at hand here.
            let policy = policy.map_err(|error| error.with_snippet(&put.text))?;
            output.show(&policy, |policy| policy_table(std::slice::from_ref(policy)))
        }
        PolicyCommand::Remove { name } => {
            let () =
                Client::from_environment()?.delete(&format!("/policies/{}", segment(&name)))?;
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

/// A policy's text, from a file or from standard input.
const MOST: u64 = 1024 * 1024;

fn read(file: &PathBuf) -> Result<String, CliError> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        // One byte more than is read, so that what is too long is not judged by its beginning.
        std::io::stdin().lock().take(MOST + 1).read_to_string(&mut text)?;
        if u64::try_from(text.len()).is_ok_and(|length| length > MOST) {
            return Err(CliError::new("the policy is longer than 1 MiB, which no server takes"));
        }
        return Ok(text);
    }
    std::fs::read_to_string(file)
        .map_err(|error| CliError::new(format_args!("cannot read `{}`: {error}", file.display())))
}

/// The columns of `policy list`, with the first line of each that is no comment.
fn policy_table(policies: &[Policy]) -> String {
    let row = |policy: &Policy| {
        let first = policy.text.lines().find(|line| !line.trim_start().starts_with("//"));
        let first: String = first.unwrap_or_default().chars().take(60).collect();
        [policy.name.clone(), time(policy.updated_at), first]
    };
    table(["POLICY", "UPDATED (UTC)", "BEGINS"], &policies.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_shown_by_its_first_line_that_is_no_comment() {
        let policy =
            |text: &str| Policy { name: "p".to_owned(), text: text.to_owned(), updated_at: 0 };
        for (text, begins) in [
            ("permit(principal, action, resource);", "permit(principal, action, resource);"),
            ("// a comment\n  // another\nforbid(principal);", "forbid(principal);"),
            ("// only a comment", ""),
            ("", ""),
        ] {
            let table = policy_table(&[policy(text)]);
            let line = format!("p       1970-01-01 00:00:00  {begins}");
            assert_eq!(table.lines().nth(1), Some(line.trim_end()), "{text}");
        }
        let long = policy_table(&[policy(&"é".repeat(200))]);
        assert_eq!(long.matches('é').count(), 60);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gone.cedar");
        let error = read(&file).err().unwrap().to_string();
        assert!(error.starts_with("cannot read `") && error.contains("gone.cedar"), "{error}");
        std::fs::write(&file, "permit(principal, action, resource);").unwrap();
        assert_eq!(read(&file).ok().unwrap(), "permit(principal, action, resource);");
    }

    #[test]
    fn checking_points_at_the_fault_and_needs_no_server() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.cedar");
        let check = |text: &str| {
            std::fs::write(&file, text).unwrap();
            run(PolicyCommand::Check { file: file.clone() }, &Output::new(true))
        };
        assert!(check("permit(principal, action, resource);").is_ok());
        let error = check("permit(principal, action, resource);\nforbid(who);\n").err().unwrap();
        let error = error.to_string();
        assert!(error.contains("   2 | forbid(who);") && error.contains('^'), "{error}");
        let unknown = "permit(principal, action == Keyhaven::Action::\"Fly\", resource);";
        assert!(check(unknown).is_err(), "an operation that is none");
    }
}
