//! Checkpoints (C2SP tlog-checkpoint): a log's origin, its size, and its root in base64, a line each.
//!
//! The format allows further lines after these three. None are written, and a checkpoint that has
//! any is not taken: whatever they meant would be signed, and not understood.

use base64ct::{Base64, Encoding};

use super::{merkle::Hash, note::VerifierKey};

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// How many entries it covers.
    pub(super) size: u64,
    /// The root of their tree.
    pub(super) root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    /// It ends in a line feed, as a note's text does.
    pub(super) fn text(&self, origin: &str) -> String {
        format!("{origin}\n{}\n{}\n", self.size, Base64::encode_string(&self.root))
    }

    /// A checkpoint that this key signed for the log of its name; `None` if it did not.
    /// So size and root of a checkpoint that is there were signed.
    pub(super) fn open(note: &str, key: &VerifierKey) -> Option<Self> {
        let text = key.open(note)?;
        let mut lines = text.split('\n');
        let (_origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let mut bytes = Hash::default();
        Base64::decode(root, &mut bytes).ok()?;
        let checkpoint = Self { size: size.parse().ok()?, root: bytes };
        // Written anew it must be the same: no other spelling, no other origin, nothing added.
        (checkpoint.text(key.name()) == text).then_some(checkpoint)
    }
}
