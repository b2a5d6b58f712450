//! What the process gives up before it serves, so that code that an attacker brought into it finds little
//! to do: other programs, other files, other hosts, other processes, and its own memory on disk.
//!
//! | what | by |
//! | --- | --- |
//! | no core dump, and no debugger of the same user | `RLIMIT_CORE` 0, `PR_SET_DUMPABLE` 0 |
//! | no new privileges by set-user-id programs | `PR_SET_NO_NEW_PRIVS` |
//! | no memory in the swap space | `mlockall`, where the limit allows it |
//! | no other program, no other process, no kernel interfaces that a server never needs | seccomp |
//! | no other files, no outgoing TCP connection | Landlock |
//!
//! Landlock and seccomp hold for the thread that asks for them and whatever it starts: so [`confine`]
//! comes before the first thread. What the kernel lacks is told in the log, and goes without.

mod calls;
mod files;
mod memory;

use std::{fmt, io, path::PathBuf};

pub use self::files::Reach;

/// Why the process could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A path that is to be reachable cannot be opened.
    #[error("{}: {reason}: [host.files] names a path that cannot be opened", path.display())]
    Path {
        /// Which path.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The kernel has the means and refused them.
    #[error("the process cannot be confined, by {means}: {reason}")]
    Refused {
        /// Which of the means.
        means: &'static str,
        /// What was said.
        reason: String,
    },
}

impl HostError {
    fn refused(means: &'static str, reason: impl fmt::Display) -> Self {
        Self::Refused { means, reason: reason.to_string() }
    }
}

/// One of the means: whether it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// It holds.
    On,
    /// It does not, for this reason.
    Off(&'static str),
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::Off(reason) => write!(f, "off: {reason}"),
        }
    }
}

/// Gives up everything that the server never needs, for the rest of the process's life, and writes to the
/// log what is on. Call it while the process has one thread. `reach` is what stays reachable; without it
/// files and connections are not confined.
///
/// # Errors
/// [`HostError`]. What was given up until then stays given up: the process should end.
pub fn confine(reach: Option<&Reach>, restrict_calls: bool) -> Result<(), HostError> {
    memory::keep_private()?;
    let locked = memory::lock();
    let files = match reach {
        Some(reach) => files::restrict(reach)?,
        None => Means::Off("there is no [host.files] in the configuration"),
    };
    // The last one: the filter would not let the others be asked for, were they on its list one day.
    let calls = if restrict_calls {
        calls::restrict()?
    } else {
        Means::Off("`restrict_calls = false` in the configuration")
    };
    tracing::info!(
        core_dumps = "off", new_privileges = "off",
        memory_lock = %locked, files_by_landlock = %files, calls_by_seccomp = %calls,
        "confined"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
