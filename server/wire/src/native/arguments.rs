//! What a request says in its path and its query.
//!
//! One spelling each, as for the bodies: what this version does not know is refused and not passed
//! over, so that a filter that is misspelt cannot show more than was asked for.

use keyhaven_engine::name::KeyName;
use percent_encoding::percent_decode_str;

use super::error::Refusal;

/// A query parameter that an endpoint knows. The description of the API is written from it, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    /// As it stands in the query, never encoded.
    pub(crate) name: &'static str,
    /// One sentence, for the description.
    pub(crate) about: &'static str,
    /// Whether it is a number, for the description; [`Arguments::number`] checks it.
    pub(crate) number: bool,
    /// Whether the endpoint refuses to do without, for the description likewise.
    pub(crate) required: bool,
}

/// Goes on after an item of the page before. An id or a name; it need not exist any more.
pub(crate) const AFTER: Parameter = Parameter {
    name: "after",
    about: "The `next` of the page before.",
    number: false,
    required: false,
};
/// Bounds a page. See [`Arguments::limit`].
pub(crate) const LIMIT: Parameter = Parameter {
    name: "limit",
    about: "Items a page, 1 to 1000; 100 when left out.",
    number: true,
    required: false,
};
/// Names a keyring.
pub(crate) const KEYRING: Parameter = Parameter {
    name: "keyring",
    about: "The keyring's name; `default` when left out.",
    number: false,
    required: false,
};
/// Begins a page of the audit log.
pub(crate) const FROM: Parameter = Parameter {
    name: "from",
    about: "The index to begin at; 0 when left out.",
    number: true,
    required: false,
};
/// Goes on after an event.
pub(crate) const AFTER_SERIAL: Parameter = Parameter {
    name: "after",
    about: "The `id` of the last event received; from now on when left out.",
    number: true,
    required: false,
};
/// Names a stream of events.
pub(crate) const STREAM: Parameter = Parameter {
    name: "stream",
    about: "32 random bytes in base64url without padding: the stream's events are signed for it.",
    number: false,
    required: true,
};

/// The most items of a page. A bound on one answer's memory and time.
pub(crate) const MOST_ITEMS: u64 = 1000;
/// Items of a page when no number is given.
const USUAL_ITEMS: u64 = 100;

/// The path's named parts and the query's parameters. Text as it was sent, the query's decoded
/// once; nothing is believed yet.
pub(crate) struct Arguments {
    parts: Vec<(&'static str, String)>,
    query: Vec<(&'static str, String)>,
}

impl Arguments {
    /// Reads the query; a parameter that is unknown or stands twice is refused. Of two, a proxy
    /// might look at one and we at the other.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], which lists the parameters that there are and repeats nothing that
    /// was sent.
    pub(crate) fn read(
        parts: Vec<(&'static str, String)>,
        query: Option<&str>,
        known: &'static [Parameter],
    ) -> Result<Self, Refusal> {
        let mut read: Vec<(&'static str, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|_| query.is_some()) {
            // Names are compared as sent: none needs encoding, and `%6Cimit` is no other way to
            // write `limit`.
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
                let names: Vec<_> = known.iter().map(|known| format!("`{}`", known.name)).collect();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(malformed(&format!(
                    "unknown query parameter: this path knows {names}"
                )));
            };
            if read.iter().any(|(seen, _)| *seen == parameter.name) {
                return Err(malformed(&format!("`{}` stands twice in the query", parameter.name)));
            }
            // Percent-encoding only: a plus sign is a plus sign here, not a space as in forms.
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| malformed("the query is not UTF-8"))?;
            read.push((parameter.name, value.into_owned()));
        }
        Ok(Self { parts, query: read })
    }

    /// A named part of the path. Empty for a name that the pattern does not have, and then nothing
    /// fits it.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.parts.iter().find(|(part, _)| *part == name).map_or("", |(_, text)| text)
    }

    /// A part of the path that is an id.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], saying what form an id has.
    pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<T, Refusal> {
        self.part(name).parse().map_err(|error| malformed(&format!("{error}")))
    }

    /// The key that the path names: an id, an alias, or `keyring:alias`. Whether there is one is
    /// not looked up here.
    ///
    /// # Errors
    /// As [`KeyName::parse`].
    pub(crate) fn key(&self) -> Result<KeyName, Refusal> {
        Ok(KeyName::parse(self.part("key"))?)
    }

    /// A query parameter; empty when left out.
    pub(crate) fn text(&self, parameter: Parameter) -> String {
        self.given(parameter).unwrap_or_default().to_owned()
    }

    /// Whether a query parameter is there. With a value or without.
    pub(crate) fn has(&self, parameter: Parameter) -> bool {
        self.given(parameter).is_some()
    }

    /// A query parameter that is a number: decimal digits alone, up to 2^64 − 1; `None` when left
    /// out.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for anything else, an empty value too.
    pub(crate) fn number(&self, parameter: Parameter) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.given(parameter) else { return Ok(None) };
        // The library would also take a plus sign: one spelling is enough.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.map(Some).ok_or_else(|| malformed(&format!("`{}` is a number", parameter.name)))
    }

    /// How many items a page is to have: 1 to 1000, and 100 when nothing is said.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for a number beyond, rather than quietly giving fewer.
    pub(crate) fn limit(&self) -> Result<usize, Refusal> {
        let limit = self.number(LIMIT)?.unwrap_or(USUAL_ITEMS);
        let fits = (1..=MOST_ITEMS).contains(&limit);
        let limit = usize::try_from(limit).ok().filter(|_| fits);
        limit.ok_or_else(|| malformed("`limit` is 1 to 1000"))
    }

    /// The decoded value, if the parameter is there.
    fn given(&self, parameter: Parameter) -> Option<&str> {
        let found = self.query.iter().find(|(name, _)| *name == parameter.name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A refusal with a text of our own.
fn malformed(text: &str) -> Refusal {
    Refusal::Malformed(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Option<Arguments> {
        Arguments::read(vec![], Some(query), &[AFTER, LIMIT]).ok()
    }

    #[test]
    fn each_parameter_is_known_and_stands_once() {
        let arguments = read("after=ann%40example.org&limit=7").unwrap();
        assert_eq!(arguments.text(AFTER), "ann@example.org");
        assert_eq!(arguments.limit().ok(), Some(7));
        assert_eq!(Arguments::read(vec![], None, &[LIMIT]).ok().unwrap().limit().ok(), Some(100));
        for bad in ["limit=1&limit=1", "limits=1", "%6Cimit=1", "", "&", "limit=1&", "after=%ff"] {
            assert!(read(bad).is_none(), "{bad}");
        }
        for bad in ["0", "1001", "-1", "+1", "1.0", "", "x", "99999999999999999999999"] {
            assert!(read(&format!("limit={bad}")).unwrap().limit().is_err(), "{bad}");
        }
    }
}
