//! System calls that the server never makes, by seccomp. It is a list of what is refused, not of what is
//! allowed: PKCS#11 modules are other people's code, and their needs are not known.

use std::{collections::BTreeMap, env::consts::ARCH};

use seccompiler::{BpfProgram, Error, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use super::{HostError, Means};

/// Refused with `EPERM`, whatever the arguments.
const REFUSED: [i64; 40] = [
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes, and their memory.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // Ways around this filter, and around Landlock.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_bpf,
    libc::SYS_personality,
    // Other views of the machine.
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    // The machine itself.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_quotactl,
];

/// The bit of a call in x86-64's x32 convention, which has the same architecture and other numbers.
const X32: i64 = 0x4000_0000;
/// The numbers that only x32 has: `execve`, `ptrace` and others that take pointers.
const X32_OWN: std::ops::RangeInclusive<i64> = 512..=547;

/// Refuses the calls, for this thread and all that it starts.
pub(super) fn restrict() -> Result<Means, HostError> {
    let failed = |error: &dyn std::fmt::Display| HostError::refused("seccomp", error);
    let Ok(architecture) = TargetArch::try_from(ARCH) else {
        return Ok(Means::Off("not known for this processor"));
    };
    let mut refused: BTreeMap<i64, _> = REFUSED.iter().map(|call| (*call, vec![])).collect();
    if architecture == TargetArch::x86_64 {
        let x32 = REFUSED.iter().copied().chain(X32_OWN).map(|call| (X32 | call, vec![]));
        refused.extend(x32);
    }
    let errno = u32::try_from(libc::EPERM).unwrap_or(1);
    let (allow, refuse) = (SeccompAction::Allow, SeccompAction::Errno(errno));
    let filter = SeccompFilter::new(refused, allow, refuse, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(|error| failed(&error))?;
    match apply_filter(&filter) {
        Ok(()) => Ok(Means::On),
        Err(Error::Prctl(_) | Error::Seccomp(_)) => {
            Ok(Means::Off("this kernel has no seccomp filters"))
        }
        Err(error) => Err(failed(&error)),
    }
}
