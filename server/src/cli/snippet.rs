//! The line of a policy that a fault is in, with its neighbours, as compilers show it.
//!
//! A policy's errors name their place in the text of the message and nowhere else, so it is read
//! out of that. A message that reads otherwise loses its snippet and nothing more.

/// The snippet that a message such as `… at line 3, column 14: …` is about; nothing if it names no place.
/// Lines and columns count from 1. The snippet begins with a newline, for it is appended to the
/// message.
pub(super) fn snippet(message: &str, text: &str) -> Option<String> {
    let (line, column) = place(message)?;
    let mut shown = String::new();
    for (number, content) in (1..).zip(text.lines()) {
        if line.abs_diff(number) > 1 {
            continue;
        }
        shown.push_str(&format!("\n  {number:>4} | {content}"));
        if number == line {
            shown.push_str(&format!("\n       | {}^", " ".repeat(column.saturating_sub(1))));
        }
    }
    (!shown.is_empty()).then_some(shown)
}

/// The line and column that the message names first.
fn place(message: &str) -> Option<(usize, usize)> {
    let (_, rest) = message.split_once(" at line ")?;
    let (line, rest) = rest.split_once(", column ")?;
    let column: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((line.parse().ok()?, column.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_shown_with_its_neighbours_and_a_mark() {
        let shown = snippet("policy `a` at line 2, column 3: no", "one\ntwo\nthree\nfour").unwrap();
        assert_eq!(shown, "\n     1 | one\n     2 | two\n       |   ^\n     3 | three");
    }

    #[test]
    fn a_message_without_a_place_has_no_snippet() {
        assert_eq!(snippet("policy `a` has a template", "one"), None);
        assert_eq!(snippet("at line 9, column 1: x", "one"), None);
    }

    #[test]
    fn borders_and_nonsense_do_not_break_it() {
        let at = |line: &str, column: &str, text: &str| {
            snippet(&format!("x at line {line}, column {column}: no"), text)
        };
        assert_eq!(at("1", "1", "a").as_deref(), Some("\n     1 | a\n       | ^"));
        assert_eq!(at("1", "0", "a").as_deref(), Some("\n     1 | a\n       | ^"));
        let first = at("1", "2", "a\nb\nc").unwrap();
        assert!(first.contains("   2 | b") && !first.contains('c'), "{first}");
        let last = at("3", "1", "a\nb\nc").unwrap();
        assert!(!last.contains('a') && last.ends_with("   3 | c\n       | ^"), "{last}");
        for (line, column) in [("9", "1"), ("x", "1"), ("1", "x"), ("-1", "1"), ("1", "")] {
            assert_eq!(at(line, column, "a"), None, "{line}, {column}");
        }
        assert_eq!(at("1", "1", ""), None);
        assert_eq!(at("99999999999999999999999", "1", "a"), None);
    }
}
