//! Memory that leaves the process nowhere: in no core file, no debugger, no swap space.

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
    thread::{CapabilitySet, capabilities, set_no_new_privs},
};

use super::{HostError, Means};

/// Turns off core dumps, debugging by the same user, and new privileges.
pub(super) fn keep_private() -> Result<(), HostError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|error| HostError::refused("RLIMIT_CORE", error))?;
    // The limit alone does not hold where `core_pattern` is a pipe.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| HostError::refused("PR_SET_DUMPABLE", error))?;
    set_no_new_privs(true).map_err(|error| HostError::refused("PR_SET_NO_NEW_PRIVS", error))
}

/// Keeps all memory, as it is used, out of the swap space.
pub(super) fn lock() -> Means {
    // Under a limit the lock would succeed today and make an allocation fail one day.
    let unlimited = getrlimit(Resource::Memlock).current.is_none();
    let may = capabilities(None).is_ok_and(|own| own.effective.contains(CapabilitySet::IPC_LOCK));
    if !unlimited && !may {
        return Means::Off("raise the limit: LimitMEMLOCK=infinity, or `ulimit -l unlimited`");
    }
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    match mlockall(all) {
        Ok(()) => Means::On,
        Err(_) => Means::Off("the kernel refused it"),
    }
}
