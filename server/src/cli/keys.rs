//! `keyhaven keyring` and `keyhaven key`.

use std::io::{IsTerminal, Write};

use clap::{Args, Subcommand};
use keyhaven_shared::api::{
    StringMap,
    keys::{
        CreateKey, CreateKeyring, Empty, Key, KeyList, Keyring, KeyringList, ScheduleDestruction,
        TagKey,
    },
};

use super::{
    client::{Client, segment},
    error::CliError,
    output::{Output, table, time},
};

// There is no command to remove a keyring. Its keys are destroyed one by one, and each of them
// waits its days.
#[derive(Subcommand)]
pub(super) enum KeyringCommand {
    /// Make a keyring: keyhaven keyring create app
    Create {
        /// 1 to 63 of a-z, 0-9, `.`, `_` and `-`.
        name: String,
    },
    /// List the keyrings.
    List,
    /// Tell about one keyring.
    #[command(alias = "show")]
    Describe {
        /// Its name.
        name: String,
    },
}

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key: keyhaven key create photos --keyring app --distribution data-keys
    Create(CreateArgs),
    /// List the keys of a keyring that you may describe.
    List {
        /// The keyring.
        #[arg(long, default_value = "default")]
        keyring: String,
    },
    /// Tell about one key.
    #[command(alias = "show")]
    Describe {
        /// Alias, keyring:alias, or id.
        key: String,
    },
    /// Make a new version, which new encryptions use; older versions still decrypt.
    Rotate {
        /// Alias, keyring:alias, or id.
        key: String,
    },
    /// Let a disabled key be used again.
    Enable {
        /// Alias, keyring:alias, or id.
        key: String,
    },
    /// Stop every use of a key, everywhere, before this returns.
    Disable {
        /// Alias, keyring:alias, or id.
        key: String,
    },
    /// Stop every use, and destroy the key for good after a waiting time.
    #[command(alias = "destroy")]
    ScheduleDestruction(DestructionArgs),
    /// Take a key back from scheduled destruction; it is then disabled.
    CancelDestruction {
        /// Alias, keyring:alias, or id.
        key: String,
    },
    /// Give a key another alias, or move an alias to it.
    SetAlias {
        /// Alias, keyring:alias, or id.
        key: String,
        /// The new alias.
        alias: String,
    },
    /// Take an alias from a key.
    RemoveAlias {
        /// Alias, keyring:alias, or id.
        key: String,
        /// The alias to take.
        alias: String,
    },
    /// Replace a key's tags: keyhaven key tag photos team=web stage=prod
    Tag {
        /// Alias, keyring:alias, or id.
        key: String,
        /// All tags that it is to have, as name=value.
        #[arg(value_parser = pair)]
        tags: Vec<(String, String)>,
    },
}

// Spec, distribution and offline grace stay as they are made: no command below changes them.
#[derive(Args)]
pub(super) struct CreateArgs {
    /// The key's first alias.
    alias: String,
    /// The keyring to make it in.
    #[arg(long, default_value = "default")]
    keyring: String,
    /// Algorithm and size.
    #[arg(long, default_value = "aes-256-gcm")]
    spec: String,
    /// What may leave the server: none, or data-keys (each sealed to one device).
    #[arg(long, default_value = "none")]
    distribution: String,
    /// The longest that a device may go on without the server, in seconds (at most 604800, 7 days).
    #[arg(long, default_value_t = 0)]
    max_offline_grace_s: u32,
    /// A label that policies can see, as name=value; may be repeated.
    #[arg(long = "tag", value_parser = pair)]
    tags: Vec<(String, String)>,
}

