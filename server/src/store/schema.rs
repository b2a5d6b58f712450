//! The database file: its tables, and how connections to it are set up.
//!
//! Tables are `STRICT`, so a value of another type than its column's is refused when it is written
//! and not when it is read. Texts are compared byte by byte (SQLite's `BINARY`), as [`Place`] asks.
//!
//! [`Place`]: keyhaven_engine::port::store::Place

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use super::OpenError;

/// The version of the tables below, in `meta`.
/// It goes up when an older server would misread the file. A newer file is refused, not guessed at.
const VERSION: i64 = 3;

/// How long a connection waits for another one: only ever for a checkpoint or a recovery.
/// Writers do not wait for each other, as there is one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pages in the write-ahead log at which it is moved into the database file: 32 MiB.
/// With pages of 4 KiB. A larger log is moved more rarely and makes reading a little slower.
const CHECKPOINT_PAGES: i64 = 8192;

/// | table | a row is |
/// | --- | --- |
/// | `row` | a document with the count of its changes; one that was removed has no body |
/// | `ticket_use` | how often a ticket was used, kept until a day after its end |
/// | `log_entry` | an audit entry that is not yet in the signed files |
/// | `meta` | a number: the tables' version, the next log index, how often the disk was tried |
const TABLES: &str = "
    CREATE TABLE row (
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        serial INTEGER NOT NULL,
        mac BLOB NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE node (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE ticket_use (
        jti BLOB PRIMARY KEY NOT NULL,
        uses INTEGER NOT NULL,
        expires INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX ticket_use_expires ON ticket_use (expires);
    CREATE TABLE log_entry (idx INTEGER PRIMARY KEY, entry BLOB NOT NULL) STRICT;
    CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('next_index', 0), ('pings', 0);
";

/// Opens the connection that writes, making or checking the tables.
///
/// # Errors
/// [`OpenError::Newer`] for a later version's file; [`OpenError::Unusable`] for any other that is
/// not ours.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let unusable = |error| unusable(path, &error);
    let mut connection = connect_writer(path).map_err(unusable)?;
    make_tables(&mut connection).map_err(unusable)?;
    check_version(path, &connection)?;
    Ok(connection)
}

/// Checks that there are tables of this version, and makes none.
pub(super) fn check(path: &Path) -> Result<(), OpenError> {
    let connection = connect_reader(path).map_err(|error| unusable(path, &error))?;
    check_version(path, &connection)
}

fn unusable(path: &Path, error: &rusqlite::Error) -> OpenError {
    OpenError::Unusable { path: path.into(), cause: error.to_string() }
}

fn check_version(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let select = "SELECT value FROM meta WHERE key = 'version'";
    let version = connection.query_row(select, (), |row| row.get(0));
    match version.map_err(|error| unusable(path, &error))? {
        VERSION => Ok(()),
        found @ ..VERSION => {
            let cause = format!(
                "its schema version {found} is of no release, and this server begins with {VERSION}: \
                 move the data folder away and start anew"
            );
            Err(OpenError::Unusable { path: path.into(), cause })
        }
        found => Err(OpenError::Newer { path: path.into(), found, known: VERSION }),
    }
}

/// Opens the connection that writes to a file whose tables were checked before.
///
/// These settings hold for a connection and not for the file, but for the write-ahead log: so they
/// are made each time.
pub(super) fn connect_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // With `NORMAL` a power cut could take back commits that were answered.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is removed is overwritten, so that no wrapped key lingers in free pages.
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(connection)
}

/// Opens a connection that cannot write.
///
/// It is opened for reading and writing all the same: readers of a write-ahead log mark their place
/// in the shared memory beside it. `query_only` is what keeps it from changing the database.
pub(super) fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
}

/// Opens a file that exists; making one is `make_private`'s, with the mode that it needs.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread, so SQLite need not lock inside it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // Whoever edited the file may have left triggers or views in it, which would run as this server.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    // What SQLite sorts must not lie in a temporary folder, which others share.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // More than there are statements: each is parsed once for a connection.
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Makes the tables if there are none at all, in one transaction: a crash in the midst of it leaves
/// none, and the next start makes them.
fn make_tables(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables = "SELECT count(*) FROM sqlite_schema";
    if transaction.query_row(tables, (), |row| row.get::<_, i64>(0))? == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.execute("INSERT INTO meta VALUES ('version', ?1)", [VERSION])?;
    }
    transaction.commit()
}
