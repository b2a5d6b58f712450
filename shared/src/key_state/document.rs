//! `docs/key-states.md` is written from the table, and kept current by a test.

use std::{env, fs, path::Path};

use super::{KeyEvent, KeyState, Operation};
use crate::operation::Target;

const STATES: [KeyState; 4] = [
    KeyState::Enabled,
    KeyState::Disabled,
    KeyState::PendingDestruction { at: 0 },
    KeyState::Destroyed,
];

const EVENTS: [(&str, KeyEvent); 5] = [
    ("enable", KeyEvent::Enable),
    ("disable", KeyEvent::Disable),
    ("schedule destruction", KeyEvent::Schedule { at: 0 }),
    ("cancel destruction", KeyEvent::Cancel),
    ("destroy, when its day has come", KeyEvent::Destroy),
];

fn row(first: &str, cells: [&str; 4]) -> String {
    format!("| {first} | {} |\n", cells.join(" | "))
}

fn document() -> String {
    let words = STATES.map(KeyState::word);
    let rule = "| --- | --- | --- | --- | --- |\n";
    let mut text =
        "# Key states\n\nWritten from `shared/src/key_state.rs`; a test keeps it current.\n\n\
        ## What follows what\n\nThe state after an event, or – where the event is refused.\n\n"
            .to_owned();
    text += &row("event", words);
    text += rule;
    for (name, event) in EVENTS {
        text += &row(name, STATES.map(|state| state.apply(event).map_or("–", KeyState::word)));
    }
    text += "\n## What each state permits\n\nOperations on a key. All others do not depend on its state. \
        Policies decide besides.\n\n";
    text += &row("operation", words);
    text += rule;
    let on_keys = Operation::ALL.iter().filter(|operation| operation.target() == Target::Key);
    for operation in on_keys {
        let permits = STATES.map(|state| if state.permits(*operation) { "yes" } else { "–" });
        text += &row(&format!("`{operation}`"), permits);
    }
    text
}

#[test]
fn the_document_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/key-states.md");
    if env::var_os("KEYHAVEN_WRITE_DOCUMENTS").is_some() {
        fs::write(&path, document()).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let how = "KEYHAVEN_WRITE_DOCUMENTS=1 cargo test -p keyhaven-shared the_document_is_the_table";
    assert!(found == document(), "docs/key-states.md is not current: {how}");
}
