//! `keyhaven principal`, `token`, `device`, `ticket` and `enrolment-token`.
//!
//! Tokens and tickets are printed as the server gave them, once. The command keeps none, and writes
//! none to a file.

use clap::{Args, Subcommand};
use keyhaven_shared::api::{
    access::{CreatePrincipal, IssueToken, IssuedToken, Principal, PrincipalList, RevokedToken},
    delivery::{Device, DeviceList, EnrolmentToken, MintEnrolmentToken, MintTicket, Ticket},
    keys::Empty,
};

use super::{
    client::{Client, segment},
    error::CliError,
    keys::{map, pair},
    output::{Output, table, time},
};

// There is no removal: the audit log names principals, and a name used again would speak for two.
#[derive(Subcommand)]
pub(super) enum PrincipalCommand {
    /// Make a user or service: keyhaven principal create writer --group photo-users
    Create {
        /// 1 to 63 of a-z, 0-9, `.`, `_`, `@` and `-`.
        name: String,
        /// A group that policies can name; may be repeated.
        #[arg(long = "group")]
        groups: Vec<String>,
    },
    /// List the principals.
    List,
    /// Refuse a principal everything until it is enabled again.
    Disable {
        /// Its name.
        name: String,
    },
    /// Let a disabled principal act again.
    Enable {
        /// Its name.
        name: String,
    },
    /// Issue an API token for a principal; it is shown this once.
    Token {
        /// The principal's name.
        name: String,
        /// Days until it ends, 1 to 365.
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
}

// By id and not by the token, so that nobody need paste a secret to end it.
#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// End an API token for good, by its id.
    Revoke {
        /// The id: the part of the token between the dots.
        id: String,
    },
}

