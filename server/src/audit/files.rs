//! Writing the log's files so that a crash at any moment leaves what can be gone on from.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{error::AuditError, merkle::Tree, scan::Lines};

/// Only ever appended to, but for an end that no checkpoint covers.
pub(super) const ENTRIES: &str = "entries.jsonl";
/// Replaced whole, after the entries that it covers are durable.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// Written once, at the first start.
pub(super) const VKEY: &str = "log.vkey";

/// Makes the log's folder if need be.
/// With mode 0700: entries name people, and what they do with which key.
pub(super) fn make_folder(folder: &Path) -> Result<(), AuditError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| AuditError::file(folder, &error))
}

/// The content of a file; `None` if there is none.
/// For the small files. Entries are read by [`Lines`].
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, AuditError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuditError::file(path, &error)),
    }
}

/// Puts a file there durably, so that at any moment the old or the new one is there, whole.
///
/// After an error it is not known which of the two; doing it again settles that.
pub(super) fn replace(folder: &Path, name: &str, content: &str) -> Result<(), AuditError> {
    let path = folder.join(name);
    let written = folder.join(format!("{name}.new"));
    let replace = || {
        let mut file = private().truncate(true).open(&written)?;
        file.write_all(content.as_bytes())?;
        // INVARIANT: the content is durable before its name is. The other way round, a power cut
        // could leave the name with nothing in it.
        file.sync_all()?;
        fs::rename(&written, &path)?;
        File::open(folder)?.sync_all()
    };
    replace().map_err(|error| AuditError::file(&path, &error))
}

/// `entries.jsonl`, open for appending.
/// One process writes it: the lock on the data folder sees to that.
#[derive(Debug)]
pub(super) struct EntriesFile {
    /// For messages, and for reading back by a way of its own.
    path: PathBuf,
    file: File,
    /// The bytes that are known to be good. What stands after them is overwritten.
    length: u64,
}

impl EntriesFile {
    /// Makes the file if there is none.
    pub(super) fn make(folder: &Path) -> Result<(), AuditError> {
        let path = folder.join(ENTRIES);
        let make = || {
            private().open(&path)?;
            File::open(folder)?.sync_all()
        };
        make().map_err(|error| AuditError::file(&path, &error))
    }

    /// Opens the file and cuts it after its good bytes.
    ///
    /// The caller has seen that everything behind them is in the store still.
    pub(super) fn open(folder: &Path, length: u64) -> Result<Self, AuditError> {
        let path = folder.join(ENTRIES);
        let open = || {
            let file = private().open(&path)?;
            file.set_len(length)?;
            file.sync_all()?;
            Ok(file)
        };
        let file = open().map_err(|error| AuditError::file(&path, &error))?;
        Ok(Self { path, file, length })
    }

    /// Appends entries durably and adds them to the tree as they read back. After an error nothing counts
    /// as appended.
    ///
    /// Not guaranteed: that the disk kept it as it reads now. What reads back may come from the
    /// system's memory; a later `verify` sees the disk.
    pub(super) fn append(
        &mut self,
        entries: &[(u64, Vec<u8>)],
        tree: &mut Tree,
    ) -> Result<(), AuditError> {
        let mut block = Vec::new();
        for (_, entry) in entries {
            block.extend_from_slice(entry);
            block.push(b'\n');
        }
        self.write(&block).map_err(|error| AuditError::file(&self.path, &error))?;
        // On a copy of the tree: if a line reads back wrong, the tree must not have it.
        let grown = self.read_back(entries, tree.clone())?;
        self.length = self.length.saturating_add(u64::try_from(block.len()).unwrap_or(u64::MAX));
        *tree = grown;
        Ok(())
    }

    /// Cuts the file to its good bytes, appends, and waits until the disk has it, with the file's
    /// new length.
    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        // An earlier attempt may have failed half way.
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(block)?;
        self.file.sync_data()
    }

    /// What is signed is what stands in the file, and that must be what was to be written: one bit that
    /// flips on its way would otherwise be signed for good.
    fn read_back(&self, entries: &[(u64, Vec<u8>)], mut tree: Tree) -> Result<Tree, AuditError> {
        let failed = |error| AuditError::file(&self.path, &error);
        let mut lines = Lines::open(&self.path, self.length).map_err(failed)?;
        for (_, entry) in entries {
            let at = self.length.saturating_add(lines.bytes());
            match lines.next_line().map_err(failed)? {
                Some(Ok(line)) if line == *entry => tree.push(&line),
                _ => return Err(AuditError::ReadBack(at)),
            }
        }
        Ok(tree)
    }
}

/// For reading and writing, made with mode 0600 if it is not there, and not emptied.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}
