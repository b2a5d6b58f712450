//! Rows in memory. What is cached here may be stale; that is safe because the commit gate compares the
//! epochs of everything a decision rested on before it releases anything. What is read is believed only if
//! it is the newest that this installation wrote (see [`crate::integrity`]).
//!
//! What is *not* safe by the gate is a refusal, which rests on nothing that is checked again. So
//! whatever this process writes is forgotten here before its answer leaves, and a read that was
//! under way meanwhile does not put the old row back.

use std::{any::Any, collections::HashMap, sync::Arc};

use crate::{
    alarm::Alarms,
    error::Error,
    integrity::{Fault, NodeId, Register, RowSeal},
    memory::{Memory, Since},
    port::store::{Epoch, Extract, Kind, Place, Row, Store, StoreError, Write},
    record::Record,
};

/// A row's document with the place and epoch it was read at. Cheap to clone: the document is
/// shared.
#[derive(Debug)]
pub struct Loaded<R> {
    /// Where it stands.
    pub place: Place,
    /// Counts its changes.
    pub epoch: Epoch,
    /// The document.
    pub record: Arc<R>,
}

// By hand: the derived one would ask that `R` can be cloned, too.
impl<R> Clone for Loaded<R> {
    fn clone(&self) -> Self {
        Self { place: self.place.clone(), epoch: self.epoch, record: Arc::clone(&self.record) }
    }
}

impl<R> Loaded<R> {
    /// What a proposal says it rested on.
    #[must_use]
    pub fn read(&self) -> (Place, Epoch) {
        (self.place.clone(), self.epoch)
    }
}

/// A parsed document of whatever type its place has. A place is only ever loaded as one type; as
/// another it would look absent from the cache, and be read anew.
type Cached = (Epoch, Arc<dyn Any + Send + Sync>);

/// The cache of rows over a store.
/// It keeps no row that is absent, so that a new one is found at once, and no list.
pub struct Directory {
    store: Arc<dyn Store>,
    seal: Arc<RowSeal>,
    alarms: Arc<Alarms>,
    cached: Memory<HashMap<Place, Cached>>,
}

/// Beyond this many rows the cache starts anew; a bound on memory, not a working size.
const MOST_CACHED: usize = 200_000;

