//! What is read outside the gate. Each function is one statement, or one transaction, so it sees one
//! moment, and that is not before any commit that was already answered.
//!
//! What is read here may be out of date when it is used. That is safe: whoever rests a decision on
//! a row tells the gate its epoch.

use keyhaven_engine::{
    integrity::{NodeId, Nodes},
    port::store::{Epoch, Extract, Kind, Place, StoreError, StoredRow},
    row::Serial,
};
use rusqlite::{Connection, Error, ErrorCode, OptionalExtension, types::ValueRef};

use super::nodes::NodeTable;

/// A row by its place, or none, with the register's nodes on the way to it.
pub(super) fn read(connection: &Connection, place: &Place) -> Result<Extract, StoreError> {
    let moment = connection.unchecked_transaction().map_err(read_error)?;
    let read = || {
        let mut select = moment.prepare_cached(
            "SELECT id, epoch, serial, mac, body FROM row WHERE kind = ?1 AND id = ?2",
        )?;
        let found = |row: &rusqlite::Row<'_>| stored(place.kind, row);
        let row = select.query_row((place.kind.word(), &place.id), found).optional()?;
        Ok(Extract {
            rows: row.into_iter().collect(),
            nodes: Nodes::to(&NodeTable(&moment), [place])?,
        })
    };
    read().map_err(read_error)
}

/// Rows of a kind, whose id starts with the first text and comes after the second, likewise.
/// Ids compare as bytes, and the limit counts what is returned. To go on, ask again after the last id.
pub(super) fn list(
    connection: &Connection,
    kind: Kind,
    (prefix, after): (String, String),
    limit: usize,
) -> Result<Extract, StoreError> {
    let moment = connection.unchecked_transaction().map_err(read_error)?;
    let read = || {
        // The primary key's order is that of the id's bytes, so the rows with the prefix stand together.
        let mut select = moment.prepare_cached(
            "SELECT id, epoch, serial, mac, body FROM row
             WHERE kind = ?1 AND id >= ?2 AND id > ?3 ORDER BY id",
        )?;
        // No `LIMIT`: how far the prefix reaches is seen row by row, and a row is fetched only when
        // asked for.
        let mut found = select.query((kind.word(), &prefix, &after))?;
        let mut rows = Vec::new();
        while rows.len() < limit
            && let Some(row) = found.next()?
        {
            let row = stored(kind, row)?;
            if !row.place.id.starts_with(&prefix) {
                break;
            }
            rows.push(row);
        }
        let nodes = Nodes::to(&NodeTable(&moment), rows.iter().map(|row| &row.place))?;
        Ok(Extract { rows, nodes })
    };
    read().map_err(read_error)
}

/// A row of the columns id, epoch, serial, mac, body. What is not of its type becomes something that no MAC
/// holds for: a row that was tampered with is told as such, whatever was done to it.
fn stored(kind: Kind, row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredRow> {
    let bytes = |column| {
        Ok::<_, Error>(match row.get_ref(column)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => vec![],
        })
    };
    let count = |column| {
        Ok::<_, Error>(match row.get_ref(column)? {
            ValueRef::Integer(count) => u64::try_from(count).unwrap_or(u64::MAX),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => u64::MAX,
        })
    };
    Ok(StoredRow {
        place: Place { kind, id: String::from_utf8_lossy(&bytes(0)?).into_owned() },
        epoch: Epoch(count(1)?),
        serial: Serial(count(2)?),
        mac: bytes(3)?.try_into().unwrap_or_default(),
        body: bytes(4)?,
    })
}

/// What stands in the tables and can belong to no place: nothing reads it.
pub(super) fn strays(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let read = || {
        let kinds: Vec<_> = Kind::ALL.iter().map(|kind| format!("'{}'", kind.word())).collect();
        let rows = format!(
            "SELECT kind || ' ' || id FROM row WHERE kind NOT IN ({})
             UNION ALL SELECT 'node ' || number FROM node WHERE number < 0 OR number >= {}",
            kinds.join(", "),
            NodeId::COUNT
        );
        let text = |row: &rusqlite::Row<'_>| {
            Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned())
        };
        connection.prepare(&rows)?.query_map((), text)?.collect::<Result<Vec<_>, Error>>()
    };
    read().map_err(read_error)
}

/// Log entries from an index on.
/// In order, at most `limit`, without gaps among them. The first may have a higher index than was
/// asked for, if those before it were pruned.
pub(super) fn entries(
    connection: &Connection,
    from: u64,
    limit: usize,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let entries: Vec<(i64, Vec<u8>)> = connection
        .prepare_cached("SELECT idx, entry FROM log_entry WHERE idx >= ?1 ORDER BY idx LIMIT ?2")
        .and_then(|mut select| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            select.query_map((sql(from), limit), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
        .map_err(read_error)?;
    entries.into_iter().map(|(index, entry)| Ok((number(index)?, entry))).collect()
}

/// The index that the next entry will have.
/// It stands in `meta` and not in the entries, of which none may be left.
pub(super) fn next_index(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'next_index'")
        .and_then(|mut select| select.query_row((), |row| row.get(0)))
        .map_err(read_error)
        .and_then(number)
}

/// A number as SQLite can hold it. Counting up to 2⁶³ would take millions of years.
pub(super) fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count as read. SQLite's integers are signed; a negative one was not written by us.
fn number(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} is not a count")))
}

/// Tells a file that is damaged from one that cannot be reached: the first needs a backup, the
/// second may pass.
pub(super) fn read_error(error: Error) -> StoreError {
    let unreadable = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    );
    // Errors without a code come from rusqlite: a value is not of the type it should be.
    if unreadable || error.sqlite_error_code().is_none() {
        StoreError::Corrupt(error.to_string())
    } else {
        StoreError::Unavailable(error.to_string())
    }
}
