//! The database file: its tables, and how connections to it are set up.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::OpenError;

/// The version of the tables below, in `meta`.
const VERSION: i64 = 1;

/// How long a connection waits for another one: only ever for a checkpoint or a recovery.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pages in the write-ahead log at which it is moved into the database file: 32 MiB.
const CHECKPOINT_PAGES: i64 = 8192;

const TABLES: &str = "
    CREATE TABLE row (
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        epoch INTEGER NOT NULL CHECK (epoch > 0),
        body BLOB,
        PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID;
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
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let unusable = |error: rusqlite::Error| OpenError::Unusable {
        path: path.into(),
        cause: error.to_string(),
    };
    let mut connection = connect_writer(path).map_err(unusable)?;
    match version(&mut connection).map_err(unusable)? {
        VERSION => Ok(connection),
        found @ ..VERSION => {
            let cause = format!("its schema version {found} never was");
            Err(OpenError::Unusable { path: path.into(), cause })
        }
        found => Err(OpenError::Newer { path: path.into(), found, known: VERSION }),
    }
}

/// Opens the connection that writes to a file whose tables were checked before.
pub(super) fn connect_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is removed is overwritten, so that no wrapped key lingers in free pages.
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(super) fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread, so SQLite need not lock inside it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// The version of the tables, which are made if there are none at all.
fn version(connection: &mut Connection) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables = "SELECT count(*) FROM sqlite_schema";
    if transaction.query_row(tables, (), |row| row.get::<_, i64>(0))? == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.execute("INSERT INTO meta VALUES ('version', ?1)", [VERSION])?;
    }
    let select = "SELECT value FROM meta WHERE key = 'version'";
    let version = transaction.query_row(select, (), |row| row.get(0))?;
    transaction.commit()?;
    Ok(version)
}
