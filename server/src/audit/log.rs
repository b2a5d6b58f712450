//! The log being written: entries go from the store into the file, then under a signed checkpoint, and
//! only then out of the store. A crash between any two steps is made good by [`Log::open`].
//!
//! | crash after | what is found at the next start |
//! | --- | --- |
//! | part of an append | a torn end in the file: it is cut, and written anew from the store |
//! | an append | lines beyond the checkpoint that equal the store's: they are kept and signed |
//! | a checkpoint | entries in the store that are signed already: they are pruned |
//!
//! Whatever does not fit one of these stops the start. It is told and not mended: nothing but
//! tampering, a failing disk or an old copy of one side explains it.

use std::{path::PathBuf, sync::Arc};

use keyhaven_engine::port::{
    hsm::{Hsm, HsmError, HsmKey},
    store::Store,
};

use super::{
    checkpoint::Checkpoint,
    error::{AuditError, VerifyError},
    files::{self, CHECKPOINT, ENTRIES, EntriesFile, VKEY},
    merkle::Tree,
    note::VerifierKey,
    scan,
    verify::{self, Covered},
};

/// How many entries are appended at once.
/// The bound is on memory; an entry has about one KiB.
const BATCH: usize = 4096;

/// How many batches go under one checkpoint at most, so that one is signed under any load.
/// That is 65,536 entries: what comes after them is under the next one.
const BATCHES: usize = 16;

/// What the log stands on.
pub(super) struct Ports {
    /// Holds what is committed and not yet signed.
    pub(super) store: Arc<dyn Store>,
    pub(super) hsm: Arc<dyn Hsm>,
    /// Signs checkpoints and nothing else.
    pub(super) log_key: HsmKey,
    /// The log's folder, in the data folder.
    pub(super) folder: PathBuf,
}

/// The log being written.
pub(super) struct Log {
    ports: Ports,
    /// Against which each signature is checked before it is used.
    key: VerifierKey,
    file: EntriesFile,
    /// Over all that is in the file.
    tree: Tree,
    /// How many entries the checkpoint on the disk covers; `None` before the first.
    signed: Option<u64>,
    /// Below which index the store was told to forget. It begins at 0, so the first step after a
    /// start tells it again.
    pruned: u64,
}

impl Log {
    /// Opens the log and checks it against its checkpoint and the store, or makes a new one.
    ///
    /// # Errors
    /// [`AuditError`]. Nothing of the log was changed but an unsigned end that the store has.
    pub(super) async fn open(ports: Ports, origin: &str) -> Result<Self, AuditError> {
        files::make_folder(&ports.folder)?;
        let public = ports.hsm.public_key(ports.log_key).await?;
        let key = VerifierKey::new(origin, public).map_err(|_| AuditError::Key)?;
        // Before any entry is written: a folder of another installation, or another HSM, stops it
        // here.
        check_vkey(&ports, &key)?;
        let signed = match files::read(&ports.folder.join(CHECKPOINT))? {
            Some(note) => {
                let note = str::from_utf8(&note).map_err(|_| VerifyError::Checkpoint)?;
                Some(Checkpoint::open(note, &key).ok_or(VerifyError::Checkpoint)?)
            }
            None => None,
        };
        EntriesFile::make(&ports.folder)?;
        let empty = Checkpoint { size: 0, root: Tree::default().root() };
        // All of it, at each start. A server must not sign on top of what was edited while it was
        // down: its signature would cover that up.
        let covered = verify::covered(&ports.folder, signed.as_ref().unwrap_or(&empty))?;
        let (tree, length) = check_store(&ports, covered).await?;
        let file = EntriesFile::open(&ports.folder, length)?;
        let signed = signed.map(|checkpoint| checkpoint.size);
        let mut log = Self { ports, key, file, tree, signed, pruned: 0 };
        // An empty log has a checkpoint too, so that it cannot be told to have been empty later.
        log.advance().await?;
        Ok(log)
    }

    /// How many entries are under a signed checkpoint.
    pub(super) fn signed(&self) -> u64 {
        self.signed.unwrap_or(0)
    }

    /// The index that the store's next entry will have.
    pub(super) async fn next_index(&self) -> Result<u64, AuditError> {
        Ok(self.ports.store.next_index().await?)
    }

    /// Does all three steps for what is there. After an error it can be called again.
    pub(super) async fn advance(&mut self) -> Result<(), AuditError> {
        for _ in 0..BATCHES {
            if !self.append().await? {
                break;
            }
        }
        // INVARIANT: append, sign, prune, in this order. The store's copy is the last to go, and
        // goes only when the signed files have the entry.
        self.sign().await?;
        self.prune().await
    }

