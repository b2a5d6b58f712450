//! What someone with the folder can do to it, and that it is found.

use proptest::prelude::*;

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn every_flipped_bit_in_every_file_is_found() {
    let world = runtime().block_on(World::with_entries(3));
    for file in [ENTRIES, CHECKPOINT, VKEY] {
        let path = world.dir().join(file);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                fs::write(&path, bad).unwrap();
                let found = verify(&world.dir(), None);
                assert!(found.is_err(), "bit {bit} of byte {at} of {file}: {found:?}");
            }
        }
        fs::write(&path, good).unwrap();
    }
    world.assert_signed(3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_changed_byte_of_a_log_of_any_length_is_found(
        entries in 1_u64..300,
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let world = runtime().block_on(World::with_entries(entries));
        let path = world.dir().join(ENTRIES);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        fs::write(&path, bytes).unwrap();
        prop_assert!(world.verify().is_err());
    }

    #[test]
    fn a_log_cut_anywhere_is_found(entries in 1_u64..50, at in any::<prop::sample::Index>()) {
        let world = runtime().block_on(World::with_entries(entries));
        let path = world.dir().join(ENTRIES);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..at.index(bytes.len())]).unwrap();
        prop_assert!(world.verify().is_err());
    }
}

#[tokio::test]
async fn the_error_says_what_and_where() {
    let world = World::with_entries(6).await;
    let lines = world.lines();
    let found = |lines: Vec<String>| {
        world.set_lines(&lines);
        world.verify().unwrap_err()
    };
    let other =
        |index, there| VerifyError::Entry { index, problem: EntryProblem::OtherIndex(there) };
    let mut removed = lines.clone();
    removed.remove(2);
    assert_eq!(found(removed), other(2, 3));
    let mut swapped = lines.clone();
    swapped.swap(1, 4);
    assert_eq!(found(swapped), other(1, 4));
    let mut doubled = lines.clone();
    doubled.insert(3, lines[2].clone());
    assert_eq!(found(doubled), other(3, 2));
    assert_eq!(found(lines[..4].to_vec()), VerifyError::Missing { covered: 6, found: 4 });
    let mut torn = lines.clone();
    torn[5].pop();
    let problem = EntryProblem::Torn;
    assert_eq!(found(torn), VerifyError::Entry { index: 5, problem });
    let mut broken = lines.clone();
    broken[3] = "{\"index\":3\n".to_owned();
    let problem = EntryProblem::NotAnEntry;
    assert_eq!(found(broken), VerifyError::Entry { index: 3, problem });
    let mut edited = lines.clone();
    edited[3] = edited[3].replace("ann", "bob");
    assert_eq!(found(edited), VerifyError::Changed { covered: 6 });
    fs::remove_file(world.dir().join(ENTRIES)).unwrap();
    let missing = world.verify().unwrap_err().to_string();
    assert!(missing.contains("entries.jsonl"), "{missing}");
    world.set_lines(&lines);
    world.assert_signed(6);
    let texts = [
        (other(2, 3).to_string(), "entry 2 is damaged: entry 3 stands there instead"),
        (
            VerifyError::Missing { covered: 6, found: 4 }.to_string(),
            "entries 4 to 5 are missing: 6 entries are signed, 4 are there",
        ),
        (
            VerifyError::Changed { covered: 6 }.to_string(),
            "one or more of the entries 0 to 5 were changed: their root is not the signed one",
        ),
    ];
    texts.iter().for_each(|(text, wanted)| assert_eq!(text, wanted));
}

#[tokio::test]
async fn added_lines_are_reported_as_not_covered() {
    let world = World::with_entries(2).await;
    world.set_lines(&[world.lines().concat(), "{\"index\":2}\nrubbish".to_owned()]);
    let verified = world.verify().unwrap();
    assert_eq!((verified.entries, verified.beyond_checkpoint), (2, 2));
}

#[tokio::test]
async fn an_edited_or_foreign_checkpoint_is_found() {
    let world = World::with_entries(3).await;
    let path = world.dir().join(CHECKPOINT);
    let good = fs::read_to_string(&path).unwrap();
    let (ours, strangers) = (world.vkey(), World { hsm: LogHsm::new(9), ..World::new() });
    strangers.commit(3).await;
    strangers.open().await.unwrap();
    let foreign = fs::read_to_string(strangers.dir().join(CHECKPOINT)).unwrap();
    let key = VerifierKey::new(ORIGIN, world.hsm.key.verifying_key().to_bytes()).unwrap();
    let resigned = |text: &str| key.note(text, &world.hsm.key.sign(text.as_bytes()).to_bytes());
    let text = key.open(&good).unwrap();
    let bad = [
        String::new(),
        good.replace("\n3\n", "\n2\n"),
        good.replace("\n3\n", "\n03\n"),
        good.replace("keyhaven", "kayhaven"),
        foreign,
        // Signed by the log key, but not as a checkpoint of this log.
        resigned("keyhaven.example/log\n"),
        resigned(&text.replace(ORIGIN, "other.example/log")),
        resigned(&text.replace("\n3\n", "\n+3\n")),
        resigned(&format!("{text}more\n")),
    ];
    for bad in bad {
        fs::write(&path, &bad).unwrap();
        assert_eq!(verify(&world.dir(), Some(&ours)), Err(VerifyError::Checkpoint), "{bad}");
    }
    fs::write(&path, good).unwrap();
    assert_eq!(verify(&world.dir(), Some("no key")), Err(VerifyError::Key));
    let other = verify(&world.dir(), Some(&strangers.vkey()));
    assert_eq!(other, Err(VerifyError::Checkpoint));
    assert!(verify(&world.dir(), Some(&format!("{ours}\n"))).is_ok());
}
