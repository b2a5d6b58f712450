//! Child processes: ended when they are dropped; what processor time one used.

use std::{fs, process::Child, time::Duration};

use crate::Outcome;

/// A server of ours.
pub(crate) struct Server(pub(crate) Child);

impl Server {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Fails when the server has ended by itself.
    pub(crate) fn still_runs(&mut self) -> Outcome<()> {
        match self.0.try_wait()? {
            Some(status) => Err(format!("the server ended: {status}").into()),
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing left to do then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processor time of a process so far, in user and kernel mode, over all its threads.
#[derive(Clone, Copy)]
pub(crate) struct CpuTime(Duration);

/// What one tick of proc(5) lasts: Linux shows 100 a second to programs, whatever the kernel's own rate.
const TICK: Duration = Duration::from_millis(10);

impl CpuTime {
    pub(crate) fn of(process: u32) -> Outcome<Self> {
        let line = fs::read_to_string(format!("/proc/{process}/stat"))?;
        Self::parse(&line).ok_or_else(|| format!("not a line of proc(5): {line}").into())
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Fields 14 and 15; the second is the program's name in parentheses and may hold anything.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(") ")?;
        let mut fields = rest.split(' ').skip(11);
        let (user, system): (u32, u32) =
            (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self(TICK * user.checked_add(system)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_user_and_system_time() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 4 0 99 0 0";
        assert_eq!(CpuTime::parse(line).unwrap().0, Duration::from_millis(420));
        assert!(CpuTime::parse("7 (a) S 1 7").is_none());
    }

    #[test]
    fn this_process_has_one() {
        assert!(CpuTime::of(std::process::id()).is_ok());
    }
}
