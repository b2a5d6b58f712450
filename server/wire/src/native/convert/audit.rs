//! The audit log.
//!
//! A page is read forward from an index, or backward from the end. Filters are applied while
//! reading, so a page costs time in proportion to what it passes over, and that is bounded.

use std::time::Duration;

use keyhaven_engine::{error::Error, op::audit::ReadAudit};
use keyhaven_shared::{api::audit::AuditPage, operation::Operation};
use serde_json::Value;

use crate::{
    audit::{AuditFilter, AuditReader, AuditUnavailable},
    native::{
        arguments::{Arguments, FROM, LIMIT, MOST_ITEMS, Parameter},
        body::NoBody,
        error::Refusal,
        routes::{Call, Later, Line, Route},
    },
};

/// A parameter that is compared as text.
const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about, number: false, required: false }
}

/// A parameter that is a number.
const fn number(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about, number: true, required: false }
}

const PRINCIPAL: Parameter = text("principal", "Only what this principal did.");
const OPERATION: Parameter = text("operation", "Only this operation.");
const KEY: Parameter = text("key", "Only of this key: an id, or as the request named it.");
const DECISION: Parameter = text("decision", "Only `allowed`, or only `refused`.");
const OUTCOME: Parameter = text("outcome", "Only with this outcome: `ok`, or an error's code.");
const SINCE: Parameter =
    number("since_ms", "Not before this time, in milliseconds since the Unix epoch.");
const UNTIL: Parameter = number("until_ms", "Before this time, likewise.");
const LAST: Parameter =
    number("last", "The newest so many, 1 to 1000, in place of `from` and `limit`.");
const BEFORE: Parameter = number("before", "With `last`: the newest below this index.");
const WAIT: Parameter = number(
    "wait",
    "With `from`, when nothing is there yet: seconds to wait for something other than a reading of the log, at most 30. The answer then always has `next`.",
);

/// What a page can be asked for by.
pub(crate) const QUERY: &[Parameter] =
    &[FROM, LIMIT, WAIT, LAST, BEFORE, PRINCIPAL, OPERATION, KEY, DECISION, OUTCOME, SINCE, UNTIL];

/// The most seconds that a request waits for news.
const LONGEST_WAIT: u64 = 30;
/// So many entries are read at once. With a filter: without one, as many as the page has.
const CHUNK: usize = 1000;
/// So many are looked at for one page, which may be short then; `next` or `previous` says where to
/// go on. A rare filter over a long log takes several requests, and none of them long.
const MOST_LOOKED_AT: usize = 50_000;

/// `GET /audit`.
pub(crate) fn read_route(line: Line) -> Route {
    line.query(QUERY).runs::<NoBody, _>((Operation::ReadAudit, None), read)
}