    /// Appends the store's next entries; `false` if there are none.
    pub(super) async fn append(&mut self) -> Result<bool, AuditError> {
        let first = self.tree.size();
        // Asked first, so that what is committed meanwhile is not taken for missing.
        let next = self.next_index().await?;
        let entries = self.ports.store.entries(first, BATCH).await?;
        for (wanted, (index, entry)) in (first..).zip(&entries) {
            // A gap between file and store: an entry that was committed is in neither.
            if *index != wanted {
                return Err(AuditError::Lost(wanted));
            }
            scan::check(entry, wanted)
                .map_err(|problem| AuditError::Entry { index: wanted, problem })?;
        }
        if entries.is_empty() {
            // They were committed, and are neither in the file nor in the store.
            return if next > first { Err(AuditError::Lost(first)) } else { Ok(false) };
        }
        self.file.append(&entries, &mut self.tree)?;
        Ok(true)
    }

    /// Signs a checkpoint over what is in the file, if there is anything new.
    pub(super) async fn sign(&mut self) -> Result<(), AuditError> {
        // `Some(0)` and `None` differ: an empty log is signed once, at its first start.
        if self.signed == Some(self.tree.size()) {
            return Ok(());
        }
        let checkpoint = Checkpoint { size: self.tree.size(), root: self.tree.root() };
        let text = checkpoint.text(self.key.name());
        let signature = self.ports.hsm.sign(self.ports.log_key, text.clone().into_bytes()).await?;
        let note = self.key.note(&text, &signature);
        // The old checkpoint is replaced only by one that opens. A note that does not would stop
        // the next start.
        if Checkpoint::open(&note, &self.key).as_ref() != Some(&checkpoint) {
            let refused = "the log key's signature does not verify".to_owned();
            return Err(HsmError::Refused(refused).into());
        }
        files::replace(&self.ports.folder, CHECKPOINT, &note)?;
        self.signed = Some(checkpoint.size);
        Ok(())
    }

    /// Lets the store forget what is signed.
    pub(super) async fn prune(&mut self) -> Result<(), AuditError> {
        let signed = self.signed();
        if self.pruned < signed {
            self.ports.store.prune_entries(signed).await?;
            self.pruned = signed;
        }
        Ok(())
    }
}

/// Writes the verifier key, or checks that it is still this one.
fn check_vkey(ports: &Ports, key: &VerifierKey) -> Result<(), AuditError> {
    if files::read(&ports.folder.join(VKEY))?.is_none() {
        return files::replace(&ports.folder, VKEY, &format!("{key}\n"));
    }
    let found = verify::own_key(&ports.folder)?;
    if found == *key { Ok(()) } else { Err(AuditError::OtherKey(found.to_string())) }
}

/// Checks what follows the checkpoint, in the file and in the store. Lines that the store has too are
/// kept; from the first that a crash cut off or garbled on, the store's entries are written anew.
///
/// # Errors
/// [`AuditError::StoreBehind`] when the file has what the store never had: an older copy of the
/// store, or lines that somebody added. [`AuditError::Lost`] when an entry is in neither.
async fn check_store(ports: &Ports, covered: Covered) -> Result<(Tree, u64), AuditError> {
    let Covered { mut tree, mut bytes, mut beyond } = covered;
    let path = ports.folder.join(ENTRIES);
    let next = ports.store.next_index().await?;
    // Signed entries that the store does not know of. Going on would give their indexes out again.
    if next < tree.size() {
        return Err(AuditError::StoreBehind { store: next, log: tree.size() });
    }
    while let Some(line) = beyond.next_line().map_err(|error| AuditError::file(&path, &error))? {
        let index = tree.size();
        let Ok(line) = line else { break };
        if scan::check(&line, index).is_err() {
            break;
        }
        let stored = ports.store.entries(index, 1).await?.into_iter().next();
        match stored {
            Some((at, entry)) if at == index && entry == line => tree.push(&line),
            // The store decides about what is not signed: a line that a failing disk garbled is put
            // right from it.
            Some((at, _)) if at == index => break,
            Some(_) => return Err(AuditError::Lost(index)),
            None => {
                return Err(AuditError::StoreBehind { store: next, log: index.saturating_add(1) });
            }
        }
        bytes = beyond.bytes();
    }
    // The file ends here. What comes next must be the store's first, or the store pruned what was
    // never signed.
    let first = ports.store.entries(tree.size(), 1).await?.first().map(|(index, _)| *index);
    if next > tree.size() && first != Some(tree.size()) {
        return Err(AuditError::Lost(tree.size()));
    }
    let length = std::fs::metadata(&path).map_err(|error| AuditError::file(&path, &error))?.len();
    if length > bytes {
        let index = tree.size();
        tracing::warn!(index, "an unsigned end of the audit log is written anew from the store");
    }
    Ok((tree, bytes))
}
