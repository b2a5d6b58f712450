//! Documents that speak of the code say what is there.

use std::{collections::BTreeSet, fs, path::Path};

/// The attacks that the first release withstands.
const ATTACKS: [&str; 40] = [
    "F1", "F3", "F4", "F5", "F10", "F11", "D2", "D4", "D5", "D7", "D9", "D11", "D12", "D13", "D14",
    "A1", "A3", "A4", "A11", "A19", "A20", "P2", "P3", "P7", "S2", "S4", "S5", "S11", "H4", "B2",
    "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "C2", "X3",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The rows of a table in `docs/attacks.md`: the id, and the tests, each with its file.
fn attacks() -> Vec<(String, Vec<(String, String)>)> {
    let text = fs::read_to_string(root().join("docs/attacks.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id |"));
    let rows = rows.filter(|line| !line.starts_with("| --- |"));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{line}");
        let tests = cells[3].split('`').filter(|part| part.contains("::"));
        let tests = tests.map(|test| test.split_once("::").unwrap());
        let tests = tests.map(|(file, name)| (file.to_owned(), name.to_owned()));
        (cells[0].to_owned(), tests.collect())
    })
    .collect()
}

#[test]
fn every_attack_names_tests_that_exist() {
    for (id, tests) in attacks() {
        assert!(!tests.is_empty(), "{id} names no test");
        for (file, name) in tests {
            let text = fs::read_to_string(root().join(&file));
            let text = text.unwrap_or_else(|error| panic!("{id} names {file}: {error}"));
            assert!(has_test(&file, &text, &name), "{id} names {name}, which {file} has not");
        }
    }
}

/// Whether a file has this test: a function under a test attribute, or a quoted name in a script.
fn has_test(file: &str, text: &str, name: &str) -> bool {
    if !file.ends_with(".rs") {
        let escaped = name.replace('\'', "\\'");
        return text.lines().any(|line| line.contains(name) || line.contains(&escaped));
    }
    let mut attributes = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes.push(line);
        } else if line.contains(&format!("fn {name}(")) {
            return attributes.iter().any(|attribute| {
                attribute.starts_with("#[test]") || attribute.starts_with("#[tokio::test")
            });
        } else {
            attributes.clear();
        }
    }
    false
}

#[test]
fn a_test_is_told_from_what_only_looks_like_one() {
    let text =
        "#[test]\n#[expect(x)]\nfn one() {}\nfn two() {}\n#[tokio::test(a)]\nasync fn three() {}";
    let found = ["one", "two", "three", "four", "on"].map(|name| has_test("a.rs", text, name));
    assert_eq!(found, [true, false, true, false, false]);
    assert!(has_test("a.mjs", "test('it\\'s so', () => {", "it's so"));
    assert!(!has_test("a.mjs", "test('it is so', () => {", "it's so"));
}

#[test]
fn no_attack_is_missing_or_stands_twice() {
    let rows = attacks();
    let ids: BTreeSet<_> = rows.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), rows.len(), "an id stands twice");
    for id in ATTACKS {
        assert!(ids.contains(id), "{id} is missing");
    }
}
