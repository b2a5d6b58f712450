//! Rows: small documents at places, each with an epoch that counts its changes.

use std::fmt;

/// What kind of row stands at a place. Each kind is a name space of its own: a key and a keyring of
/// the same id are two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The installation itself: one row.
    Deployment,
    /// A keyring, by name.
    Keyring,
    /// A key, by id.
    Key,
    /// A key version, by `keyring name/key id/number`; `keyring name/*` counts the versions of a
    /// keyring.
    KeyVersion,
    /// A name of a key, by `keyring name/alias`.
    Alias,
    /// A principal, by name.
    Principal,
    /// An API token, by id.
    Token,
    /// A policy, by name; the place named `*` counts the changes of all of them.
    Policy,
    /// A device, by id.
    Device,
    /// Answers that can be told again, by `principal/two hex digits`.
    Once,
    /// An identity, by id.
    Identity,
}

impl Kind {
    /// Every kind, in the order of their codes.
    pub const ALL: &'static [Self] = &[
        Self::Deployment,
        Self::Keyring,
        Self::Key,
        Self::KeyVersion,
        Self::Alias,
        Self::Principal,
        Self::Token,
        Self::Policy,
        Self::Device,
        Self::Once,
        Self::Identity,
    ];

    /// The kind's name in the store. A part of the format of stored rows: it never changes.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Keyring => "keyring",
            Self::Key => "key",
            Self::KeyVersion => "key-version",
            Self::Alias => "alias",
            Self::Principal => "principal",
            Self::Token => "token",
            Self::Policy => "policy",
            Self::Device => "device",
            Self::Once => "once",
            Self::Identity => "identity",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }

    /// The kind's number in the register: its place in [`Self::ALL`].
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind of this number.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// Where a row stands. Implementations compare the kind and every byte of the id: no collation, no
/// case, no normalisation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// What kind of row.
    pub kind: Kind,
    /// Which one; compared by bytes.
    pub id: String,
}

impl Place {
    /// The place of a row.
    #[must_use]
    pub fn new(kind: Kind, id: impl fmt::Display) -> Self {
        Self { kind, id: id.to_string() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.id)
    }
}

/// How often a place was changed: 1 when its row is made; 0 stands for a row that never was. Removing a
/// row leaves its epoch behind, so that a row made again at the same place goes on counting. So no two
/// states of a place have the same epoch, and a read that still has its epoch saw what stands there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a row that never was.
    pub const ABSENT: Self = Self(0);
}

/// Where in the log a change was recorded: the entry's index plus 1, so that 0 is before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Serial(pub u64);

impl Serial {
    /// Before anything was recorded.
    pub const NONE: Self = Self(0);

    /// The serial of an entry.
    #[must_use]
    pub const fn of(index: u64) -> Self {
        Self(index.saturating_add(1))
    }
}

/// A row that is believed: it was checked against the register (see [`crate::integrity`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which row.
    pub place: Place,
    /// Counts its changes.
    pub epoch: Epoch,
    /// The document; `None` when there is none (any more).
    pub body: Option<Vec<u8>>,
}

/// A row as a store has it. Nothing of it is believed before it was checked. A row that was removed is
/// not there; the register remembers its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// Which row.
    pub place: Place,
    /// Counts its changes.
    pub epoch: Epoch,
    /// Where its last change was recorded.
    pub serial: Serial,
    /// Over all of it.
    pub mac: [u8; 32],
    /// The document.
    pub body: Vec<u8>,
}

/// One change of a row. The row's epoch goes up by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which row.
    pub place: Place,
    /// The epoch the row must still have. [`Epoch::ABSENT`] for a row that is to be made at a place
    /// where none ever was.
    pub expected: Epoch,
    /// The new document, or `None` to remove it.
    pub body: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_word_and_its_code() {
        for (code, kind) in (0..).zip(Kind::ALL) {
            assert_eq!((kind.code(), Kind::of_code(code)), (code, Some(*kind)));
            assert_eq!(Kind::of_word(kind.word()), Some(*kind));
        }
        assert_eq!((Kind::of_code(11), Kind::of_word("Key")), (None, None));
    }

    #[test]
    fn serials_rise_from_one_and_end_nowhere() {
        let serials = [0, 1, u64::MAX].map(Serial::of);
        assert_eq!(serials, [Serial(1), Serial(2), Serial(u64::MAX)]);
        assert!(Serial::of(0) > Serial::NONE);
    }
}
