//! Writing the log's files so that a crash at any moment leaves what can be gone on from.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{error::AuditError, merkle::Tree, scan::Lines};

pub(super) const ENTRIES: &str = "entries.jsonl";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const VKEY: &str = "log.vkey";

/// Makes the log's folder if need be.
pub(super) fn make_folder(folder: &Path) -> Result<(), AuditError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| AuditError::file(folder, &error))
}

/// The content of a file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, AuditError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuditError::file(path, &error)),
    }
}

/// Puts a file there durably, so that at any moment the old or the new one is there, whole.
pub(super) fn replace(folder: &Path, name: &str, content: &str) -> Result<(), AuditError> {
    let path = folder.join(name);
    let written = folder.join(format!("{name}.new"));
    let replace = || {
        let mut file = private().truncate(true).open(&written)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&written, &path)?;
        File::open(folder)?.sync_all()
    };
    replace().map_err(|error| AuditError::file(&path, &error))
}

/// `entries.jsonl`, open for appending.
#[derive(Debug)]
pub(super) struct EntriesFile {
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
        let grown = self.read_back(entries, tree.clone())?;
        self.length = self.length.saturating_add(u64::try_from(block.len()).unwrap_or(u64::MAX));
        *tree = grown;
        Ok(())
    }

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

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}
