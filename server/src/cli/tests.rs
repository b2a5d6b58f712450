use clap::{Command as Tree, CommandFactory, error::ErrorKind, parser::ValueSource};

use super::*;

#[test]
fn the_command_tree_is_sound_and_every_command_has_help() {
    let mut command = Cli::command();
    command.build();
    command.clone().debug_assert();
    let mut stack = vec![command];
    while let Some(command) = stack.pop() {
        assert!(command.get_about().is_some(), "`{}` has no help", command.get_name());
        stack.extend(command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned());
    }
}

#[test]
fn every_argument_has_help_too() {
    let mut command = Cli::command();
    command.build();
    let mut stack = vec![command];
    while let Some(command) = stack.pop() {
        for argument in command.get_arguments() {
            let name = (command.get_name().to_owned(), argument.get_id().to_string());
            assert!(argument.get_help().is_some(), "{name:?} has no help");
        }
        stack.extend(command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned());
    }
}

/// What a line parses to: the command, then its arguments as `name=value`, defaults in brackets.
fn parsed(line: &str) -> Result<String, ErrorKind> {
    let words = std::iter::once("keyhaven").chain(line.split_whitespace());
    let tree = Cli::command();
    let matches = tree.clone().try_get_matches_from(words).map_err(|error| error.kind())?;
    let (mut tree, mut matches, mut told) = (&tree, &matches, Vec::new());
    while let Some((name, below)) = matches.subcommand() {
        told.push(name.to_owned());
        tree = tree.find_subcommand(name).unwrap();
        matches = below;
    }
    told.extend(tree.get_arguments().filter_map(|argument| shown(argument, matches)));
    Ok(told.join(" "))
}

fn shown(argument: &clap::Arg, matches: &clap::ArgMatches) -> Option<String> {
    let name = argument.get_id().as_str();
    let values: Vec<_> =
        matches.get_raw(name)?.map(|value| value.to_str().unwrap().to_owned()).collect();
    let text = format!("{name}={}", values.join(","));
    let usual = matches.value_source(name) == Some(ValueSource::DefaultValue);
    if usual && values == ["false"] {
        return None;
    }
    Some(if usual { format!("[{text}]") } else { text })
}