/// One page of the log, as JSON of the entries themselves.
///
/// # Errors
/// [`Refusal::Malformed`] for parameters that do not fit each other; [`Error::Denied`];
/// [`Error::Unavailable`] when the log cannot be read, which is not told apart from its being
/// behind.
fn read(call: Call<'_>) -> Later<'_, AuditPage> {
    Box::pin(async move {
        let asked = Asked::read(&call.arguments)?;
        // Before the log is touched. The reading is itself an entry, and may be the last of the
        // page.
        call.wire.engine.execute(call.caller, &ReadAudit).await?;
        let log = call.wire.audit.as_ref();
        let page = match asked.part {
            Part::From(from, limit, None) => forward(log, &asked.filter, (from, limit)).await,
            Part::From(from, limit, Some(patience)) => {
                follow(log, &asked.filter, (from, limit, patience)).await
            }
            Part::Last(last, before) => backward(log, &asked.filter, (last, before)).await,
        };
        page.map_err(|AuditUnavailable| Error::Unavailable.into())
    })
}

/// What a request asks for. Checked as a whole: a parameter that would be without effect is
/// refused, not passed over.
struct Asked {
    /// Which entries.
    filter: AuditFilter,
    /// Which stretch of the log.
    part: Part,
}

/// The two ways to read, which exclude each other.
enum Part {
    /// From an index on, at most so many, and how long to wait for the first.
    From(u64, usize, Option<Duration>),
    /// The newest so many, below an index.
    Last(usize, Option<u64>),
}

impl Asked {
    /// Reads the query.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], naming the parameter.
    fn read(arguments: &Arguments) -> Result<Self, Refusal> {
        // An empty text is as good as none: forms send one for each field that is left empty.
        let given = |parameter| Some(arguments.text(parameter)).filter(|text| !text.is_empty());
        let filter = AuditFilter {
            principal: given(PRINCIPAL),
            operation: given(OPERATION),
            key: given(KEY),
            decision: given(DECISION),
            outcome: given(OUTCOME),
            since_ms: arguments.number(SINCE)?,
            until_ms: arguments.number(UNTIL)?,
        };
        // A word that no entry can have would show an empty log: better said now.
        if filter.operation.as_ref().is_some_and(|name| name.parse::<Operation>().is_err()) {
            return Err(malformed("`operation` is not the name of an operation"));
        }
        if filter.decision.as_ref().is_some_and(|word| word != "allowed" && word != "refused") {
            return Err(malformed("`decision` is `allowed` or `refused`"));
        }
        let part = match (arguments.number(LAST)?, arguments.number(BEFORE)?) {
            (None, None) => {
                // The first stretch, when nothing is said: the log begins at 0.
                let from = arguments.number(FROM)?.unwrap_or_default();
                let wait = arguments.number(WAIT)?;
                if wait.is_some_and(|seconds| seconds > LONGEST_WAIT) {
                    return Err(malformed("`wait` is 0 to 30"));
                }
                Part::From(from, arguments.limit()?, wait.map(Duration::from_secs))
            }
            (None, Some(_)) => return Err(malformed("`before` goes with `last`")),
            (Some(_), _) if [FROM, LIMIT, WAIT].iter().any(|part| arguments.has(*part)) => {
                return Err(malformed("`last` stands in place of `from`, `limit` and `wait`"));
            }
            (Some(last), before) => {
                let fits = (1..=MOST_ITEMS).contains(&last);
                let last = usize::try_from(last).ok().filter(|_| fits);
                Part::Last(last.ok_or_else(|| malformed("`last` is 1 to 1000"))?, before)
            }
        };
        Ok(Self { filter, part })
    }
}

/// A refusal with a text of our own.
fn malformed(text: &str) -> Refusal {
    Refusal::Malformed(text.to_owned())
}

/// Up to `limit` entries that fit, from `from` on. `next` is where to go on, and `None` when the
/// newest entry was reached.
///
/// # Errors
/// [`AuditUnavailable`] as the reader, and for an entry without an index.
async fn forward(
    log: &dyn AuditReader,
    filter: &AuditFilter,
    (from, limit): (u64, usize),
) -> Result<AuditPage, AuditUnavailable> {
    // Without a filter, exactly a page is read; with one, most entries will be passed over.
    let chunk = if *filter == AuditFilter::default() { limit } else { CHUNK };
    let (mut entries, mut at, mut looked_at) = (Vec::new(), from, 0_usize);
    while looked_at < MOST_LOOKED_AT && entries.len() < limit {
        let read = log.read(at, chunk).await?;
        if read.is_empty() {
            return Ok(AuditPage { entries, next: None, previous: None });
        }
        looked_at = looked_at.saturating_add(read.len());
        for entry in read {
            // What was read beyond the page is read again for the next: `at` stands behind the last
            // one looked at.
            if entries.len() == limit {
                break;
            }
            // From the entry and not by counting: where to go on must be right whatever was read.
            at = index_of(&entry)?.saturating_add(1);
            if filter.wants(&entry) {
                entries.push(entry);
            }
        }
    }
    Ok(AuditPage { entries, next: Some(at), previous: None })
}

/// As [`forward`], for who follows the log: waits while there is nothing new, and always says where
/// to go on.
async fn follow(
    log: &dyn AuditReader,
    filter: &AuditFilter,
    (from, limit, patience): (u64, usize, Duration),
) -> Result<AuditPage, AuditUnavailable> {
    log.news(from, patience).await?;
    // Before the page is read: what is committed while it is read comes in it or in the next one.
    let end = log.end().await?;
    let page = forward(log, filter, (from, limit)).await?;
    let next = match (page.next, page.entries.last()) {
        (Some(next), _) => next,
        (None, Some(last)) => index_of(last)?.saturating_add(1).max(end),
        (None, None) => end.max(from),
    };
    Ok(AuditPage { next: Some(next), ..page })
}

/// Up to `last` entries that fit, the newest below `before`, in order of index. `previous` is what
/// to give as `before` for the page in front, and `None` at the beginning of the log.
///
/// # Errors
/// As [`forward`], and when fewer entries come than the log has.
async fn backward(
    log: &dyn AuditReader,
    filter: &AuditFilter,
    (last, before): (usize, Option<u64>),
) -> Result<AuditPage, AuditUnavailable> {
    let chunk = if *filter == AuditFilter::default() { last } else { CHUNK };
    // Once: what is committed meanwhile is newer than the page.
    let end = log.end().await?;
    let (mut entries, mut at, mut looked_at) =
        (Vec::new(), before.unwrap_or(end).min(end), 0_usize);
    while looked_at < MOST_LOOKED_AT && entries.len() < last && at > 0 {
        let first = at.saturating_sub(u64::try_from(chunk).unwrap_or(u64::MAX));
        let count = usize::try_from(at.saturating_sub(first)).unwrap_or(chunk);
        let read = log.read(first, count).await?;
        looked_at = looked_at.saturating_add(count);
        // Fewer than there must be would be asked for again and again.
        if read.len() != count {
            return Err(AuditUnavailable);
        }
        for entry in read.into_iter().rev() {
            if entries.len() == last {
                break;
            }
            at = index_of(&entry)?;
            if filter.wants(&entry) {
                entries.push(entry);
            }
        }
    }
    // Gathered from the newest, shown in order of index like every page.
    entries.reverse();
    Ok(AuditPage { entries, next: None, previous: (at > 0).then_some(at) })
}

/// An entry's place in the log. An entry without one is not a page with a gap, but a fault.
fn index_of(entry: &Value) -> Result<u64, AuditUnavailable> {
    entry.get("index").and_then(Value::as_u64).ok_or(AuditUnavailable)
}
