//! Why a store could not be opened.
//!
//! All of these stop the start. No data in the folder was changed.

use std::path::PathBuf;

/// Why a store could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process serves this folder.
    /// Two servers on one file would be safe for SQLite but not for the caches above it.
    #[error("the data folder {} is in use by another keyhaven server: stop that one first", .0.display())]
    InUse(PathBuf),
    /// The folder or a file in it cannot be made, opened or written.
    #[error("{}: {cause}", .path.display())]
    Inaccessible {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system says.
        cause: String,
    },
    /// A newer version of the server wrote it. Its tables may mean something that this version
    /// would get wrong, so nothing of it is read.
    #[error(
        "{} has schema version {found}, this server knows versions up to {known}: \
         start the version that wrote it, or a newer one", .path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The version that this server writes.
        known: i64,
    },
    /// The database file is not usable.
    /// Damaged, not a database, or one whose tables are not ours.
    #[error("{} cannot be used as a store: {cause}", .path.display())]
    Unusable {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        cause: String,
    },
    /// The operating system gave no thread.
    /// The reason is the operating system's: most often a limit on threads or memory.
    #[error("no thread could be started: {0}")]
    Thread(String),
}
