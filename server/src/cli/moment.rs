//! Times as people give them: so long ago, or a date.

use keyhaven_engine::port::environment::Environment;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::environment::SystemEnvironment;

/// Reads a time into milliseconds since the Unix epoch.
///
/// The clock is read once for a value, so `--since 2h` and `--until 2h` of one line may be some
/// microseconds apart.
///
/// # Errors
/// The text says what a time looks like.
pub(super) fn moment(text: &str) -> Result<u64, String> {
    let now_ms = SystemEnvironment.now_ms();
    moment_at(text, now_ms).ok_or_else(|| {
        "a time is how long ago (30s, 15m, 2h, 7d, 2w), or in UTC like 2026-11-25, \
         2026-11-25 16:02:00 or 2026-11-25T16:02:00Z"
            .to_owned()
    })
}

/// As [`moment`], at a given time of day. The two forms cannot be confused: a date ends in a digit
/// or in a `Z`.
fn moment_at(text: &str, now_ms: u64) -> Option<u64> {
    ago(text, now_ms).or_else(|| date(text))
}

/// A count and its unit, back from now; what would be before 1970 is 1970.
fn ago(text: &str, now_ms: u64) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        'w' => 7 * 24 * 3600,
        _ => return None,
    };
    let (count, _) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // Parsing alone would also take `+2h`.
    let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = count.parse().ok().filter(|_| digits)?;
    Some(now_ms.saturating_sub(count.saturating_mul(unit).saturating_mul(1000)))
}

/// RFC 3339, and with what is missing of it: a date alone is its first moment, and without an offset a
/// time is in UTC, as the tables show it.
fn date(text: &str) -> Option<u64> {
    let mut text = text.replacen(' ', "T", 1);
    if !text.contains('T') {
        text.push_str("T00:00:00");
    }
    // The date has hyphens, too: an offset is looked for in the clock alone.
    let clock = text.split_once('T')?.1;
    if !clock.contains(['Z', '+', '-']) {
        text.push('Z');
    }
    let time = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
    // Nothing was recorded before 1970: a date before it is a mistake, and refused.
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_318_706_123;

    #[test]
    fn so_long_ago_is_counted_from_now() {
        for (text, seconds) in
            [("0s", 0), ("30s", 30), ("15m", 900), ("2h", 7200), ("1d", 86_400), ("2w", 1_209_600)]
        {
            assert_eq!(moment_at(text, NOW), Some(NOW - seconds * 1000), "{text}");
        }
        assert_eq!(moment_at("99999999999999w", NOW), Some(0), "before all time");
    }

    #[test]
    fn a_date_is_in_utc_unless_it_says_otherwise() {
        let second = 1_795_318_706_000;
        for (text, expected) in [
            ("2026-11-22T03:38:26Z", second),
            ("2026-11-22 03:38:26", second),
            ("2026-11-22T03:38:26.123Z", NOW),
            ("2026-11-22T04:38:26+01:00", second),
            ("2026-11-21T22:08:26-05:30", second),
            ("2026-11-22", second - (3 * 3600 + 38 * 60 + 26) * 1000),
            ("1970-01-01", 0),
        ] {
            assert_eq!(moment_at(text, NOW), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_an_example() {
        for text in [
            "",
            "h",
            "2",
            "2 h",
            "-2h",
            "+2h",
            "2.5h",
            "2y",
            "99999999999999999999999h",
            "é",
            "1969-12-31",
            "2026-13-01",
            "2026-02-30",
            "25.11.2026",
            "2026-11-25T",
            "yesterday",
        ] {
            assert_eq!(moment_at(text, NOW), None, "{text}");
            assert!(moment(text).is_err_and(|text| text.contains("2026-11-25")), "{text}");
        }
        assert!(moment("2h").is_ok());
    }
}