// The server checks the range of days and who may skip them; this line only carries the wish.
#[derive(Args)]
pub(super) struct DestructionArgs {
    /// Alias, keyring:alias, or id.
    key: String,
    /// Days to wait, 7 to 30.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Destroy at once; a dev server only.
    #[arg(long, conflicts_with = "days")]
    now: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// Reads `name=value`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    // At the first sign: a value may have more of them, a name none.
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("write it as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A map of pairs; a name given twice is an error, not a choice.
pub(super) fn map(pairs: Vec<(String, String)>) -> Result<StringMap, CliError> {
    let mut map = StringMap::new();
    for (name, value) in pairs {
        if map.insert(name.clone(), value).is_some() {
            return Err(CliError::new(format_args!("`{name}` is given twice")));
        }
    }
    Ok(map)
}

/// Runs a `keyring` command.
pub(super) fn run_keyring(
    command: KeyringCommand,
    client: &Client,
    output: &Output,
) -> Result<(), CliError> {
    match command {
        KeyringCommand::Create { name } => {
            let keyring = client.make("/keyrings", &CreateKeyring { name })?;
            output.show(&keyring, one_keyring)
        }
        KeyringCommand::Describe { name } => {
            output.show(&client.get(&format!("/keyrings/{}", segment(&name)))?, one_keyring)
        }
        KeyringCommand::List => {
            let mut all = KeyringList { keyrings: vec![], next: None };
            loop {
                let after = all
                    .next
                    .take()
                    .map(|next| format!("?after={}", segment(&next)))
                    .unwrap_or_default();
                let page: KeyringList = client.get(&format!("/keyrings{after}"))?;
                all.keyrings.extend(page.keyrings);
                all.next = page.next;
                if all.next.is_none() {
                    break;
                }
            }
            output.show(&all, |all| keyring_table(&all.keyrings))
        }
    }
}

/// A single keyring is shown as a list of one, in the same columns.
fn one_keyring(keyring: &Keyring) -> String {
    keyring_table(std::slice::from_ref(keyring))
}

fn keyring_table(keyrings: &[Keyring]) -> String {
    let row = |keyring: &Keyring| {
        let (name, id) = (keyring.name.clone(), keyring.id.clone());
        [name, id, keyring.root_epoch.to_string(), time(keyring.created_at)]
    };
    table(["KEYRING", "ID", "ROOT", "CREATED (UTC)"], &keyrings.iter().map(row).collect::<Vec<_>>())
}

/// Runs a `key` command. Each answers with the key as it is afterwards, so a script sees what
/// became of it.
pub(super) fn run_key(
    command: KeyCommand,
    client: &Client,
    output: &Output,
) -> Result<(), CliError> {
    let act =
        |key: &str, act: &str| client.post(&format!("/keys/{}/{act}", segment(key)), &Empty {});
    let key: Key = match command {
        KeyCommand::Create(args) => client.make("/keys", &create(args)?)?,
        KeyCommand::List { keyring } => return list(&keyring, client, output),
        KeyCommand::Describe { key } => client.get(&format!("/keys/{}", segment(&key)))?,
        KeyCommand::Rotate { key } => act(&key, "rotate")?,
        KeyCommand::Enable { key } => act(&key, "enable")?,
        KeyCommand::Disable { key } => act(&key, "disable")?,
        KeyCommand::ScheduleDestruction(args) => schedule(&args, client, output)?,
        KeyCommand::CancelDestruction { key } => act(&key, "cancel-destruction")?,
        KeyCommand::SetAlias { key, alias } => client
            .put(&format!("/keys/{}/aliases/{}", segment(&key), segment(&alias)), &Empty {})?,
        KeyCommand::RemoveAlias { key, alias } => {
            client.delete(&format!("/keys/{}/aliases/{}", segment(&key), segment(&alias)))?
        }
        KeyCommand::Tag { key, tags } => {
            client.put(&format!("/keys/{}/tags", segment(&key)), &TagKey { tags: map(tags)? })?
        }
    };
    output.show(&key, |key| key_table(std::slice::from_ref(key)))
}

/// The document that asks for a key. Specs and states are not checked here: the server knows which
/// there are, and says so.
fn create(args: CreateArgs) -> Result<CreateKey, CliError> {
    Ok(CreateKey {
        keyring: args.keyring,
        alias: Some(args.alias),
        spec: args.spec,
        distribution: args.distribution,
        max_offline_grace_s: args.max_offline_grace_s,
        tags: map(args.tags)?,
    })
}

/// All keys of a keyring, page after page. Keys made meanwhile may be missing; none is told twice.
fn list(keyring: &str, client: &Client, output: &Output) -> Result<(), CliError> {
    let mut all = KeyList { keys: vec![], next: None };
    loop {
        let after =
            all.next.take().map(|next| format!("&after={}", segment(&next))).unwrap_or_default();
        let page: KeyList = client.get(&format!("/keys?keyring={}{after}", segment(keyring)))?;
        all.keys.extend(page.keys);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    output.show(&all, |all| key_table(&all.keys))
}

/// Destroying at once cannot be taken back, so a person types the key's name first.
/// The server refuses it all the same unless it is a dev server. With `--yes`, or when nobody is at
/// the terminal, nothing is asked: a script that says `--now` means it.
fn schedule(args: &DestructionArgs, client: &Client, output: &Output) -> Result<Key, CliError> {
    let asks = args.now && !args.yes && std::io::stdin().is_terminal();
    if asks {
        let mut err = std::io::stderr().lock();
        // Not by `Output`: a question waits on its line, and must be seen with `--json`, too.
        write!(err, "This destroys `{}` for good. Type its name to go on: ", args.key)?;
        err.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if answer.trim() != args.key {
            return Err(CliError::new("that is not its name: nothing was done"));
        }
    }
    // With `now` the days do not count, but the document still carries a number that is in range.
    let waiting_days = if args.now { 7 } else { args.days };
    let schedule = ScheduleDestruction { waiting_days, now: args.now };
    let key =
        client.post(&format!("/keys/{}/schedule-destruction", segment(&args.key)), &schedule)?;
    if args.now {
        output.remark(
            "Backups of the database from before this are of no use any more: take a new one.",
        );
    }
    Ok(key)
}

/// The columns of `key list`. A key without an alias has an empty first cell; its id names it.
fn key_table(keys: &[Key]) -> String {
    let row = |key: &Key| {
        let state = match key.destruction_at {
            Some(at) => format!("{} {}", key.state, time(at)),
            None => key.state.clone(),
        };
        let aliases: Vec<String> =
            key.aliases.iter().map(|alias| format!("{}:{alias}", key.keyring)).collect();
        [
            aliases.join(" "),
            key.id.clone(),
            state,
            key.primary_version.to_string(),
            key.spec.clone(),
            key.distribution.clone(),
        ]
    };
    let heads = ["KEY", "ID", "STATE", "VERSION", "SPEC", "DISTRIBUTION"];
    table(heads, &keys.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(aliases: &[&str], state: &str, destruction_at: Option<u64>) -> Key {
        Key {
            id: "id-1".to_owned(),
            keyring: "app".to_owned(),
            aliases: aliases.iter().map(ToString::to_string).collect(),
            spec: "aes-256-gcm".to_owned(),
            usage: "encrypt-decrypt".to_owned(),
            origin: "keyhaven".to_owned(),
            protection: "software".to_owned(),
            distribution: "none".to_owned(),
            state: state.to_owned(),
            destruction_at,
            primary_version: 2,
            versions: vec![],
            max_offline_grace_s: 0,
            tags: StringMap::new(),
            created_at: 0,
        }
    }

    #[test]
    fn a_pair_is_split_at_its_first_equals_sign() {
        for (text, name, value) in [
            ("a=b", "a", "b"),
            ("a=", "a", ""),
            ("a=b=c", "a", "b=c"),
            ("a==", "a", "="),
            ("é= ", "é", " "),
        ] {
            assert_eq!(pair(text), Ok((name.to_owned(), value.to_owned())), "{text}");
        }
        for bad in ["", "a", "=", "=b", "==b"] {
            assert_eq!(pair(bad), Err("write it as name=value".to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_name_given_twice_is_an_error_and_not_a_choice() {
        let pairs = |names: &[&str]| -> Vec<_> {
            names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect()
        };
        assert_eq!(map(pairs(&["a", "b"])).ok().unwrap().0.len(), 2);
        assert!(map(vec![]).ok().unwrap().0.is_empty());
        let error = map(pairs(&["a", "b", "a"])).err().unwrap();
        assert_eq!(error.to_string(), "`a` is given twice");
    }

    #[test]
    fn a_new_key_is_asked_for_as_the_line_says() {
        let args = |tags| CreateArgs {
            alias: "photos".to_owned(),
            keyring: "app".to_owned(),
            spec: "aes-256-gcm".to_owned(),
            distribution: "data-keys".to_owned(),
            max_offline_grace_s: 60,
            tags,
        };
        let tag = ("team".to_owned(), "web".to_owned());
        let asked = serde_json::to_value(create(args(vec![tag.clone()])).ok().unwrap()).unwrap();
        let expected = serde_json::json!({ "alias": "photos", "keyring": "app",
            "spec": "aes-256-gcm", "distribution": "data-keys", "max_offline_grace_s": 60,
            "tags": { "team": "web" } });
        assert_eq!(asked, expected);
        assert!(create(args(vec![tag.clone(), tag])).is_err());
    }

    #[test]
    fn keys_are_shown_by_all_their_names_with_state_and_end() {
        let scheduled = key(&[], "pending-destruction", Some(86_400));
        let text = key_table(&[key(&["a", "b"], "enabled", None), scheduled]);
        let cells = |line: &str| -> Vec<String> {
            let cells = line.split("  ").map(|cell| cell.trim().to_owned());
            cells.filter(|cell| !cell.is_empty()).collect()
        };
        let lines: Vec<_> = text.lines().map(cells).collect();
        assert_eq!(lines[0], ["KEY", "ID", "STATE", "VERSION", "SPEC", "DISTRIBUTION"]);
        assert_eq!(lines[1], ["app:a app:b", "id-1", "enabled", "2", "aes-256-gcm", "none"]);
        let pending = "pending-destruction 1970-01-02 00:00:00";
        assert_eq!(lines[2], ["id-1", pending, "2", "aes-256-gcm", "none"]);
    }

    #[test]
    fn keyrings_are_shown_with_their_roots_epoch() {
        let (name, id) = ("app".to_owned(), "i".to_owned());
        assert_eq!(
            one_keyring(&Keyring { name, id, root_epoch: 3, created_at: 0 }),
            "KEYRING  ID  ROOT  CREATED (UTC)\napp      i   3     1970-01-01 00:00:00\n"
        );
    }
}