impl Directory {
    /// An empty cache over `store`, which believes what is under `seal`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, seal: Arc<RowSeal>, alarms: Arc<Alarms>) -> Self {
        Self { store, seal, alarms, cached: Memory::default() }
    }

    /// Loads a row's document; `None` where there is none.
    ///
    /// # Errors
    /// As the store; [`Error::Internal`] for a row that this build cannot read.
    pub async fn load<R: Record>(&self, place: Place) -> Result<Option<Loaded<R>>, Error> {
        self.load_as(place, Ok::<R, Error>).await
    }

    /// Loads a row's document in a parsed form, which is what is cached: a key's words and a
    /// device's points are parsed once, not for each request. Always pass the same `parse` for a
    /// kind.
    ///
    /// # Errors
    /// As [`Self::load`], and as `parse`.
    pub async fn load_as<R: Record, T: Send + Sync + 'static>(
        &self,
        place: Place,
        parse: impl FnOnce(R) -> Result<T, Error> + Send,
    ) -> Result<Option<Loaded<T>>, Error> {
        if let Some(loaded) = self.cached(&place) {
            return Ok(Some(loaded));
        }
        let since = self.cached.begin();
        let row = self.read(place).await?;
        // Absence is not remembered: places can be asked for by anybody, and would fill the cache.
        let Some(body) = &row.body else { return Ok(None) };
        let record = Arc::new(parse(decode(&row.place, body)?)?);
        self.remember((&row, since), Arc::clone(&record) as Arc<dyn Any + Send + Sync>);
        Ok(Some(Loaded { place: row.place, epoch: row.epoch, record }))
    }

    /// Reads a row from the store, past the cache. It is the newest at its place.
    ///
    /// # Errors
    /// As the store; [`Error::Quarantined`] for a row that was tampered with, [`Error::RolledBack`].
    pub async fn read(&self, place: Place) -> Result<Row, Error> {
        self.alarms.check(&place)?;
        let since = self.seal.newest();
        let Extract { rows, nodes } = match self.store.read(place.clone()).await {
            Err(StoreError::Corrupt(_)) => return Err(self.alarms.raise(&place, Fault::Changed)),
            read => read?,
        };
        let mut register = Register::open(&self.seal, nodes.get(NodeId::Root), since);
        let checked = register.check(&place, rows.into_iter().next(), &nodes);
        checked.map_err(|fault| self.alarms.raise(&place, fault))
    }

    /// The epoch of a place, whether or not a row stands there. Read from the store. For writing to
    /// a place: a row that was removed has left its epoch behind.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn epoch(&self, place: Place) -> Result<Epoch, Error> {
        Ok(self.read(place).await?.epoch)
    }

    /// Reads a row's document and its epoch from the store, past the cache: for rows that change often.
    ///
    /// # Errors
    /// As [`Self::read`]; [`Error::Internal`] for a row that this build cannot read.
    pub async fn read_newest<R: Record>(&self, place: Place) -> Result<(Epoch, Option<R>), Error> {
        let row = self.read(place).await?;
        let record = row.body.as_deref().map(|body| decode(&row.place, body)).transpose()?;
        Ok((row.epoch, record))
    }

    /// Lists rows of one kind; read from the store. Each is the newest at its place, and where the list is
    /// of all rows of the kind, none is missing. Up to `limit` whose id starts with `prefix` and comes
    /// after `after`, in order of id bytes. One row that cannot be read fails the whole list: leaving it
    /// out would hide it.
    ///
    /// # Errors
    /// As [`Self::read`] and [`Self::load`]: a list with a row that was tampered with is no list.
    pub async fn list<R: Record>(
        &self,
        which: (&str, &str),
        limit: usize,
    ) -> Result<Vec<Loaded<R>>, Error> {
        let listed = self.list_each::<R>(which, limit).await?;
        listed.into_iter().map(|row| loaded(row?)).collect()
    }

    /// As [`Self::list`], but what was tampered with is left out: for work that goes on with the others.
    ///
    /// # Errors
    /// As the store; [`Error::RolledBack`].
    pub async fn list_sound<R: Record>(&self) -> Result<Vec<Loaded<R>>, Error> {
        let listed = self.list_each::<R>(("", ""), usize::MAX).await?;
        let sound = listed.into_iter().filter(|row| *row != Err(Error::Quarantined));
        sound.map(|row| loaded(row?)).collect()
    }

    /// Rows, or why they are refused; a last error stands for rows that are missing.
    async fn list_each<R: Record>(
        &self,
        (prefix, after): (&str, &str),
        limit: usize,
    ) -> Result<Vec<Result<Row, Error>>, Error> {
        self.alarms.check_store()?;
        let since = self.seal.newest();
        let Extract { rows, nodes } =
            self.store.list(R::KIND, prefix.to_owned(), after.to_owned(), limit).await?;
        let mut register = Register::open(&self.seal, nodes.get(NodeId::Root), since);
        let whole = prefix.is_empty() && after.is_empty() && rows.len() < limit;
        let counted = if whole { register.check_count(R::KIND, rows.len()) } else { Ok(()) };
        let mut checked: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let place = row.place.clone();
                let checked = register.check(&place, Some(row), &nodes);
                checked.map_err(|fault| self.alarms.raise(&place, fault))
            })
            .collect();
        if let Err(fault) = counted {
            checked.push(Err(self.alarms.raise(&Place::new(R::KIND, "(list)"), fault)));
        }
        Ok(checked)
    }

    /// Drops a row from the cache, so that the next look reads the store. What is being read
    /// meanwhile is not remembered: it may be the row as it was.
    pub fn forget(&self, place: &Place) {
        self.cached.forget(|rows| drop(rows.remove(place)));
    }

    /// A row in memory, as the type asked for.
    fn cached<T: Send + Sync + 'static>(&self, place: &Place) -> Option<Loaded<T>> {
        let (epoch, record) = self.cached.look(|rows| rows.get(place).cloned())?;
        Some(Loaded { place: place.clone(), epoch, record: record.downcast().ok()? })
    }

    fn remember(&self, (row, since): (&Row, Since), record: Arc<dyn Any + Send + Sync>) {
        self.cached.keep(since, |rows| {
            if rows.len() >= MOST_CACHED {
                // All of it: choosing the least used would cost each look-up something.
                rows.clear();
            }
            // Two readers may finish out of order: the newer epoch stays.
            let newer = rows.get(&row.place).is_none_or(|(epoch, _)| *epoch <= row.epoch);
            if newer {
                rows.insert(row.place.clone(), (row.epoch, record));
            }
        });
    }
}

fn loaded<R: Record>(row: Row) -> Result<Loaded<R>, Error> {
    let record = decode::<R>(&row.place, row.body.as_deref().unwrap_or_default())?;
    Ok(Loaded { place: row.place, epoch: row.epoch, record: Arc::new(record) })
}

/// Reads a document. What is wrong with it goes to the log alone, with the place and never the
/// text.
fn decode<R: Record>(place: &Place, body: &[u8]) -> Result<R, Error> {
    serde_json::from_slice(body).map_err(|error| {
        let (kind, id) = (place.kind.word(), &place.id);
        tracing::error!(kind, id, %error, "the store holds a row that this build cannot read");
        Error::Internal
    })
}

/// A change of a row: its new document. `expected` is the epoch it was read at; [`Epoch::ABSENT`]
/// only for a place where nothing ever was.
///
/// # Errors
/// [`Error::Internal`] when the document does not serialize, which no document here does.
pub fn put<R: Record>(place: Place, expected: Epoch, record: &R) -> Result<Write, Error> {
    debug_assert!(place.kind == R::KIND || place.kind == Kind::KeyVersion);
    let body = serde_json::to_vec(record).map_err(|_| Error::Internal)?;
    Ok(Write { place, expected, body: Some(body) })
}
