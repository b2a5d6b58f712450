//! Where a device's private keys are kept over a restart.

use std::{
    any::Any,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

use zeroize::Zeroizing;

use super::{error::SourceError, lock::locked, transport::BoxFuture};

/// Held while a device is taken up or enrolled.
pub type StoreLock = Box<dyn Any + Send + Sync>;

/// Keeps the bytes of one device. They hold its private keys: whoever can read them is this device.
pub trait DeviceStore: Send + Sync {
    /// The bytes that were saved last, if any.
    ///
    /// # Errors
    /// [`SourceError`] when that cannot be told.
    fn load(&self) -> BoxFuture<'_, Result<Option<Zeroizing<Vec<u8>>>, SourceError>>;

    /// Keeps these bytes in place of earlier ones. They are durable when it returns, or nothing changed.
    ///
    /// # Errors
    /// [`SourceError`] when they are not kept.
    fn save<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), SourceError>>;

    /// Keeps other processes from enrolling the same device meanwhile; `None` while one does.
    ///
    /// # Errors
    /// [`SourceError`] when that cannot be told.
    fn try_lock(&self) -> Result<Option<StoreLock>, SourceError> {
        Ok(Some(Box::new(())))
    }
}

/// A file that only its owner can read (mode 0600); beside it, a file with `.lock` after its name.
#[derive(Debug, Clone)]
pub struct FileStore(PathBuf);

impl FileStore {
    /// A store in this file, in a folder that exists. The file is made when there is something to keep.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.0.clone().into_os_string();
        name.push(ending);
        name.into()
    }

    fn read(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let metadata = match fs::metadata(&self.0) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !is_private(&metadata) {
            let text = format!("others can read {}: chmod 600, or remove it", self.0.display());
            return Err(io::Error::new(ErrorKind::PermissionDenied, text));
        }
        fs::read(&self.0).map(|bytes| Some(Zeroizing::new(bytes)))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.beside(".new");
        // One that a crash left behind.
        drop(fs::remove_file(&new));
        let mut file = private().create_new(true).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn lock(&self) -> io::Result<Option<StoreLock>> {
        let file = private().create(true).truncate(false).open(self.beside(".lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DeviceStore for FileStore {
    fn load(&self) -> BoxFuture<'_, Result<Option<Zeroizing<Vec<u8>>>, SourceError>> {
        Box::pin(async { self.read().map_err(SourceError::new) })
    }

    fn save<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async { self.write(bytes).map_err(SourceError::new) })
    }

    fn try_lock(&self) -> Result<Option<StoreLock>, SourceError> {
        self.lock().map_err(SourceError::new)
    }
}

/// A store that ends with the process: for a device that enrols anew each time.
#[derive(Default)]
pub struct MemoryStore(Mutex<Option<Zeroizing<Vec<u8>>>>);

impl DeviceStore for MemoryStore {
    fn load(&self) -> BoxFuture<'_, Result<Option<Zeroizing<Vec<u8>>>, SourceError>> {
        Box::pin(async { Ok(locked(&self.0).clone()) })
    }

    fn save<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async {
            *locked(&self.0) = Some(Zeroizing::new(bytes.to_vec()));
            Ok(())
        })
    }
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(unix)]
fn is_private(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;

    metadata.permissions().mode() & 0o077 == 0
}

/// Elsewhere a file has the rights of its folder, which is the operator's to choose.
#[cfg(not(unix))]
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    options
}

#[cfg(not(unix))]
const fn is_private(_: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn store() -> (tempfile::TempDir, FileStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("device"));
        (folder, store)
    }

    #[test]
    fn a_file_keeps_what_was_saved_last_for_its_owner_alone() {
        let (_folder, store) = store();
        assert!(store.read().unwrap().is_none());
        store.write(b"one").unwrap();
        store.write(b"two").unwrap();
        assert_eq!(store.read().unwrap().unwrap().as_slice(), b"two");
        let mode = fs::metadata(&store.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!store.beside(".new").exists());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let (_folder, store) = store();
        store.write(b"one").unwrap();
        fs::set_permissions(&store.0, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(store.read().unwrap_err().kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn what_a_crash_left_half_written_is_replaced() {
        let (_folder, store) = store();
        fs::write(store.beside(".new"), b"half").unwrap();
        store.write(b"one").unwrap();
        assert_eq!(store.read().unwrap().unwrap().as_slice(), b"one");
    }

    #[test]
    fn one_holds_the_lock_at_a_time() {
        let (_folder, store) = store();
        let held = store.lock().unwrap().unwrap();
        assert!(store.lock().unwrap().is_none());
        drop(held);
        assert!(store.lock().unwrap().is_some());
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let (folder, _) = store();
        let store = FileStore::new(folder.path().join("nowhere/device"));
        assert!(store.read().unwrap().is_none());
        assert!(store.write(b"one").is_err());
        assert!(store.lock().is_err());
    }
}
