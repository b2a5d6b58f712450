//! What is read outside the gate. Each function is one statement, so it sees one moment, and that is not
//! before any commit that was already answered.
//!
//! What is read here may be out of date when it is used. That is safe: whoever rests a decision on
//! a row tells the gate its epoch.

use keyhaven_engine::port::store::{Epoch, Kind, Place, Row, StoreError};
use rusqlite::{Connection, Error, ErrorCode, OptionalExtension};

/// A row by its place.
/// One that never was is [`Epoch::ABSENT`] without a body; one that was removed has its epoch and
/// no body.
pub(super) fn read(connection: &Connection, place: Place) -> Result<Row, StoreError> {
    let found = connection
        .prepare_cached("SELECT epoch, body FROM row WHERE kind = ?1 AND id = ?2")
        .and_then(|mut select| {
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            select.query_row((place.kind.word(), &place.id), columns).optional()
        })
        .map_err(read_error)?;
    let (epoch, body) = match found {
        Some((epoch, body)) => (to_epoch(epoch)?, body),
        None => (Epoch::ABSENT, None),
    };
    Ok(Row { place, epoch, body })
}

/// Rows of a kind with a body, whose id starts with the first text and comes after the second.
/// Ids compare as bytes, and the limit counts what is returned. To go on, ask again after the last
/// id.
pub(super) fn list(
    connection: &Connection,
    kind: Kind,
    (prefix, after): (String, String),
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    // The primary key's order is that of the id's bytes, so the rows with the prefix stand together.
    let mut select = connection
        .prepare_cached(
            "SELECT id, epoch, body FROM row
             WHERE kind = ?1 AND id >= ?2 AND id > ?3 AND body IS NOT NULL ORDER BY id",
        )
        .map_err(read_error)?;
    // No `LIMIT`: how far the prefix reaches is seen row by row, and a row is fetched only when
    // asked for.
    let mut found = select.query((kind.word(), &prefix, after)).map_err(read_error)?;
    let mut rows = Vec::new();
    while rows.len() < limit
        && let Some(row) = found.next().map_err(read_error)?
    {
        let id: String = row.get(0).map_err(read_error)?;
        if !id.starts_with(&prefix) {
            break;
        }
        let epoch = to_epoch(row.get(1).map_err(read_error)?)?;
        rows.push(Row { place: Place { kind, id }, epoch, body: row.get(2).map_err(read_error)? });
    }
    Ok(rows)
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

/// An epoch as read.
fn to_epoch(epoch: i64) -> Result<Epoch, StoreError> {
    number(epoch).map(Epoch)
}

/// Tells a file that is damaged from one that cannot be reached: the first needs a backup, the
/// second may pass.
fn read_error(error: Error) -> StoreError {
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