#[derive(Subcommand)]
pub(super) enum DeviceCommand {
    /// List enrolled devices.
    List,
    /// End a device's enrolment for good; its leases end at once.
    Revoke {
        /// The device's id.
        // One of 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
}

#[derive(Subcommand)]
pub(super) enum TicketCommand {
    /// Mint a ticket: keyhaven ticket mint photos --subject writer --context file=42
    Mint(TicketArgs),
}

// Bounds of time and uses are the server's to enforce; the defaults are the narrowest that are of
// use.
#[derive(Args)]
pub(super) struct TicketArgs {
    /// Alias, keyring:alias, or id.
    key: String,
    /// The principal it is for.
    #[arg(long)]
    subject: String,
    /// DeliverDataKey (encrypt) or UnsealDataKey (decrypt); may be repeated. Both when left out.
    #[arg(long = "operation")]
    operations: Vec<String>,
    /// A pair that the encryption context must have, as name=value; may be repeated.
    #[arg(long, value_parser = pair)]
    context: Vec<(String, String)>,
    /// Allow no other pairs in the context.
    #[arg(long)]
    exact: bool,
    /// The one device that may use it.
    #[arg(long, allow_hyphen_values = true)]
    device: Option<String>,
    /// How often it may be used.
    #[arg(long, default_value_t = 1)]
    uses: u32,
    /// Seconds until it ends, 1 to 3600.
    #[arg(long, default_value_t = 300)]
    expires_in_s: u32,
}

#[derive(Subcommand)]
pub(super) enum EnrolmentCommand {
    /// Mint a token with which one device of a user enrols, once.
    Mint {
        /// The principal (user) whose device it will be.
        #[arg(long)]
        subject: String,
        /// The page's origin, such as https://app.example; any when left out.
        #[arg(long)]
        origin: Option<String>,
        /// Seconds until it ends, 1 to 3600.
        #[arg(long, default_value_t = 300)]
        expires_in_s: u32,
    },
}

/// Runs a `principal` command.
pub(super) fn run_principal(
    command: PrincipalCommand,
    client: &Client,
    output: &Output,
) -> Result<(), CliError> {
    let act = |name: &str, act: &str| {
        client.post(&format!("/principals/{}/{act}", segment(name)), &Empty {})
    };
    let principal: Principal = match command {
        PrincipalCommand::Create { name, groups } => {
            client.make("/principals", &CreatePrincipal { name, groups })?
        }
        PrincipalCommand::Disable { name } => act(&name, "disable")?,
        PrincipalCommand::Enable { name } => act(&name, "enable")?,
        PrincipalCommand::List => return list_principals(client, output),
        PrincipalCommand::Token { name, days } => {
            let issue = IssueToken { expires_in_days: days };
            let issued = client.make(&format!("/principals/{}/tokens", segment(&name)), &issue)?;
            // The remark goes to standard error: the token alone is on standard output, for a pipe.
            output.remark("Keep this token safe: it is not shown again.");
            return output.show(&issued, |issued: &IssuedToken| issued.token.clone());
        }
    };
    output.show(&principal, |one| principal_table(std::slice::from_ref(one)))
}

/// All principals, page after page.
fn list_principals(client: &Client, output: &Output) -> Result<(), CliError> {
    let mut all = PrincipalList { principals: vec![], next: None };
    loop {
        let after =
            all.next.take().map(|next| format!("?after={}", segment(&next))).unwrap_or_default();
        let page: PrincipalList = client.get(&format!("/principals{after}"))?;
        all.principals.extend(page.principals);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    output.show(&all, |all| principal_table(&all.principals))
}

/// The columns of `principal list`.
fn principal_table(principals: &[Principal]) -> String {
    let row = |principal: &Principal| {
        let state = if principal.enabled { "enabled" } else { "disabled" };
        let (name, groups) = (principal.name.clone(), principal.groups.join(" "));
        [name, groups, state.to_owned(), time(principal.created_at)]
    };
    let rows: Vec<_> = principals.iter().map(row).collect();
    table(["PRINCIPAL", "GROUPS", "STATE", "CREATED (UTC)"], &rows)
}

/// Runs a `token` command. Revoking is in force everywhere when it returns.
pub(super) fn run_token(
    command: TokenCommand,
    client: &Client,
    output: &Output,
) -> Result<(), CliError> {
    let TokenCommand::Revoke { id } = command;
    let revoked: RevokedToken =
        client.post(&format!("/tokens/{}/revoke", segment(&id)), &Empty {})?;
    output.show(&revoked, |token| format!("{} revoked at {}", token.id, time(token.revoked_at)))
}

/// Runs a `device` command.
pub(super) fn run_device(
    command: DeviceCommand,
    client: &Client,
    output: &Output,
) -> Result<(), CliError> {
    let mut all = DeviceList { devices: vec![], next: None };
    if let DeviceCommand::Revoke { id } = command {
        let device: Device =
            client.post(&format!("/devices/{}/revoke", segment(&id)), &Empty {})?;
        return output.show(&device, |one| device_table(std::slice::from_ref(one)));
    }
    loop {
        let after =
            all.next.take().map(|next| format!("?after={}", segment(&next))).unwrap_or_default();
        let page: DeviceList = client.get(&format!("/devices{after}"))?;
        all.devices.extend(page.devices);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    output.show(&all, |all| device_table(&all.devices))
}

/// The columns of `device list`. The name is what the device's user gave it: it is escaped like all
/// text.
fn device_table(devices: &[Device]) -> String {
    let row = |device: &Device| {
        let state =
            device.revoked_at.map_or("enrolled".to_owned(), |at| format!("revoked {}", time(at)));
        let name = device.name.clone().unwrap_or_default();
        [device.device.clone(), device.owner.clone(), name, state, time(device.enrolled_at)]
    };
    let rows: Vec<_> = devices.iter().map(row).collect();
    table(["DEVICE", "OWNER", "NAME", "STATE", "ENROLLED (UTC)"], &rows)
}

/// Runs a `ticket` command: prints the ticket alone, a JWS in compact form (RFC 7515 §7.1).
pub(super) fn run_ticket(
    command: TicketCommand,
    client: &Client,
    output: &Output,
) -> Result<(), CliError> {
    let TicketCommand::Mint(args) = command;
    // Reading and writing is what a page usually needs of a key; each can be left out by naming the
    // other.
    let both = || vec!["DeliverDataKey".to_owned(), "UnsealDataKey".to_owned()];
    let mint = MintTicket {
        subject: args.subject,
        operations: if args.operations.is_empty() { both() } else { args.operations },
        context: map(args.context)?,
        context_exact: args.exact,
        device: args.device,
        uses: args.uses,
        expires_in_s: args.expires_in_s,
    };
    let ticket = client.make(&format!("/keys/{}/tickets", segment(&args.key)), &mint)?;
    output.show(&ticket, |ticket: &Ticket| ticket.ticket.clone())
}

/// Runs an `enrolment-token` command: prints the token alone.
pub(super) fn run_enrolment(
    command: EnrolmentCommand,
    client: &Client,
    output: &Output,
) -> Result<(), CliError> {
    let EnrolmentCommand::Mint { subject, origin, expires_in_s } = command;
    let mint = MintEnrolmentToken { subject, origin, expires_in_s };
    let minted = client.make("/enrolment-tokens", &mint)?;
    output.show(&minted, |minted: &EnrolmentToken| minted.token.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_shown_with_groups_and_state() {
        let principal = |name: &str, groups: &[&str], enabled| Principal {
            name: name.to_owned(),
            groups: groups.iter().map(ToString::to_string).collect(),
            enabled,
            created_at: 0,
        };
        let all = [principal("ann", &["a", "b"], true), principal("bob", &[], false)];
        assert_eq!(
            principal_table(&all),
            "PRINCIPAL  GROUPS  STATE     CREATED (UTC)\n\
             ann        a b     enabled   1970-01-01 00:00:00\n\
             bob                disabled  1970-01-01 00:00:00\n"
        );
    }

    #[test]
    fn devices_are_shown_with_the_time_of_their_end() {
        let device = |name: Option<&str>, revoked_at| Device {
            device: "d".to_owned(),
            owner: "ann".to_owned(),
            name: name.map(ToOwned::to_owned),
            enrolled_at: 0,
            revoked_at,
        };
        let text = device_table(&[device(Some("Laptop"), None), device(None, Some(86_400))]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("Laptop  enrolled "), "{text}");
        assert!(lines[2].contains("revoked 1970-01-02 00:00:00"), "{text}");
    }
}
