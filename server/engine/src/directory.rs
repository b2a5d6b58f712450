//! Rows in memory. What is cached here may be stale; that is safe because the commit gate compares the
//! epochs of everything a decision rested on before it releases anything.
//!
//! What is *not* safe by the gate is a refusal, which rests on nothing that is checked again. So
//! whatever this process writes is forgotten here before its answer leaves.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    error::Error,
    port::store::{Epoch, Kind, Place, Row, Store, Write},
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
    cached: RwLock<HashMap<Place, Cached>>,
}

/// Beyond this many rows the cache starts anew; a bound on memory, not a working size.
const MOST_CACHED: usize = 200_000;

impl Directory {
    /// An empty cache over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, cached: RwLock::default() }
    }

    /// The store behind it. For what must be read past the cache, and for the log's entries.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
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
        let row = self.store.read(place).await?;
        // Absence is not remembered: places can be asked for by anybody, and would fill the cache.
        let Some(body) = &row.body else { return Ok(None) };
        let record = Arc::new(parse(decode(&row.place, body)?)?);
        self.remember(&row, Arc::clone(&record) as Arc<dyn Any + Send + Sync>);
        Ok(Some(Loaded { place: row.place, epoch: row.epoch, record }))
    }

    /// The epoch of a place, whether or not a row stands there. Read from the store. For writing to
    /// a place: a row that was removed has left its epoch behind.
    ///
    /// # Errors
    /// As the store.
    pub async fn epoch(&self, place: Place) -> Result<Epoch, Error> {
        Ok(self.store.read(place).await?.epoch)
    }

    /// Lists rows of one kind; read from the store. Up to `limit` whose id starts with `prefix` and
    /// comes after `after`, in order of id bytes. One row that cannot be read fails the whole list:
    /// leaving it out would hide it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn list<R: Record>(
        &self,
        (prefix, after): (&str, &str),
        limit: usize,
    ) -> Result<Vec<Loaded<R>>, Error> {
        let rows = self.store.list(R::KIND, prefix.to_owned(), after.to_owned(), limit).await?;
        let decoded = rows.into_iter().map(|row| {
            let record = decode::<R>(&row.place, row.body.as_deref().unwrap_or_default())?;
            Ok(Loaded { place: row.place, epoch: row.epoch, record: Arc::new(record) })
        });
        decoded.collect()
    }

    /// Drops a row from the cache, so that the next look reads the store. A read that is under way
    /// may still put the old row back; a decision that rests on it is then refused as stale, and
    /// forgotten again.
    pub fn forget(&self, place: &Place) {
        self.cached.write().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    /// A row in memory, as the type asked for.
    fn cached<T: Send + Sync + 'static>(&self, place: &Place) -> Option<Loaded<T>> {
        let cached = self.cached.read().unwrap_or_else(PoisonError::into_inner);
        let (epoch, record) = cached.get(place)?;
        let record = Arc::clone(record).downcast().ok()?;
        Some(Loaded { place: place.clone(), epoch: *epoch, record })
    }

    /// Two readers may finish out of order: the newer epoch stays.
    fn remember(&self, row: &Row, record: Arc<dyn Any + Send + Sync>) {
        let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        if cached.len() >= MOST_CACHED {
            // All of it: choosing the least used would cost each look-up something.
            cached.clear();
        }
        let newer = cached.get(&row.place).is_none_or(|(epoch, _)| *epoch <= row.epoch);
        if newer {
            cached.insert(row.place.clone(), (row.epoch, record));
        }
    }
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
