//! `keyhaven identity`: which principal somebody is whom an identity provider vouches for.

use clap::Subcommand;
use keyhaven_shared::api::{
    identities::{BindIdentity, Identity, IdentityList},
    keys::Empty,
};

use super::{
    client::{Client, segment},
    error::CliError,
    output::{Output, table, time},
};

#[derive(Subcommand)]
pub(super) enum IdentityCommand {
    /// Let a principal come by an identity provider's tokens as well.
    ///
    /// An identity is exactly an issuer and a subject. From then on a token that this issuer signed for this
    /// subject, sent as `Authorization: Bearer …`, is this principal; no e-mail address, group or other claim
    /// of a token counts. One identity is one principal; a principal may have several identities.
    ///
    /// The issuer must also stand in the server's configuration, under [[oidc]], or its tokens are refused.
    #[command(after_help = BIND_EXAMPLES)]
    Bind {
        /// The principal's name; `keyhaven principal list` shows them.
        principal: String,
        /// What the tokens have as `iss`, byte for byte: https://login.example/realms/staff
        #[arg(long)]
        issuer: String,
        /// What the tokens have as `sub`, byte for byte. It is the provider's own id, not an e-mail address.
        #[arg(long, allow_hyphen_values = true)]
        subject: String,
    },
    /// List which identities are which principals.
    List,
    /// End an identity's meaning: it is nobody's from then on, and requests under way are refused.
    Unbind {
        /// The identity's id, as `keyhaven identity list` and the audit log have it.
        id: String,
    },
}

const BIND_EXAMPLES: &str = "Examples:
  keyhaven identity bind ann --issuer https://login.example/realms/staff --subject 7f3c0a
  keyhaven identity bind ci --issuer https://token.actions.example --subject repo:acme/shop:ref:refs/heads/main";

/// Runs an `identity` command.
pub(super) fn run(
    command: IdentityCommand,
    client: &Client,
    output: &Output,
) -> Result<(), CliError> {
    let identity: Identity = match command {
        IdentityCommand::Bind { principal, issuer, subject } => {
            client.post("/identities", &BindIdentity { principal, issuer, subject })?
        }
        IdentityCommand::Unbind { id } => {
            client.post(&format!("/identities/{}/unbind", segment(&id)), &Empty {})?
        }
        IdentityCommand::List => return list(client, output),
    };
    output.show(&identity, |one| identity_table(std::slice::from_ref(one)))
}

/// All identities, page after page.
fn list(client: &Client, output: &Output) -> Result<(), CliError> {
    let mut all = IdentityList { identities: vec![], next: None };
    loop {
        let after =
            all.next.take().map(|next| format!("?after={}", segment(&next))).unwrap_or_default();
        let page: IdentityList = client.get(&format!("/identities{after}"))?;
        all.identities.extend(page.identities);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    output.show(&all, |all| identity_table(&all.identities))
}

/// The columns of `identity list`.
fn identity_table(identities: &[Identity]) -> String {
    let row = |identity: &Identity| {
        let Identity { id, principal, issuer, subject, created_at } = identity;
        let [principal, issuer, subject, id] =
            [principal, issuer, subject, id].map(ToString::to_string);
        [principal, issuer, subject, time(*created_at), id]
    };
    let rows: Vec<_> = identities.iter().map(row).collect();
    table(["PRINCIPAL", "ISSUER", "SUBJECT", "BOUND (UTC)", "ID"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_shown_with_whose_they_are() {
        let identity = Identity {
            id: "0f".to_owned(),
            principal: "ann".to_owned(),
            issuer: "https://a".to_owned(),
            subject: "7".to_owned(),
            created_at: 0,
        };
        assert_eq!(
            identity_table(&[identity]),
            "PRINCIPAL  ISSUER     SUBJECT  BOUND (UTC)          ID\n\
             ann        https://a  7        1970-01-01 00:00:00  0f\n"
        );
    }
}
