//! The data folder: private to its user, and served by one process at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use super::OpenError;

/// The lock on a data folder, until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes the folder if need be and locks it. The mode of a folder that exists is the operator's.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| inaccessible(folder, &error))?;
        let path = folder.join("store.lock");
        let file = open_private(&path).map_err(|error| inaccessible(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(inaccessible(&path, &error)),
        }
    }
}

/// Makes the file if need be, with mode 0600. SQLite gives its log and shared memory the same mode.
pub(super) fn make_private(path: &Path) -> Result<(), OpenError> {
    open_private(path)
        .and_then(|_| fs::set_permissions(path, Permissions::from_mode(0o600)))
        .map_err(|error| inaccessible(path, &error))
}

/// Makes the names of the files in the folder durable.
pub(super) fn sync(folder: &Path) -> Result<(), OpenError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| inaccessible(folder, &e))
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn inaccessible(path: &Path, error: &io::Error) -> OpenError {
    OpenError::Inaccessible { path: path.to_owned(), cause: error.to_string() }
}
