//! Random edits of a log by someone who knows its format, and the borders of what readers accept.

use proptest::prelude::*;

use super::*;

/// One edit of the lines of a log.
#[derive(Debug, Clone)]
enum Edit {
    Remove(prop::sample::Index),
    Double(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Insert(prop::sample::Index, String),
    Replace(prop::sample::Index, &'static str, &'static str),
    Cut(prop::sample::Index),
    Append(String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    let line = "(\\{\"index\":[0-9]\\}|[ -~]{0,20})\n?";
    let word = prop::sample::select(vec![
        ("allowed", "refused"),
        ("ann", "bob"),
        ("ann", "ann "),
        ("\"index\":", "\"index\": "),
        ("{", "{\"more\":1,"),
        ("\n", "\r\n"),
        ("\n", ""),
        ("index", "Index"),
        ("1", "2"),
    ]);
    prop_oneof![
        at().prop_map(Edit::Remove),
        at().prop_map(Edit::Double),
        (at(), at()).prop_map(|(one, other)| Edit::Swap(one, other)),
        (at(), line).prop_map(|(at, line)| Edit::Insert(at, line)),
        (at(), word).prop_map(|(at, (from, to))| Edit::Replace(at, from, to)),
        at().prop_map(Edit::Cut),
        line.prop_map(Edit::Append),
    ]
}

fn apply(edit: &Edit, lines: &mut Vec<String>) {
    if lines.is_empty() {
        return;
    }
    let count = lines.len();
    match edit {
        Edit::Remove(at) => drop(lines.remove(at.index(count))),
        Edit::Double(at) => lines.insert(at.index(count), lines[at.index(count)].clone()),
        Edit::Swap(one, other) => lines.swap(one.index(count), other.index(count)),
        Edit::Insert(at, line) => lines.insert(at.index(count), line.clone()),
        Edit::Replace(at, from, to) => {
            let line = &mut lines[at.index(count)];
            *line = line.replacen(from, to, 1);
        }
        Edit::Cut(at) => lines.truncate(at.index(count)),
        Edit::Append(line) => lines.push(line.clone()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_verifies_exactly_if_its_signed_bytes_are_still_its_beginning(
        entries in 1_u64..30,
        edits in prop::collection::vec(edit(), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let world = runtime.block_on(World::with_entries(entries));
        let mut lines = world.lines();
        let signed = lines.concat();
        edits.iter().for_each(|edit| apply(edit, &mut lines));
        world.set_lines(&lines);
        let untouched = lines.concat().starts_with(&signed);
        let verified = world.verify();
        prop_assert_eq!(verified.is_ok(), untouched, "{:?}", verified);
        if let Ok(verified) = verified {
            prop_assert_eq!(verified.entries, entries);
        }
    }

    #[test]
    fn whatever_stands_in_the_files_reading_ends_and_verifying_fails(
        content in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let world = runtime.block_on(World::with_entries(2));
        for file in [ENTRIES, CHECKPOINT, VKEY] {
            let path = world.dir().join(file);
            let good = fs::read(&path).unwrap();
            fs::write(&path, &content).unwrap();
            prop_assert!(verify(&world.dir(), None).is_err(), "{}", file);
            let lines = content.iter().filter(|byte| **byte == b'\n').count();
            if file == ENTRIES {
                prop_assert!(read(&world.dir(), 0).unwrap().count() <= lines);
            }
            fs::write(&path, good).unwrap();
        }
    }
}

#[test]
fn a_verifier_key_has_one_spelling() {
    let good = World::new().vkey();
    assert_eq!(good.parse::<VerifierKey>().unwrap().to_string(), good);
    let [name, id, key] = good.splitn(3, '+').collect::<Vec<_>>()[..] else { panic!("{good}") };
    assert_eq!((name, id.len()), (ORIGIN, 8));
    for bad in [
        String::new(),
        "+".to_owned(),
        "++".to_owned(),
        name.to_owned(),
        format!("{name}+{id}"),
        format!("{name}+{id}+"),
        format!("+{id}+{key}"),
        format!("other+{id}+{key}"),
        format!("{name}+00000000+{key}"),
        format!("{name}+{}+{key}", id.to_uppercase() + "0"),
        format!("{name}+0{id}+{key}"),
        format!("{name} +{id}+{key}"),
        format!("{name}++{id}+{key}"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}="),
        format!("{good}+more"),
        good.trim_end_matches('=').to_owned() + "A",
        good.chars().take(good.len() - 4).collect(),
    ] {
        assert_eq!(bad.parse::<VerifierKey>(), Err(KeyError), "{bad:?}");
    }
}

#[test]
fn a_name_with_spaces_or_pluses_names_no_key() {
    let public = LogHsm::new(1).key.verifying_key().to_bytes();
    for bad in ["", " ", "a b", "a\tb", "a\nb", "a+b", "a\u{a0}b", "\u{2003}"] {
        assert_eq!(VerifierKey::new(bad, public), Err(KeyError), "{bad:?}");
    }
    for good in ["a", "keyhaven.example/log", "é"] {
        let key = VerifierKey::new(good, public).unwrap();
        assert_eq!(key.to_string().parse(), Ok(key), "{good}");
    }
}

#[test]
fn a_note_is_text_an_empty_line_and_signatures() {
    let hsm = LogHsm::new(1);
    let key = VerifierKey::new(ORIGIN, hsm.key.verifying_key().to_bytes()).unwrap();
    let note = |text: &str| key.note(text, &hsm.key.sign(text.as_bytes()).to_bytes());
    let good = note("text\n");
    for text in ["text\n", "two\nlines\n", "an\n\nempty line\n", "\n"] {
        assert_eq!(key.open(&note(text)), Some(text), "{text:?}");
    }
    let signature = good.split_once("\n\n").unwrap().1;
    for bad in [
        String::new(),
        "\n\n".to_owned(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        signature.to_owned(),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        format!("{good} "),
        format!("\n{good}"),
        good.replace("\n\n", "\n"),
        good.replace("\n\n", "\r\n\r\n"),
        good.replace('\u{2014}', "-"),
        good.replace("\u{2014} ", "\u{2014}  "),
        good.replace(ORIGIN, "other"),
        good.replace(ORIGIN, &ORIGIN.to_uppercase()),
        good.replace("text", "test"),
    ] {
        assert_eq!(key.open(&bad), None, "{bad:?}");
    }
    assert_eq!(key.open(&format!("{good}{signature}")), Some("text\n"), "signed twice");
}
