//! How long and how often one data key is used before the server is asked again.

use std::time::Duration;

use keyhaven_shared::delivery::Lease;

use super::error::ArgumentFault;

const LONGEST_GRACE: Duration = Duration::from_secs(Lease::LONGEST_OFFLINE_GRACE_S as u64);

/// Bounds on the use of one data key. The defaults suit most backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For how long new messages are begun with a data key: 1 second to 1 hour, 5 minutes by default. A
    /// device asks for leases that long, and renews those in use at 50 to 70 % of that, by a new ticket: a
    /// message may take longer. With an API token this is how long a key that was disabled may still be in
    /// use here.
    pub max_age: Duration,
    /// For how long a device's lease goes on beyond its end while the server cannot be reached: up to 7
    /// days, none by default. Keys must allow it (`max_offline_grace_s`): the server refuses to deliver for
    /// longer. When the server is back, the lease is renewed or ends.
    pub offline_grace: Duration,
    /// Messages that one data key encrypts; 1 asks anew for each. 1,000,000 by default.
    pub max_messages: u64,
    /// Bytes that one data key encrypts, in messages whose length is known when they begin. A stream
    /// takes a data key of its own. 1 TiB by default.
    pub max_bytes: u64,
    /// Data keys held to encrypt with, and as many to decrypt with; those longest unused go first. 0
    /// holds none. 1,000 by default.
    pub max_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(300),
            offline_grace: Duration::ZERO,
            max_messages: 1_000_000,
            max_bytes: 1 << 40,
            max_entries: 1_000,
        }
    }
}

impl Limits {
    /// Asks the server for every message.
    #[must_use]
    pub const fn hold_nothing(mut self) -> Self {
        self.max_entries = 0;
        self
    }

    pub(crate) fn check(self) -> Result<Self, ArgumentFault> {
        let age = (1..=3600).contains(&self.max_age.as_secs()) && self.max_age.as_secs() <= 3600;
        let grace = self.offline_grace <= LONGEST_GRACE;
        if age && grace && self.max_messages > 0 { Ok(self) } else { Err(ArgumentFault::Limits) }
    }

    /// Whole seconds of offline grace to ask for.
    pub(crate) fn grace_s(self) -> u32 {
        u32::try_from(self.offline_grace.as_secs()).unwrap_or(u32::MAX)
    }

    /// Whole seconds of lease to ask for.
    pub(crate) fn lease_s(self) -> u32 {
        u32::try_from(self.max_age.as_secs()).unwrap_or(u32::MAX)
    }
}