const LINES: &[(&str, &str)] = &[
    ("dev", "dev [data_dir=keyhaven-dev] [listen=127.0.0.1:8443]"),
    (
        "dev --data-dir d --listen [::1]:0 --allow-origin http://a --allow-origin http://b",
        "dev data_dir=d listen=[::1]:0 allowed_origins=http://a,http://b",
    ),
    ("serve --config keyhaven.toml", "serve config=keyhaven.toml"),
    ("env", "env [data_dir=keyhaven-dev]"),
    ("status", "status"),
    ("fsck", "fsck [data_dir=keyhaven-dev]"),
    ("fsck --config keyhaven.toml", "fsck [data_dir=keyhaven-dev] config=keyhaven.toml"),
    ("operations", "operations"),
    ("openapi", "openapi"),
    ("completions zsh", "completions shell=zsh"),
    ("keyring create app", "keyring create name=app"),
    ("keyring list", "keyring list"),
    ("keyring show app", "keyring describe name=app"),
    (
        "key create photos",
        "key create alias=photos [keyring=default] [spec=aes-256-gcm] [distribution=none] \
             [max_offline_grace_s=0]",
    ),
    (
        "key create photos --tag a=1 --tag b= --keyring app --distribution data-keys \
             --max-offline-grace-s 60",
        "key create alias=photos keyring=app [spec=aes-256-gcm] distribution=data-keys \
             max_offline_grace_s=60 tags=a=1,b=",
    ),
    ("key list", "key list [keyring=default]"),
    ("key list --keyring=app", "key list keyring=app"),
    ("key show app:photos", "key describe key=app:photos"),
    ("key rotate photos", "key rotate key=photos"),
    ("key enable photos", "key enable key=photos"),
    ("key disable photos", "key disable key=photos"),
    ("key destroy photos", "key schedule-destruction key=photos [days=30]"),
    ("key schedule-destruction photos --days 7", "key schedule-destruction key=photos days=7"),
    (
        "key destroy photos --now -y",
        "key schedule-destruction key=photos [days=30] now=true yes=true",
    ),
    ("key cancel-destruction photos", "key cancel-destruction key=photos"),
    ("key set-alias photos pictures", "key set-alias key=photos alias=pictures"),
    ("key remove-alias photos pictures", "key remove-alias key=photos alias=pictures"),
    ("key tag photos a=1 b=2=3", "key tag key=photos tags=a=1,b=2=3"),
    ("key tag photos", "key tag key=photos"),
    ("encrypt photos", "encrypt key=photos"),
    ("encrypt photos --context user=7 --context a=", "encrypt key=photos context=user=7,a="),
    ("decrypt photos --context=user=7", "decrypt key=photos context=user=7"),
    ("re-encrypt photos --to-key b", "re-encrypt key=photos to_key=b"),
    ("data-key photos", "data-key key=photos"),
    ("principal create ann", "principal create name=ann"),
    ("principal create a --group x --group y", "principal create name=a groups=x,y"),
    ("principal list", "principal list"),
    ("principal disable ann", "principal disable name=ann"),
    ("principal enable ann", "principal enable name=ann"),
    ("principal token ann", "principal token name=ann [days=90]"),
    ("principal token ann --days 1", "principal token name=ann days=1"),
    (
        "identity bind ann --issuer https://a --subject -7",
        "identity bind principal=ann issuer=https://a subject=-7",
    ),
    ("identity list", "identity list"),
    (
        "login --issuer https://a --client-id b",
        "login issuer=https://a client_id=b [scope=openid] [ca=/etc/ssl/certs/ca-certificates.crt]",
    ),
    (
        "login --issuer https://a --client-id b --scope c --resource d --audience e --ca f",
        "login issuer=https://a client_id=b scope=c resource=d audience=e ca=f",
    ),
    ("logout", "logout"),
    ("identity unbind 0f", "identity unbind id=0f"),
    ("token revoke abc", "token revoke id=abc"),
    ("device list", "device list"),
    ("device revoke abc", "device revoke id=abc"),
    ("device revoke -p", "device revoke id=-p"),
    (
        "ticket mint photos --subject ann",
        "ticket mint key=photos subject=ann [uses=1] [expires_in_s=300]",
    ),
    (
        "ticket mint photos --subject ann --operation DeliverDataKey --context f=1 --exact \
             --device -d --uses 2 --expires-in-s 60",
        "ticket mint key=photos subject=ann operations=DeliverDataKey context=f=1 exact=true \
             device=-d uses=2 expires_in_s=60",
    ),
    ("enrolment-token mint --subject ann", "enrolment-token mint subject=ann [expires_in_s=300]"),
    (
        "enrolment-token mint --subject ann --origin https://a",
        "enrolment-token mint subject=ann origin=https://a [expires_in_s=300]",
    ),
    ("policy put users f.cedar", "policy put name=users file=f.cedar"),
    ("policy put users -", "policy put name=users file=-"),
    ("policy list", "policy list"),
    ("policy show users", "policy show name=users"),
    ("policy remove users", "policy remove name=users"),
    ("policy schema", "policy schema"),
    ("policy check f.cedar", "policy check file=f.cedar"),
    ("first-token --config f", "first-token config=f"),
    ("audit show", "audit show"),
    (
        "audit show --principal ann --operation Decrypt --key k --decision refused --outcome x --last 5",
        "audit show principal=ann operation=Decrypt key=k decision=refused outcome=x last=5",
    ),
    ("audit show --data-dir d", "audit show data_dir=d"),
    (
        "audit show --since 2026-11-22T03:38:26Z --until 2026-11-23",
        "audit show since=2026-11-22T03:38:26Z until=2026-11-23",
    ),
    ("audit verify", "audit verify [data_dir=keyhaven-dev]"),
    ("audit verify --data-dir d --key a+b+c", "audit verify data_dir=d key=a+b+c"),
    ("audit verify --log copy", "audit verify [data_dir=keyhaven-dev] log=copy"),
];

