//! What a command prints: JSON for programs, aligned columns for people. Whatever came from elsewhere
//! is escaped, so that a name or a log entry cannot move the cursor or change a colour.
//!
//! Documents and bytes go to standard output; errors and remarks to standard error, so that a pipe
//! carries results alone.

use std::io::{self, Write};

use serde::Serialize;

use super::error::CliError;

/// Where and how to print.
pub(super) struct Output {
    /// Whether `--json` was given: documents as the API has them, and no remarks.
    json: bool,
}

impl Output {
    /// For `--json`, or for people.
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// A document: as JSON, or as `text` says it for people.
    pub(super) fn show<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        let text = if self.json {
            escape_json(&serde_json::to_string_pretty(document).map_err(CliError::new)?)
        } else {
            escape(text(document).trim_end_matches('\n'))
        };
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// One document of a stream of them: a line of JSON, or `text`, in one line.
    pub(super) fn line<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        let text = if self.json {
            escape_json(&serde_json::to_string(document).map_err(CliError::new)?)
        } else {
            escape(&text()).replace('\n', "\\n")
        };
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Raw bytes, as they are.
    ///
    /// Nothing is escaped: this is how plaintext leaves, and it must leave byte for byte.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            // Whoever reads has seen enough, as `| head` has.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => Ok(result?),
        }
    }

    /// What a person must be told in any case, on standard error.
    pub(super) fn prompt(&self, text: &str) {
        self.warn(text);
    }

    /// A remark on standard error, for people only.
    /// It is left out with `--json`, whose reader expects a document and nothing else.
    pub(super) fn remark(&self, text: &str) {
        if !self.json {
            self.warn(text);
        }
    }

    /// The last word of a command that failed, on standard error.
    pub(super) fn complain(&self, error: &CliError) {
        self.warn(&format!("error: {error}"));
    }

    /// A line on standard error, escaped.
    fn warn(&self, text: &str) {
        // There is nowhere left to say that standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{}", escape(text));
    }
}

/// Control characters but the line feed are written as escapes.
pub(super) fn escape(text: &str) -> String {
    // C1 controls, such as U+009B, count too: some terminals take them for the start of a sequence.
    rewritten(text, |character| {
        let control = character.is_control() && character != '\n';
        control.then(|| character.escape_default().to_string())
    })
}

/// Escapes the control characters that JSON may have as they are, U+007F to U+009F (RFC 8259 §7 asks for those
/// below U+0020 only). They stand in strings alone, so the document stays the same.
pub(super) fn escape_json(json: &str) -> String {
    rewritten(json, |character| {
        let control = matches!(character, '\u{7f}'..='\u{9f}');
        control.then(|| format!("\\u{:04x}", u32::from(character)))
    })
}

/// The text with some of its characters written otherwise.
fn rewritten(text: &str, otherwise: impl Fn(char) -> Option<String>) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match otherwise(character) {
            Some(other) => written.push_str(&other),
            None => written.push(character),
        }
    }
    written
}

/// Columns under their heads, each as wide as its widest cell.
///
/// Widths are counted in characters, not in columns of the terminal: wide scripts do not line up.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let heads = heads.map(ToOwned::to_owned);
    let lines = || std::iter::once(&heads).chain(rows);
    let mut widths = [0; N];
    for line in lines() {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines() {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `2026-11-22 03:38:26` (UTC) of seconds since the Unix epoch; civil from days as in Hinnant's algorithm.
pub(super) fn time(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01: with years that begin in March, a leap day is the last day of its
    // year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second % 3600 / 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_change_the_terminal() {
        assert_eq!(escape("a\u{1b}[31mb\r\n\u{9b}c"), "a\\u{1b}[31mb\\r\n\\u{9b}c");
    }

    #[test]
    fn a_document_cannot_change_the_terminal_and_stays_the_same() {
        let document = serde_json::json!({ "name\u{9b}": "\u{1b}[31m\u{7f}\u{9d}søren" });
        let shown = escape_json(&document.to_string());
        assert!(!shown.chars().any(char::is_control), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), document);
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a".into(), "1".into()], ["longer".into(), "2".into()]];
        assert_eq!(table(["NAME", "N"], &rows), "NAME    N\na       1\nlonger  2\n");
    }

    #[test]
    fn times_are_civil() {
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(time(951_868_799), "2000-02-29 23:59:59");
        assert_eq!(time(1_795_318_706), "2026-11-22 03:38:26");
    }

    #[test]
    fn days_and_months_end_where_they_do() {
        for (seconds, expected) in [
            (1, "1970-01-01 00:00:01"),
            (3_599, "1970-01-01 00:59:59"),
            (86_399, "1970-01-01 23:59:59"),
            (86_400, "1970-01-02 00:00:00"),
            (31_535_999, "1970-12-31 23:59:59"),
            (31_536_000, "1971-01-01 00:00:00"),
            (68_169_600, "1972-02-29 00:00:00"),
            (68_256_000, "1972-03-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_709_164_800, "2024-02-29 00:00:00"),
            (1_740_787_199, "2025-02-28 23:59:59"),
            (1_740_787_200, "2025-03-01 00:00:00"),
            (2_147_483_648, "2038-01-19 03:14:08"),
            (4_102_444_800, "2100-01-01 00:00:00"),
            (4_107_542_399, "2100-02-28 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(time(seconds), expected, "{seconds}");
        }
    }

    proptest::proptest! {
        #[test]
        fn times_are_as_another_implementation_has_them(seconds in 0_i64..250_000_000_000) {
            let other = ::time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let (date, clock) = (other.date(), other.time());
            let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
            let (hour, minute, second) = (clock.hour(), clock.minute(), clock.second());
            let expected = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
            proptest::prop_assert_eq!(time(seconds.unsigned_abs()), expected);
        }

        #[test]
        fn what_is_escaped_has_no_control_character_and_stays_as_it_is(text in ".*") {
            let escaped = escape(&text);
            proptest::prop_assert!(escaped.chars().all(|c| c == '\n' || !c.is_control()));
            proptest::prop_assert_eq!(escape(&escaped), escaped);
        }
    }

    #[test]
    fn harmless_text_is_not_escaped_and_control_characters_are() {
        for text in ["", "plain", "zwei Zeilen\nmit é, 漢字 und 🔑", "a'b\"c\\d"] {
            assert_eq!(escape(text), text);
        }
        for (text, expected) in [
            ("\0", "\\u{0}"),
            ("\t", "\\t"),
            ("\u{7f}", "\\u{7f}"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{85}", "\\u{85}"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }

    #[test]
    fn a_table_of_nothing_is_its_heads_and_no_line_ends_in_spaces() {
        let none: [[String; 2]; 0] = [];
        assert_eq!(table(["NAME", "STATE"], &none), "NAME  STATE\n");
        let rows = [["é漢".to_owned(), String::new()], [String::new(), "x".to_owned()]];
        let text = table(["A", "B"], &rows);
        assert_eq!(text, "A   B\né漢\n    x\n");
    }
}
