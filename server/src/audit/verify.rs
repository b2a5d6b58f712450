//! Verifying a log folder, offline: with its public key and nothing else.
//!
//! The whole file is read, one line at a time, so memory stays small and time grows with the log.
//! Cheap checks of each line come first for the sake of the message; what proves the log is the
//! root.

use std::{fs, path::Path};

use super::{
    checkpoint::Checkpoint,
    error::VerifyError,
    files::{CHECKPOINT, ENTRIES, VKEY},
    merkle::Tree,
    note::VerifierKey,
    scan::{self, Lines},
};

/// What is proven of a log: every entry that the checkpoint covers is there, in order, as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The log's name.
    pub origin: String,
    /// How many entries are covered.
    pub entries: u64,
    /// The root of their Merkle tree.
    /// As RFC 6962 §2.1 defines it, over the lines without their line feeds.
    pub root: [u8; 32],
    /// Lines after these. Nothing is proven of them: on a running server the next checkpoint will cover
    /// them; on any other they are a write that a crash cut off, or were added.
    pub beyond_checkpoint: u64,
}

/// Verifies the log in a folder against `vkey`, or without one against the folder's own `log.vkey`, which
/// proves no more than that the folder is of one piece. It does not see that the whole folder was replaced
/// by an older copy of itself.
///
/// It may run beside the server. Whoever wants to see that the log was not rolled back compares
/// `entries` with a checkpoint of before, kept where the log's keeper cannot write.
///
/// # Errors
/// [`VerifyError`], which says what is wrong and, where that can be known, from which index on.
pub fn verify(folder: &Path, vkey: Option<&str>) -> Result<Verified, VerifyError> {
    let key: VerifierKey = match vkey {
        Some(vkey) => vkey.trim().parse().map_err(|_| VerifyError::Key)?,
        None => own_key(folder)?,
    };
    let note = read(&folder.join(CHECKPOINT))?;
    let note = str::from_utf8(&note).map_err(|_| VerifyError::Checkpoint)?;
    // The signature comes before the entries: until it holds, size and root are anybody's claim.
    let checkpoint = Checkpoint::open(note, &key).ok_or(VerifyError::Checkpoint)?;
    let Covered { mut beyond, .. } = covered(folder, &checkpoint)?;
    let failed = |error| VerifyError::file(&folder.join(ENTRIES), &error);
    let mut beyond_checkpoint: u64 = 0;
    // Counted and not looked at: nothing is signed of them yet.
    while beyond.next_line().map_err(failed)?.is_some() {
        beyond_checkpoint = beyond_checkpoint.saturating_add(1);
    }
    let origin = key.name().to_owned();
    let Checkpoint { size: entries, root } = checkpoint;
    Ok(Verified { origin, entries, root, beyond_checkpoint })
}

/// The verifier key in the folder.
/// One line with a line feed, and nothing else.
pub(super) fn own_key(folder: &Path) -> Result<VerifierKey, VerifyError> {
    let text = read(&folder.join(VKEY))?;
    let text = str::from_utf8(&text).map_err(|_| VerifyError::Key)?;
    text.strip_suffix('\n').and_then(|text| text.parse().ok()).ok_or(VerifyError::Key)
}

/// What a checkpoint covers, and the lines after it.
/// Where the server goes on from, after a start.
pub(super) struct Covered {
    /// Over exactly what is covered.
    pub(super) tree: Tree,
    /// How many bytes of the file.
    pub(super) bytes: u64,
    /// Stands after the last covered line.
    pub(super) beyond: Lines,
}

/// Checks the entries that a checkpoint covers.
///
/// # Errors
/// [`VerifyError::Missing`], [`VerifyError::Entry`] with the first bad index, or
/// [`VerifyError::Changed`] when every line looks well and the root does not agree: which line it
/// was cannot be known then.
pub(super) fn covered(folder: &Path, checkpoint: &Checkpoint) -> Result<Covered, VerifyError> {
    let path = folder.join(ENTRIES);
    let failed = |error| VerifyError::file(&path, &error);
    let mut lines = Lines::open(&path, 0).map_err(failed)?;
    let mut tree = Tree::default();
    while tree.size() < checkpoint.size {
        let index = tree.size();
        let Some(line) = lines.next_line().map_err(failed)? else {
            return Err(VerifyError::Missing { covered: checkpoint.size, found: index });
        };
        let damaged = |problem| VerifyError::Entry { index, problem };
        let line = line.map_err(damaged)?;
        // An index out of place tells where lines were removed or swapped. Without it the root
        // would still be wrong, but nobody would know where.
        scan::check(&line, index).map_err(damaged)?;
        tree.push(&line);
    }
    if tree.root() != checkpoint.root {
        return Err(VerifyError::Changed { covered: checkpoint.size });
    }
    Ok(Covered { tree, bytes: lines.bytes(), beyond: lines })
}

/// A file's content, or which file it was that could not be read.
fn read(path: &Path) -> Result<Vec<u8>, VerifyError> {
    fs::read(path).map_err(|error| VerifyError::file(path, &error))
}
