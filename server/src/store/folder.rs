//! The data folder: private to its user, and served by one process at a time.
//!
//! The lock keeps honest processes apart. It is advisory: a program that does not ask for it can
//! still open the files, and on some network file systems it holds for one machine only. So the
//! data folder belongs on a local disk.

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
    /// Open for as long as the lock is held: the kernel frees it with the last descriptor, after a
    /// crash, too. So there is no stale lock to clear by hand.
    _file: File,
}

/// Makes the folder if need be. The mode of a folder that exists is the operator's.
pub(crate) fn make(folder: &Path) -> Result<(), OpenError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.map_err(|error| inaccessible(folder, &error))
}

impl FolderLock {
    /// Makes the folder if need be and locks it.
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        make(folder)?;
        // A file of its own: SQLite takes and drops locks on the database file all the time.
        let path = folder.join("store.lock");
        let file = open_private(&path).map_err(|error| inaccessible(&path, &error))?;
        // Not waited for: a second server should say at once what is wrong.
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(inaccessible(&path, &error)),
        }
    }
}

/// Makes the file if need be, with mode 0600. SQLite gives its log and shared memory the same mode.
/// It is made before SQLite opens it, which would give a new file the mode of the process's umask.
pub(super) fn make_private(path: &Path) -> Result<(), OpenError> {
    open_private(path)
        // The mode at making is cut by the umask and says nothing of a file that was there before.
        .and_then(|_| fs::set_permissions(path, Permissions::from_mode(0o600)))
        .map_err(|error| inaccessible(path, &error))
}

/// Makes the names of the files in the folder durable.
/// `fsync` of a file alone does not do that on Linux: the entry in its folder is data of the
/// folder.
pub(super) fn sync(folder: &Path) -> Result<(), OpenError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| inaccessible(folder, &e))
}

/// Opens a file for reading and writing as it is, or makes it, empty and private.
fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Names the path, which the operating system's error does not.
fn inaccessible(path: &Path, error: &io::Error) -> OpenError {
    OpenError::Inaccessible { path: path.to_owned(), cause: error.to_string() }
}
