//! Which files the process reaches, and that it connects to nobody, by Landlock (Linux 5.13 and later;
//! connections from 6.7).

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, PathFdError, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus,
};
use serde::Deserialize;

use super::{HostError, Means};

/// The newest rules that this code knows; an older kernel keeps those that it knows.
const RULES: ABI = ABI::V6;

/// What libraries and the C runtime read on every machine; what a machine lacks is passed over.
const SYSTEM: [&str; 12] = [
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/ssl",
    "/dev/urandom",
    "/proc/self",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];

/// What stays reachable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reach {
    /// Files, and folders with all below them, that may be read. What the system's libraries need comes
    /// of itself.
    pub readable: Vec<PathBuf>,
    /// Folders in which files may be read, written, made and removed.
    pub writable: Vec<PathBuf>,
    /// TCP ports, of any host, that may be connected to.
    pub connect_ports: Vec<u16>,
}

/// Leaves only `reach`. Nothing may be executed, wherever it lies.
pub(super) fn restrict(reach: &Reach) -> Result<Means, HostError> {
    let failed = |error: RulesetError| HostError::refused("Landlock", error);
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))
        .and_then(|rules| rules.handle_access(AccessNet::ConnectTcp))
        .and_then(Ruleset::create)
        .map_err(failed)?;
    let status = allow(rules, reach)?.restrict_self().map_err(failed)?.ruleset;
    Ok(match status {
        RulesetStatus::FullyEnforced => Means::On,
        RulesetStatus::PartiallyEnforced => Means::Off("in part: this kernel knows not all of it"),
        RulesetStatus::NotEnforced => Means::Off("this kernel has no Landlock"),
    })
}

fn allow(mut rules: RulesetCreated, reach: &Reach) -> Result<RulesetCreated, HostError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::from_all(RULES) & !AccessFs::Execute;
    for path in SYSTEM.map(Path::new).into_iter().filter(|path| path.exists()) {
        rules = add(rules, path, read)?;
    }
    for path in &reach.readable {
        rules = add(rules, path, read)?;
    }
    for path in &reach.writable {
        rules = add(rules, path, write)?;
    }
    for port in &reach.connect_ports {
        let rule = NetPort::new(*port, AccessNet::ConnectTcp);
        rules = rules.add_rule(rule).map_err(|error| HostError::refused("Landlock", error))?;
    }
    Ok(rules)
}

fn add(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, HostError> {
    let parent = PathFd::new(path).map_err(|error| match error {
        PathFdError::OpenCall { source, path, .. } => HostError::Path { path, reason: source },
        other => HostError::refused("Landlock", other),
    })?;
    // What holds for a folder only is not asked for a file.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(RULES) };
    rules
        .add_rule(PathBeneath::new(parent, access))
        .map_err(|error| HostError::refused("Landlock", error))
}