#[test]
fn lines_are_read_as_meant() {
    for (line, expected) in LINES {
        assert_eq!(parsed(line).as_deref(), Ok(*expected), "{line}");
    }
}

#[test]
fn lines_that_mean_nothing_are_refused() {
    use ErrorKind::{
        ArgumentConflict, DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
        InvalidSubcommand, InvalidValue, MissingRequiredArgument, UnknownArgument, ValueValidation,
    };
    for (line, expected) in [
        ("", DisplayHelpOnMissingArgumentOrSubcommand),
        ("key", DisplayHelpOnMissingArgumentOrSubcommand),
        ("--help", DisplayHelp),
        ("key create --help", DisplayHelp),
        ("--version", DisplayVersion),
        ("audit verify --version", DisplayVersion),
        ("keys", InvalidSubcommand),
        ("key delete photos", InvalidSubcommand),
        ("serve", MissingRequiredArgument),
        ("dev extra", UnknownArgument),
        ("dev --listen localhost", ValueValidation),
        ("dev --listen 127.0.0.1", ValueValidation),
        ("dev --listen 127.0.0.1:65536", ValueValidation),
        ("completions cmd", InvalidValue),
        ("key create", MissingRequiredArgument),
        ("key create a b", UnknownArgument),
        ("key create a --tag novalue", ValueValidation),
        ("key create a --tag =1", ValueValidation),
        ("key create a --max-offline-grace-s -1", UnknownArgument),
        ("key create a --max-offline-grace-s 1h", ValueValidation),
        ("key create a --keyring", InvalidValue),
        ("key tag photos novalue", ValueValidation),
        ("key destroy photos --days seven", ValueValidation),
        ("key destroy photos --now --days 7", ArgumentConflict),
        ("key set-alias photos", MissingRequiredArgument),
        ("encrypt", MissingRequiredArgument),
        ("encrypt photos --context user", ValueValidation),
        ("encrypt photos secret-on-the-command-line", UnknownArgument),
        ("decrypt photos --token x", UnknownArgument),
        ("principal token ann --days 4294967296", ValueValidation),
        ("ticket mint photos", MissingRequiredArgument),
        ("ticket mint photos --subject a --uses -1", UnknownArgument),
        ("enrolment-token mint", MissingRequiredArgument),
        ("policy put users", MissingRequiredArgument),
        ("audit show --decision maybe", InvalidValue),
        ("audit show --last all", ValueValidation),
        ("audit show --since yesterday", ValueValidation),
        ("audit verify --log a --data-dir b", ArgumentConflict),
    ] {
        assert_eq!(parsed(line), Err(expected), "{line}");
    }
}

#[test]
fn json_may_stand_before_or_after_any_command() {
    for line in ["--json status", "status --json", "key --json list", "key list --json"] {
        let words = std::iter::once("keyhaven").chain(line.split_whitespace());
        assert!(Cli::try_parse_from(words).ok().unwrap().json, "{line}");
    }
    assert!(!Cli::try_parse_from(["keyhaven", "status"]).ok().unwrap().json);
}

#[test]
fn no_argument_takes_a_token_or_pin() {
    fn names(command: &Tree, found: &mut Vec<String>) {
        let own = command.get_arguments().map(|argument| argument.get_id().to_string());
        found.extend(own);
        command.get_subcommands().for_each(|sub| names(sub, found));
    }
    let mut found = vec![];
    names(&Cli::command(), &mut found);
    for secret in ["token", "pin", "password", "secret", "plaintext"] {
        assert!(!found.iter().any(|name| name == secret), "{secret} would stand in `ps`");
    }
}

#[test]
fn every_shell_gets_its_completions() {
    use clap::ValueEnum;
    for shell in clap_complete::Shell::value_variants() {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "keyhaven", &mut script);
        let script = String::from_utf8(script).unwrap();
        for command in ["schedule-destruction", "enrolment-token", "verify"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}
