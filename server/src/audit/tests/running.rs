//! The sequencer at work, and reading what it wrote.

use std::time::Duration;

use keyhaven_engine::conformance::memory_store::Fault;

use super::*;
use crate::store::SqliteStore;

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn what_is_committed_is_signed_soon_without_being_asked() {
    let world = World::new();
    let sequencer = world.start().await.unwrap();
    world.assert_signed(0);
    world.commit(3).await;
    eventually("signed", || world.verify().is_ok_and(|verified| verified.entries == 3)).await;
    sequencer.notify();
    world.commit(9).await;
    sequencer.flush().await.unwrap();
    world.assert_signed(12);
    sequencer.stop().await.unwrap();
    assert_eq!(Arc::strong_count(&world.store), 1);
}

#[tokio::test]
async fn many_entries_are_signed_in_order() {
    let world = World::new();
    world.commit(10_000).await;
    let sequencer = world.start().await.unwrap();
    world.commit(70_000).await;
    sequencer.stop().await.unwrap();
    world.assert_signed(80_000);
}

#[tokio::test]
async fn while_the_hsm_is_gone_entries_wait_and_the_log_says_so() {
    let world = World::with_entries(1).await;
    let sequencer = world.start().await.unwrap();
    world.hsm.down.store(true, Ordering::SeqCst);
    world.commit(2).await;
    let flushed = sequencer.flush().await;
    assert!(matches!(flushed, Err(AuditError::Hsm(_))), "{flushed:?}");
    assert!(sequencer.trouble().unwrap().contains("unplugged"));
    assert_eq!(world.store.entries(0, 9).await.unwrap().len(), 2);
    assert_eq!(world.verify().unwrap().entries, 1);
    world.hsm.down.store(false, Ordering::SeqCst);
    sequencer.flush().await.unwrap();
    assert_eq!(sequencer.trouble(), None);
    world.assert_signed(3);
}

#[tokio::test]
async fn while_the_folder_is_gone_entries_wait_and_the_log_says_so() {
    let world = World::with_entries(1).await;
    let sequencer = world.start().await.unwrap();
    let away = world.dir().with_extension("away");
    fs::rename(world.dir(), &away).unwrap();
    world.commit(2).await;
    eventually("trouble", || sequencer.trouble().is_some()).await;
    assert_eq!(world.store.entries(0, 9).await.unwrap().len(), 2);
    fs::rename(&away, world.dir()).unwrap();
    sequencer.flush().await.unwrap();
    world.assert_signed(3);
}

#[tokio::test]
async fn an_entry_that_is_none_is_never_logged_nor_forgotten() {
    let world = World::with_entries(1).await;
    for after in ["", "\n}", "1}", ",\"index\":1}"] {
        let entry = PendingEntry::new(b"{\"index\":".to_vec(), after.as_bytes().to_vec());
        world.store.commit(Proposal::for_conformance(vec![], vec![], None, entry)).await.unwrap();
        let error = world.open().await.err();
        assert!(matches!(error, Some(AuditError::Entry { index: 1, .. })), "{after}: {error:?}");
    }
    world.assert_signed(1);
    assert_eq!(world.store.entries(0, 9).await.unwrap().len(), 4);
}

#[tokio::test]
async fn it_works_on_the_real_store_over_a_restart() {
    let world = World::new();
    for round in 1..=3 {
        let store = Arc::new(SqliteStore::open(&world.folder.path().join("store")).unwrap());
        let hsm = Arc::clone(&world.hsm);
        let start = Sequencer::start(
            Arc::clone(&store) as Arc<dyn Store>,
            hsm,
            World::log_key(),
            world.dir(),
            ORIGIN.to_owned(),
        );
        let sequencer = start.await.unwrap();
        for _ in 0..20 {
            let entry = PendingEntry::new(b"{\"index\":".to_vec(), b"}".to_vec());
            let proposal = Proposal::for_conformance(vec![], vec![], None, entry);
            store.commit(proposal).await.unwrap();
        }
        sequencer.stop().await.unwrap();
        world.assert_signed(20 * round);
        assert_eq!(store.entries(0, 9).await, Ok(vec![]));
    }
}

#[test]
fn damaged_lines_are_said_and_the_others_still_read() {
    let world = World::new();
    fs::create_dir(world.dir()).unwrap();
    let lines: Vec<_> = (0..2).map(|n| format!("{{\"index\":{n}}}\n")).collect();
    // A line being written is not there yet.
    world.set_lines(
        &[&lines[..1], &["rubbish\n".to_owned()], &lines[1..2], &["{\"in".into()]].concat(),
    );
    let found: Vec<_> = read(&world.dir(), 0).unwrap().collect();
    let damaged = ReadError::Damaged { line: 2, problem: EntryProblem::NotAnEntry };
    assert_eq!((found.len(), &found[1]), (3, &Err(damaged)));
    assert!(read(Path::new("/nowhere"), 0).is_err());
}

#[test]
fn reading_begins_at_any_entry_of_a_long_log() {
    let world = World::new();
    fs::create_dir(world.dir()).unwrap();
    // Lines of very different lengths, and one that is longer than what is near.
    let line = |n: usize| {
        let filler = "x".repeat(if n == 700 { 200_000 } else { n * 37 % 700 });
        format!("{{\"filler\":\"{filler}\",\"index\":{n}}}\n")
    };
    let mut lines: Vec<_> = (0..2000).map(line).collect();
    world.set_lines(&lines);
    let indexes = |from: u64| {
        let entries = read(&world.dir(), from).unwrap().take(2);
        entries.map(|entry| entry.unwrap()["index"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    for from in (0..1998).step_by(7).chain([699, 700, 701]) {
        assert_eq!(indexes(from), [from, from + 1]);
    }
    assert_eq!(indexes(1999), [1999]);
    assert!(indexes(2000).is_empty() && indexes(u64::MAX).is_empty());
    // Damage is said with the number of its line, and hides nothing that is before or after it.
    "rubbish\n".clone_into(&mut lines[1500]);
    world.set_lines(&lines);
    for from in [0, 300, 1400, 1499, 1501, 1999] {
        let found: Vec<_> = read(&world.dir(), from).unwrap().collect();
        let good = found.iter().filter(|entry| entry.is_ok()).count() as u64;
        assert_eq!(good, 2000 - from - u64::from(from < 1500), "from {from}");
        let damaged = ReadError::Damaged { line: 1501, problem: EntryProblem::NotAnEntry };
        let said = found.iter().find_map(|entry| entry.as_ref().err());
        assert!(said.is_none_or(|said| *said == damaged), "{said:?}");
        assert!(from > 1500 || said.is_some(), "from {from}");
    }
}

#[tokio::test]
async fn entries_of_unknown_outcome_are_logged_too() {
    let world = World::new();
    let sequencer = world.start().await.unwrap();
    for (fault, entries) in [(Fault::Unknown, 1), (Fault::Lost, 1)] {
        world.store.fail_next_commit(fault);
        let entry = PendingEntry::new(b"{\"index\":".to_vec(), b"}".to_vec());
        let proposal = Proposal::for_conformance(vec![], vec![], None, entry);
        world.store.commit(proposal).await.unwrap_err();
        sequencer.flush().await.unwrap();
        world.assert_signed(entries);
    }
}
